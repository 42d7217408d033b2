//! What a look at the files shows without reading them: inode, size and times; and which folders to watch for them.

use crate::config::list_toml;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

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

/// How a path looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// It may have changed since without looking different.
    fresh: bool,
}

/// How everything looked at one time. A path that is not there has no stamp.
#[derive(Debug, Default)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Option<Stamp>>);

impl Snapshot {
    /// Looks at everything. `now` is the time since the Unix epoch.
    pub(super) fn take(paths: &WatchPaths, now: Duration) -> Self {
        let mut seen = BTreeMap::new();
        let mut look = |path: PathBuf| {
            let stamp = stamp(&path, now);
            seen.insert(path, stamp);
        };
        paths.files.iter().cloned().for_each(&mut look);
        for folder in &paths.folders {
            look(folder.clone());
            for name in list_toml(folder).unwrap_or_default() {
                look(folder.join(name));
            }
        }
        Self(seen)
    }

    /// Whether anything may have changed since `self`.
    pub(super) fn moved(&self, later: &Self) -> bool {
        self.0.len() != later.0.len()
            || self.0.iter().any(|(path, stamp)| {
                let fresh = stamp.is_some_and(|stamp| stamp.fresh);
                fresh
                    || later.0.get(path).map(|stamp| stamp.map(Stamp::settled))
                        != Some(stamp.map(Stamp::settled))
            })
    }
}

impl Stamp {
    const fn settled(self) -> Self {
        Self { fresh: false, ..self }
    }
}

fn stamp(path: &Path, now: Duration) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    let changed = u64::try_from(meta.ctime()).map_or(Duration::ZERO, Duration::from_secs);
    Some(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        fresh: changed + TICK >= now,
    })
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
        for name in list_toml(folder).unwrap_or_default() {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                follow(&path, &mut folders);
            }
        }
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
