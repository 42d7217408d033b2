//! The spool's folder: who holds it, which format lies in it, and the room kept to settle on a full disk.

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The format that this code reads and writes.
const FORMAT: &str = "postrider spool 1\n";

/// Ends the name of a log that was set aside with its database.
pub(super) const LOG: &str = "-log";

/// In a log that was set aside while its database stayed in use: endpoints below this number are the same in both.
pub(super) const NUMBERS: &str = "NUMBERS";

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("failed to lock {path}: {holder} holds it; stop that one first")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// Written by another version.
    #[error("failed to open {path}: its format is {found:?}, this version reads \"postrider spool 1\"")]
    Format {
        /// The folder.
        path: PathBuf,
        /// What its `FORMAT` says.
        found: String,
    },
    /// The folder itself cannot be used.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// The store says no, and so it does when it starts empty.
    #[error("failed to open the store: {0}")]
    Store(String),
}

/// How often a lock that is held is tried, and how long it is waited before each next time.
const COPIES: usize = 20;
const COPY: Duration = Duration::from_millis(10);

/// What `FORMAT` says: the format, and the checksum of that line, so that a wrong byte is not taken for another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As it should be.
    Ours,
    /// A byte of it is wrong, or it is not there.
    Damaged,
}

/// The folder, locked for this process.
pub(super) struct Folder {
    path: PathBuf,
    reserve: u64,
    format: Format,
    lock: Option<File>,
}

impl Folder {
    /// Makes the folder if it is not there, locks it and checks its format.
    pub(super) fn lock(path: &Path, reserve: u64, now_ms: u64) -> Result<Self, OpenError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        fs::create_dir_all(path).map_err(io("create", path))?;
        let name = path.join("LOCK");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(io("open", &name))?;
        let lock = hold(lock, &name)?;
        let found = read_format(path)?;
        let folder = Self {
            path: path.to_owned(),
            reserve,
            format: found.unwrap_or(Format::Damaged),
            lock: Some(lock),
        };
        folder.claim(now_ms);
        if found != Some(Format::Ours) {
            folder.write_format().map_err(io("write", &path.join("FORMAT")))?;
        }
        if found == Some(Format::Damaged) {
            tracing::error!(path = %path.display(), "FORMAT was damaged, and is written again");
        }
        Ok(folder)
    }

    /// Locks a folder that is there, and changes nothing in it.
    pub(super) fn hold(path: &Path) -> Result<Self, OpenError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        let there = ["FORMAT", "store", "log"].iter().any(|name| path.join(name).exists());
        if !there {
            return Err(io("find a spool in", path)(io::ErrorKind::NotFound.into()));
        }
        let name = path.join("LOCK");
        // It may be that nobody may write there: a lock needs no more than reading.
        let lock = match OpenOptions::new().read(true).open(&name) {
            Ok(lock) => Some(hold(lock, &name)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("open", &name)(error)),
        };
        let format = read_format(path)?.unwrap_or(Format::Damaged);
        Ok(Self { path: path.to_owned(), reserve: 0, format, lock })
    }

    /// What `FORMAT` said.
    pub(super) const fn format(&self) -> Format {
        self.format
    }

    /// Writes `FORMAT` as it should be.
    pub(super) fn write_format(&self) -> io::Result<()> {
        write_whole(&self.path.join("FORMAT"), &format_text())
    }

    /// Notes who holds the lock.
    pub(super) fn claim(&self, now_ms: u64) {
        let name = self.path.join("LOCK");
        let started = i64::try_from(now_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let note = format!("process {} (started {:.0})\n", std::process::id(), started.unwrap_or_default());
        let noted = OpenOptions::new().write(true).open(&name).and_then(|mut lock| {
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(note.as_bytes()))
        });
        if let Err(error) = noted
            && self.lock.is_some()
        {
            tracing::warn!(%error, path = %name.display(), "the lock is held, but not by name");
        }
    }

    /// What lies in it, and the folder itself, is found again after a power cut when this returns: a file's own sync
    /// says nothing about its name.
    pub(super) fn sync_names(&self) -> Result<(), OpenError> {
        // "" is the parent of a plain name.
        let above = self.path.parent().filter(|above| !above.as_os_str().is_empty());
        for folder in [&*self.path, above.unwrap_or(Path::new("."))] {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| OpenError::Io {
                action: "sync",
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database lies.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where the log lies.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Leaves out what is wrong in the database's journals; the copies of those that were changed.
    pub(super) fn repair_journals(&self, now_ms: u64) -> io::Result<Vec<PathBuf>> {
        super::journal::repair(&self.store(), &self.path, now_ms)
    }

    /// Notes in the log that endpoints below this number are those of the database beside it.
    pub(super) fn note_numbers(&self, next_uid: u32) -> io::Result<()> {
        write_whole(&self.log().join(NUMBERS), &next_uid.to_string())?;
        File::open(self.log())?.sync_all()
    }

    /// Puts a database that cannot be opened aside, whole, and says where. The one after it numbers endpoints anew.
    pub(super) fn set_store_aside(&self, now_ms: u64) -> io::Result<PathBuf> {
        forget_numbers(&self.path)?;
        let target = self.free_name(now_ms);
        fs::rename(self.store(), &target)?;
        Ok(target)
    }

    /// Puts a log that cannot be read aside, whole, and says where: beside its database, if that has been set aside as
    /// well, so that the two are found together.
    pub(super) fn set_log_aside(&self, database: Option<&Path>, now_ms: u64) -> io::Result<PathBuf> {
        let target = match database {
            Some(database) => {
                let mut name = database.as_os_str().to_owned();
                name.push(LOG);
                PathBuf::from(name)
            }
            None => self.free_name(now_ms),
        };
        fs::rename(self.log(), &target)?;
        Ok(target)
    }

    /// A name for what is set aside. That of a log beside it is free as well.
    fn free_name(&self, now_ms: u64) -> PathBuf {
        let seconds = now_ms / 1000;
        let is_taken = |name: &str| self.path.join(name).exists();
        let (mut name, mut number) = (format!("damaged-{seconds}"), 1);
        while is_taken(&name) || is_taken(&format!("{name}{LOG}")) {
            number += 1;
            name = format!("damaged-{seconds}-{number}");
        }
        self.path.join(name)
    }

    fn reserve_path(&self) -> PathBuf {
        self.path.join("RESERVE")
    }

    /// Whether the room to settle is kept back.
    pub(super) fn has_reserve(&self) -> bool {
        fs::metadata(self.reserve_path()).is_ok_and(|file| file.len() == self.reserve)
    }

    /// Keeps room back, with blocks that are really there, if the disk has that much and as much again.
    pub(super) fn make_reserve(&self) -> bool {
        if self.has_reserve() {
            return true;
        }
        if self.free().is_some_and(|free| free < 2 * self.reserve) {
            return false;
        }
        let path = self.reserve_path();
        let made = File::create(&path).and_then(|mut file| {
            match fallocate(&file, FallocateFlags::empty(), 0, self.reserve) {
                Ok(()) => Ok(()),
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&mut file, self.reserve),
                Err(error) => Err(error.into()),
            }
        });
        if made.is_err() {
            let _ = fs::remove_file(&path);
        }
        made.is_ok()
    }

    /// Gives the room up, so that settlements can be written.
    pub(super) fn free_reserve(&self) {
        let _ = fs::remove_file(self.reserve_path());
    }

    /// Bytes of the disk that are free to this user; `None` if the system does not say.
    pub(super) fn free(&self) -> Option<u64> {
        let disk = statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// So little is left that appends are refused before the disk says so.
    pub(super) fn is_full(&self) -> bool {
        self.free().is_some_and(|free| free < self.reserve / 2)
    }
}

/// Locks a file, or says who holds it. A process that is being started by another thread, or that was when this
/// process's forerunner ended, has a copy of every file until its program runs: so long it is waited for.
fn hold(mut lock: File, name: &Path) -> Result<File, OpenError> {
    for _ in 0..COPIES {
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(lock);
        }
        std::thread::sleep(COPY);
    }
    let mut holder = Vec::new();
    let _ = lock.read_to_end(&mut holder);
    let holder = String::from_utf8_lossy(&holder);
    let holder = holder.lines().next().filter(|line| !line.is_empty());
    let holder = holder.unwrap_or("another process").to_owned();
    Err(OpenError::Locked { path: name.to_owned(), holder })
}

/// From now on nothing that was set aside goes by the numbers of the database in use.
pub(super) fn forget_numbers(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        // Others are not ours, and may not be ours to look into.
        if name != "log" && !name.to_string_lossy().starts_with("damaged-") {
            continue;
        }
        match fs::remove_file(entry.path().join(NUMBERS)) {
            Err(error) if !is_absent(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether there is no such file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn format_text() -> String {
    format!("{FORMAT}{:08x}\n", crc32fast::hash(FORMAT.as_bytes()))
}

/// What `FORMAT` says; none if there is nothing in it: the process was killed, or the disk was full, while it was made.
fn read_format(path: &Path) -> Result<Option<Format>, OpenError> {
    let format = path.join("FORMAT");
    let found = match fs::read(&format) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { action: "read", path: format, source }),
    };
    let found = String::from_utf8_lossy(&found);
    if found == format_text() || found == FORMAT {
        return Ok(Some(Format::Ours));
    }
    if found.is_empty() {
        return Ok(None);
    }
    let (line, sum) = found.split_once('\n').unwrap_or((&*found, ""));
    let named = line.strip_prefix("postrider spool ").is_some_and(|version| version.parse::<u32>().is_ok());
    let summed = sum.trim_end() == format!("{:08x}", crc32fast::hash(format!("{line}\n").as_bytes()));
    // The first versions wrote no checksum.
    let other = named && line != FORMAT.trim_end() && (summed || (sum.is_empty() && found.ends_with('\n')));
    if other {
        return Err(OpenError::Format { path: path.to_owned(), found: line.to_owned() });
    }
    Ok(Some(Format::Damaged))
}

fn fill(file: &mut File, mut bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    while bytes > 0 {
        let part = usize::try_from(bytes).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(zeros.get(..part).unwrap_or_default())?;
        bytes -= part as u64;
    }
    file.sync_all()
}

/// Whether the disk is full.
pub(super) fn says_full(error: &fjall::Error) -> bool {
    let io = match error {
        fjall::Error::Io(io) => io,
        fjall::Error::Storage(fjall::LsmError::Io(io)) => io,
        _ => return false,
    };
    matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes a file so that it is there whole or not at all, whenever the power goes.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
