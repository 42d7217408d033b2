//! The file that says that a daemon is ready, and where it listens.

use crate::app::App;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Takes away what an earlier run left: nobody is ready yet. A daemon that runs holds a lock on its file, which stays, as
/// this run may come to nothing. The id of its process would not tell: ids are used again, and in a container every
/// daemon has the same.
pub(super) fn clear(path: &Path) {
    // It may be a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let left_over = |file: OwnedFd| {
        let held = flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
        // Unless another one has come in its place meanwhile.
        let (looked_at, there) = (fstat(&file), stat(path));
        let same = looked_at.is_ok_and(|a| there.is_ok_and(|b| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)));
        same && !held
    };
    if rustix::fs::open(path, flags, Mode::empty()).map_or_else(|error| error != Errno::NOENT, left_over) {
        let _ = std::fs::remove_file(path);
    }
}

/// Whoever finds the file finds all of it. It is locked as long as what is returned is kept.
pub(super) fn announce(path: &Path, app: &App) -> io::Result<File> {
    let ready = serde_json::json!({
        "ingress": app.ingress(),
        "admin": app.admin(),
        "pid": std::process::id(),
    });
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    // Where no file can be locked, the next run takes this one for left over.
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    file.write_all(ready.to_string().as_bytes())?;
    std::fs::rename(&unfinished, path)?;
    Ok(file)
}
