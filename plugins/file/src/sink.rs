use crate::line;
use crate::settings::Target;
use postrider_sink::{Delivery, FailureClass, Outcome, Sink, async_trait};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The lock of somebody else is waited for, at first so long, then twice as long, and so on; nobody needs it for longer who
/// writes a line.
const FIRST_WAIT: Duration = Duration::from_micros(50);
/// Such waits: a tenth of a second in all.
const WAITS: u32 = 11;

/// Appends lines. One at a time: a disk that hangs holds up one thread, not one for each attempt.
pub(crate) struct FileSink {
    target: Arc<Target>,
    sync: bool,
    open: Arc<Mutex<Option<Open>>>,
}

struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// Its last byte can be looked at, and says whether a line was torn, whoever wrote it.
    readable: bool,
    /// Where it cannot: the last write of ours stopped within a line.
    torn: bool,
    /// Somebody keeps its lock, and was waited for once: until it is free, no line waits for that again.
    kept: bool,
}

impl FileSink {
    pub(crate) fn new(target: Target, sync: bool) -> Self {
        Self { target: Arc::new(target), sync, open: Arc::default() }
    }

    async fn append(&self, line: Vec<u8>) -> io::Result<()> {
        let mut open = Arc::clone(&self.open).lock_owned().await;
        let (target, sync) = (Arc::clone(&self.target), self.sync);
        let written = tokio::task::spawn_blocking(move || match &*target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&line)?;
                out.flush()
            }
            Target::File(path) => append(path, &mut open, line, sync),
        });
        written.await.map_err(io::Error::other)?
    }
}

fn append(path: &Path, slot: &mut Option<Open>, line: Vec<u8>, sync: bool) -> io::Result<()> {
    let found = std::fs::metadata(path);
    let mut open = match (slot.take(), &found) {
        (Some(open), Ok(found)) if open.is(found) => open,
        _ => Open::at(path, found.ok().as_ref())?,
    };
    let result = open.write(line, sync);
    *slot = Some(open);
    result
}

impl Open {
    fn at(path: &Path, found: Option<&Metadata>) -> io::Result<Self> {
        if let Some(kind) = found.map(Metadata::file_type)
            && (kind.is_fifo() || kind.is_socket() || kind.is_dir())
        {
            // Opening a pipe waits for somebody to read it, for ever if need be.
            return Err(io::Error::other("not a regular file"));
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        let (file, readable) = match options.clone().read(true).open(path) {
            Ok(file) => (file, true),
            // It may be that this user may write to it and no more.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (options.open(path)?, false),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        let readable = readable && found.is_file();
        // How an earlier run or somebody else left what cannot be read, nobody knows.
        let torn = !readable && found.len() > 0;
        Ok(Self { device: found.dev(), inode: found.ino(), file, readable, torn, kept: false })
    }

    fn is(&self, found: &Metadata) -> bool {
        (self.device, self.inode) == (found.dev(), found.ino())
    }

    fn write(&mut self, line: Vec<u8>, sync: bool) -> io::Result<()> {
        // Other endpoints and other processes write here as well: nobody tears a line between the look at the end and
        // the write. A file system without locks refuses, and who reads may keep one for hours: that moment is all that
        // is lost by it.
        let locked = self.lock();
        let written = self.write_line(line);
        if locked {
            let _ = self.file.unlock();
        }
        written?;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    fn lock(&mut self) -> bool {
        let waits = if self.kept { 0 } else { WAITS };
        for nth in 0..=waits {
            match self.file.try_lock() {
                Ok(()) => {
                    self.kept = false;
                    return true;
                }
                Err(TryLockError::Error(_)) => return false,
                Err(TryLockError::WouldBlock) if nth == waits => break,
                Err(TryLockError::WouldBlock) => std::thread::sleep(FIRST_WAIT * (1_u32 << nth)),
            }
        }
        self.kept = true;
        false
    }

    fn write_line(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        if self.is_torn() {
            line.insert(0, b'\n');
        }
        let written = loop {
            match self.file.write(&line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.torn = written < line.len();
        if self.torn {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "only a part of the line could be written",
            ));
        }
        Ok(())
    }

    /// Whether what is there ends within a line, so that the next one has to begin on its own.
    fn is_torn(&self) -> bool {
        if !self.readable {
            return self.torn;
        }
        let Ok(found) = self.file.metadata() else { return true };
        let mut last = [b'\n'];
        // Of an empty file, or one that was emptied since, nothing is read.
        self.file.read_at(&mut last, found.len().saturating_sub(1)).is_err() || last != [b'\n']
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let line = match line::write(delivery) {
            Ok(line) => line,
            Err(error) => {
                return Outcome::failed(FailureClass::SinkError, format!("the body is not JSON: {error}"));
            }
        };
        match self.append(line).await {
            Ok(()) => Outcome::delivered("written".into()),
            Err(error) => {
                let place = match &*self.target {
                    Target::Stdout => String::from("standard output"),
                    Target::File(path) => path.display().to_string(),
                };
                Outcome::failed(FailureClass::SinkError, format!("cannot write to {place}: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
