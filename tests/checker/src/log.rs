//! The logs: a line of tab-separated fields for every attempt and every receipt, so that a person can grep them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PUBLISHED: &str = "published-";
const RECEIVED: &str = "received-";

/// What became of one attempt to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Ok,
    /// It was certainly not accepted.
    Fail,
    /// Nobody knows: the connection ended between request and answer.
    Unknown,
}

/// One attempt to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Of which event.
    pub number: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The status code; 0 where there was none.
    pub status: u16,
    /// The id of the event, where it was accepted.
    pub id: String,
    /// How many deliveries the daemon promised.
    pub deliveries: u32,
    /// The digest of the body that subscribers must get.
    pub digest: u64,
    /// When it was due or sent, microseconds since the Unix epoch.
    pub sent_us: u64,
    /// How long until the answer.
    pub took_us: u64,
}

/// One request that arrived at the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The last part of the path.
    pub endpoint: String,
    /// Which event it claims to be.
    pub number: Option<u64>,
    /// `webhook-id`.
    pub id: String,
    /// `postrider-attempt`.
    pub attempt: u32,
    /// The digest of the body that came.
    pub digest: u64,
    /// The status it was answered with.
    pub answered: u16,
    /// Whether the credentials were the endpoint's.
    pub authorized: bool,
    /// When it had arrived, microseconds since the Unix epoch.
    pub at_us: u64,
}

/// A file that lines are appended to.
pub(crate) struct Log {
    file: BufWriter<File>,
}

impl Log {
    pub(crate) fn published(dir: &Path, name: &str) -> io::Result<Self> {
        Self::create(dir.join(format!("{PUBLISHED}{name}.tsv")))
    }

    pub(crate) fn received(dir: &Path, name: &str) -> io::Result<Self> {
        Self::create(dir.join(format!("{RECEIVED}{name}.tsv")))
    }

    fn create(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(64 * 1024, File::create_new(path)?) })
    }

    pub(crate) fn attempt(&mut self, attempt: &Attempt) -> io::Result<()> {
        let outcome = match attempt.outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Unknown => "unknown",
        };
        writeln!(
            self.file,
            "{}\t{outcome}\t{}\t{}\t{}\t{:016x}\t{}\t{}",
            attempt.number,
            attempt.status,
            if attempt.id.is_empty() { "-" } else { &attempt.id },
            attempt.deliveries,
            attempt.digest,
            attempt.sent_us,
            attempt.took_us
        )
    }

    pub(crate) fn receipt(&mut self, receipt: &Receipt) -> io::Result<()> {
        let number = receipt.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        writeln!(
            self.file,
            "{}\t{number}\t{}\t{}\t{:016x}\t{}\t{}\t{}",
            receipt.endpoint,
            if receipt.id.is_empty() { "-" } else { &receipt.id },
            receipt.attempt,
            receipt.digest,
            receipt.answered,
            if receipt.authorized { "authorized" } else { "unauthorized" },
            receipt.at_us
        )
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Every attempt in a folder, with the name of the log it is in.
pub(crate) fn attempts(dir: &Path, each: impl FnMut(&str, Attempt)) -> io::Result<()> {
    read(dir, PUBLISHED, each)
}

/// Every receipt in a folder, each receiver's in order of arrival.
pub(crate) fn receipts(dir: &Path, mut each: impl FnMut(Receipt)) -> io::Result<()> {
    read(dir, RECEIVED, |_name, receipt| each(receipt))
}

fn read<T: FromStr>(dir: &Path, prefix: &str, mut each: impl FnMut(&str, T)) -> io::Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = stem.strip_prefix(prefix).unwrap_or_default();
        let mut reader = BufReader::new(File::open(&path)?);
        let mut line = String::new();
        // A line without its end is still being written.
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let parsed = line.trim_end().parse().map_err(|_error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: cannot read {line:?}", path.display()),
                )
            })?;
            each(name, parsed);
            line.clear();
        }
    }
    Ok(())
}

/// A line that no log wrote.
#[derive(Debug)]
pub struct Unreadable;

struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    fn text(&mut self) -> Result<&'a str, Unreadable> {
        self.0.next().ok_or(Unreadable)
    }

    fn number<T: FromStr>(&mut self) -> Result<T, Unreadable> {
        self.text()?.parse().map_err(|_error| Unreadable)
    }

    fn digest(&mut self) -> Result<u64, Unreadable> {
        u64::from_str_radix(self.text()?, 16).map_err(|_error| Unreadable)
    }

    fn id(&mut self) -> Result<String, Unreadable> {
        let text = self.text()?;
        Ok(if text == "-" { String::new() } else { text.to_owned() })
    }
}

impl FromStr for Attempt {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<Self, Unreadable> {
        let mut fields = Fields(line.split('\t'));
        Ok(Self {
            number: fields.number()?,
            outcome: match fields.text()? {
                "ok" => Outcome::Ok,
                "fail" => Outcome::Fail,
                "unknown" => Outcome::Unknown,
                _ => return Err(Unreadable),
            },
            status: fields.number()?,
            id: fields.id()?,
            deliveries: fields.number()?,
            digest: fields.digest()?,
            sent_us: fields.number()?,
            took_us: fields.number()?,
        })
    }
}

impl FromStr for Receipt {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<Self, Unreadable> {
        let mut fields = Fields(line.split('\t'));
        Ok(Self {
            endpoint: fields.text()?.to_owned(),
            number: match fields.text()? {
                "-" => None,
                text => Some(text.parse().map_err(|_error| Unreadable)?),
            },
            id: fields.id()?,
            attempt: fields.number()?,
            digest: fields.digest()?,
            answered: fields.number()?,
            authorized: fields.text()? == "authorized",
            at_us: fields.number()?,
        })
    }
}
