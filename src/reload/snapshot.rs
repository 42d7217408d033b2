//! What a look at the files shows without reading them: inode, size and times; and which folders to watch for them.

use crate::config::each_toml;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// More links than this in one path is a circle; Linux gives up at 40 too.
const MAX_LINKS: usize = 40;

/// A file changed so shortly before it was looked at may change again without its times moving: file systems tell
/// time in ticks of up to some milliseconds, some in seconds.
const TICK: Duration = Duration::from_millis(1500);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchPaths {
    /// Files that are named one by one: the daemon's, and secrets.
    pub files: BTreeSet<PathBuf>,
    /// Folders all of whose `.toml` files count.
    pub folders: BTreeSet<PathBuf>,
}

/// How a file looked when nothing about it had changed for a while: a digest of its device, inode, size and times. As long
/// as it looks so, what was read of it before is what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look(u64);

impl Look {
    /// Looks at some files together. None: one of them is not there, or has changed so shortly before `begun` that it may
    /// change again and look the same. What is read of them must be read after `begun`, a time since the Unix epoch.
    pub(super) fn at<'a>(paths: impl IntoIterator<Item = &'a Path>, begun: Duration) -> Option<Self> {
        let mut digest = Xxh3::new();
        for path in paths {
            let stamp = Stamp::of(path)?;
            if stamp.is_fresh(begun) {
                return None;
            }
            stamp.add_to(&mut digest);
        }
        Some(Self(digest.digest()))
    }
}

/// How everything looked at one time, paths that are not there included.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    digest: u64,
    /// Some of it may have changed since without looking different.
    fresh: bool,
}

impl Snapshot {
    /// Looks at everything. `now` is the time since the Unix epoch.
    pub(super) fn take(paths: &WatchPaths, now: Duration) -> Self {
        let (mut sum, mut fresh) = (0_u64, false);
        // The sum of what each looks like: the files of a folder come in any order, and there may be very many.
        let mut look = |path: &Path| {
            let mut digest = Xxh3::new();
            digest.update(path.as_os_str().as_bytes());
            digest.update(&[0]);
            if let Some(stamp) = Stamp::of(path) {
                fresh |= stamp.is_fresh(now);
                stamp.add_to(&mut digest);
            }
            sum = sum.wrapping_add(digest.digest());
        };
        paths.files.iter().for_each(|path| look(path));
        for folder in &paths.folders {
            look(folder);
            // One that cannot be listed to its end looks like what was listed of it.
            drop(each_toml(folder, |name| look(&folder.join(name))));
        }
        Self { digest: sum, fresh }
    }

    /// Whether anything may have changed since `self`.
    pub(super) const fn moved(&self, later: &Self) -> bool {
        self.fresh || self.digest != later.digest
    }
}

/// What the system says about a file.
struct Stamp(std::fs::Metadata);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(Self)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        u64::try_from(self.0.ctime()).map_or(Duration::ZERO, Duration::from_secs) + TICK >= now
    }

    fn add_to(&self, digest: &mut Xxh3) {
        let Self(meta) = self;
        for number in [meta.dev(), meta.ino(), meta.size()] {
            digest.update(&number.to_le_bytes());
        }
        for time in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
            digest.update(&time.to_le_bytes());
        }
    }
}

/// Every folder in which something can happen that changes what the paths lead to: the parents of every link on the
/// way, and of the files at the end.
pub(super) fn watched_folders(paths: &WatchPaths) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for file in &paths.files {
        follow(file, &mut folders);
    }
    for folder in &paths.folders {
        let real = follow(folder, &mut folders);
        folders.extend(real);
        let links = |name| {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                follow(&path, &mut folders);
            }
        };
        drop(each_toml(folder, links));
    }
    folders
}

/// Walks a path, adds the folder of every link on it and of its end, and returns where it leads. Where the path ends
/// early, the last folder there is counts.
fn follow(path: &Path, folders: &mut BTreeSet<PathBuf>) -> Option<PathBuf> {
    let mut reached = PathBuf::new();
    let mut ahead = components(&std::path::absolute(path).ok()?);
    let mut links = 0;
    while let Some(next) = ahead.pop() {
        if next == Path::new("..") {
            reached.pop();
            continue;
        }
        // An absolute target starts over: joining it replaces what was reached.
        let here = reached.join(&next);
        let meta = here.symlink_metadata();
        if ahead.is_empty() || meta.is_err() {
            folders.insert(reached.clone());
        }
        if meta.ok()?.is_symlink() {
            folders.insert(reached.clone());
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            ahead.extend(components(&std::fs::read_link(&here).ok()?));
        } else {
            reached = here;
        }
    }
    Some(reached)
}

/// The parts of a path, the last first.
fn components(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    let mut parts: Vec<PathBuf> = parts.map(|part| PathBuf::from(part.as_os_str())).collect();
    parts.reverse();
    parts
}
