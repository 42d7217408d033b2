use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Who holds the spool of this folder, as it says of itself; none: nobody does.
#[must_use]
pub fn holder(path: &Path) -> Option<String> {
    let mut lock = File::open(path.join("LOCK")).ok()?;
    // Where nobody holds it, it is let go with the file, at once.
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut said = String::new();
    let _ = lock.by_ref().take(256).read_to_string(&mut said);
    let line = said.lines().next().filter(|line| !line.is_empty());
    Some(line.unwrap_or("another process").to_owned())
}
