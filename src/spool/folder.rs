//! The spool's folder: who holds it, which format lies in it, and the room kept to settle on a full disk.

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The format that this code reads and writes.
const FORMAT: &str = "postrider spool 1\n";

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

/// The folder, locked for this process.
pub(super) struct Folder {
    path: PathBuf,
    reserve: u64,
    _lock: File,
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
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(io("open", &name))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            let holder = holder.lines().next().filter(|line| !line.is_empty());
            let holder = holder.unwrap_or("another process").to_owned();
            return Err(OpenError::Locked { path: name, holder });
        }
        let note = format!("process {} (started {now_ms} ms after 1970)\n", std::process::id());
        let noted =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(note.as_bytes()));
        if let Err(error) = noted {
            tracing::warn!(%error, path = %name.display(), "the lock is held, but not by name");
        }
        let format = path.join("FORMAT");
        match fs::read_to_string(&format) {
            Ok(found) if found == FORMAT => {}
            // Empty: the process was killed, or the disk was full, while it was made.
            Ok(found) if !found.is_empty() => {
                return Err(OpenError::Format { path: path.to_owned(), found: found.trim_end().to_owned() });
            }
            Ok(_) => write_whole(&format, FORMAT).map_err(io("write", &format))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&format, FORMAT).map_err(io("write", &format))?;
            }
            Err(source) => return Err(OpenError::Io { action: "read", path: format, source }),
        }
        Ok(Self { path: path.to_owned(), reserve, _lock: lock })
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

    /// Puts a folder that cannot be opened aside, whole, and says where.
    pub(super) fn set_aside(&self, from: &Path, now_ms: u64) -> io::Result<PathBuf> {
        let mut target = self.path.join(format!("damaged-{}", now_ms / 1000));
        let mut number = 1;
        while target.exists() {
            number += 1;
            target = self.path.join(format!("damaged-{}-{number}", now_ms / 1000));
        }
        fs::rename(from, &target)?;
        Ok(target)
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
