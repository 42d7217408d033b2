//! Lets a test make the commits of one spool fail, and what its writer reads.

use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static FAULTS: Mutex<Option<HashMap<PathBuf, (u32, io::ErrorKind)>>> = Mutex::new(None);

/// Rows that cannot be read: their kind, the one key if it is not all, how many times, and how.
type Unreadable = (&'static str, Option<Vec<u8>>, u32, Errno);

static UNREADABLE: Mutex<Option<HashMap<PathBuf, Unreadable>>> = Mutex::new(None);

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
    faults.get_or_insert_default().insert(path.to_owned(), (rows, None, count, errno));
}

/// The disk does not yield this row any more.
pub(super) fn inject_bad_row(path: &Path, rows: &'static str, key: &[u8]) {
    let mut faults = UNREADABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = (rows, Some(key.to_vec()), u32::MAX, Errno::IO);
    faults.get_or_insert_default().insert(path.to_owned(), fault);
}

pub(super) fn check_read(path: &Path, rows: &str, key: &[u8]) -> fjall::Result<()> {
    let mut faults = UNREADABLE.lock().unwrap_or_else(PoisonError::into_inner);
    match faults.as_mut().and_then(|faults| faults.get_mut(path)) {
        Some((kind, bad, count, errno))
            if *kind == rows && *count > 0 && bad.as_ref().is_none_or(|bad| bad == key) =>
        {
            *count -= 1;
            Err(fjall::Error::Io(io::Error::from(*errno)))
        }
        _ => Ok(()),
    }
}
