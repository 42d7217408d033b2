//! Lets a test make the commits of one spool fail.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static FAULTS: Mutex<Option<HashMap<PathBuf, (u32, io::ErrorKind)>>> = Mutex::new(None);

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
