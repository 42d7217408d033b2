//! Lets a test make the commits of one spool fail, and what its writer reads.

use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static FAULTS: Mutex<Option<HashMap<PathBuf, (u32, io::ErrorKind)>>> = Mutex::new(None);
/// By folder: of which kind of rows, how many, and how.
type Unreadable = HashMap<PathBuf, (&'static str, u32, Errno)>;

static UNREADABLE: Mutex<Option<Unreadable>> = Mutex::new(None);

/// The next `count` commits of the spool in `path` fail.
pub(super) fn inject(path: &Path, count: u32, kind: io::ErrorKind) {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    faults.get_or_insert_default().insert(path.to_owned(), (count, kind));
}

pub(super) fn check(path: &Path) -> fjall::Result<()> {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    match faults.as_mut().and_then(|faults| faults.get_mut(path)) {
        Some((count, kind)) if *count > 0 => {
            *count -= 1;
            Err(fjall::Error::Io(io::Error::from(*kind)))
        }
        _ => Ok(()),
    }
}

/// The writer of the spool in `path` fails to read the next `count` rows of a kind.
pub(super) fn inject_reads(path: &Path, rows: &'static str, count: u32, errno: Errno) {
    let mut faults = UNREADABLE.lock().unwrap_or_else(PoisonError::into_inner);
    faults.get_or_insert_default().insert(path.to_owned(), (rows, count, errno));
}

pub(super) fn check_read(path: &Path, rows: &str) -> fjall::Result<()> {
    let mut faults = UNREADABLE.lock().unwrap_or_else(PoisonError::into_inner);
    match faults.as_mut().and_then(|faults| faults.get_mut(path)) {
        Some((kind, count, errno)) if *kind == rows && *count > 0 => {
            *count -= 1;
            Err(fjall::Error::Io(io::Error::from(*errno)))
        }
        _ => Ok(()),
    }
}
