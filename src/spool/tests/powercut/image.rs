//! What may be left of a folder when the power goes: everything that was synced, and any part of the rest.

use super::Draws;
use super::trace::{Content, File, Name, Span, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// How what was not synced fares.
#[derive(Debug, Clone, Copy)]
enum Luck {
    AllLost,
    AllKept,
    /// Each change for itself; some of them in part.
    Mixed,
}

/// Makes the folder as it may be found after a cut at this line.
pub(super) fn make(trace: &Trace, root: &Path, cut: usize, draws: &mut Draws, target: &Path) {
    let luck = match draws.below(4) {
        0 => Luck::AllLost,
        1 => Luck::AllKept,
        _ => Luck::Mixed,
    };
    let there = names(trace, cut, luck, draws);
    fs::create_dir_all(target).unwrap();
    for (path, file) in there {
        let path = target.join(path.strip_prefix(root).unwrap());
        match file {
            None => fs::create_dir_all(path).unwrap(),
            Some(file) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let Left { bytes, length } = content(&trace.files[file], cut, luck, draws);
                fs::write(&path, bytes).unwrap();
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
            }
        }
    }
}

/// The names that are left. Those of one folder come to the disk in their order.
fn names(trace: &Trace, cut: usize, luck: Luck, draws: &mut Draws) -> BTreeMap<PathBuf, Option<usize>> {
    let begun = || trace.names.iter().filter(|(span, _)| span.start < cut);
    let mut by_folder: BTreeMap<&Path, (usize, usize)> = BTreeMap::new();
    for (span, name) in begun() {
        let (all, safe) = by_folder.entry(folder(name)).or_default();
        *all += 1;
        let synced = |(path, sync): &(PathBuf, Span)| path == folder(name) && covers(*sync, *span, cut);
        if trace.folder_syncs.iter().any(synced) {
            *safe = *all;
        }
    }
    let mut left: BTreeMap<&Path, usize> = BTreeMap::new();
    for (folder, (all, safe)) in by_folder {
        let kept = match luck {
            Luck::AllLost => safe,
            Luck::AllKept => all,
            Luck::Mixed => safe + draws.below(all - safe + 1),
        };
        left.insert(folder, kept);
    }
    let mut there: BTreeMap<PathBuf, Option<usize>> = BTreeMap::new();
    for (_, name) in begun() {
        let left = left.get_mut(folder(name)).unwrap();
        if *left == 0 {
            continue;
        }
        *left -= 1;
        match name {
            Name::Create(path, file) => drop(there.insert(path.clone(), Some(*file))),
            Name::Folder(path) => drop(there.insert(path.clone(), None)),
            Name::Remove(path) => drop(there.remove(path)),
            Name::Rename(from, to) => {
                let moved: Vec<_> = there.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let file = there.remove(&path).unwrap();
                    let rest = path.strip_prefix(from).unwrap();
                    there.insert(if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) }, file);
                }
            }
        }
    }
    // Whose folder is not there is not there either.
    let folders: BTreeSet<PathBuf> =
        there.iter().filter(|(_, file)| file.is_none()).map(|(path, _)| path.clone()).collect();
    there.retain(|path, _| {
        path.ancestors().skip(1).all(|above| !trace.made(above) || folders.contains(above))
    });
    there
}

/// The folder whose list of names is changed.
fn folder(name: &Name) -> &Path {
    let (Name::Create(path, _) | Name::Folder(path) | Name::Rename(_, path) | Name::Remove(path)) = name;
    path.parent().expect("it lies in a folder")
}

/// What a sync that had ended by then made safe.
fn covers(sync: Span, change: Span, cut: usize) -> bool {
    sync.start > change.end && sync.end < cut
}

/// What is left of a file: its first bytes, and how long it is with the zeros behind them.
#[derive(Default)]
struct Left {
    bytes: Vec<u8>,
    length: u64,
}

fn content(file: &File, cut: usize, luck: Luck, draws: &mut Draws) -> Left {
    let mut left = Left::default();
    for (span, change) in file.changes.iter().filter(|(span, _)| span.start < cut) {
        let safe = file.syncs.iter().any(|sync| covers(*sync, *span, cut));
        let fate = match luck {
            _ if safe => 0,
            Luck::AllLost => 1,
            Luck::AllKept => 0,
            Luck::Mixed => draws.below(3),
        };
        match (fate, change) {
            (0, Content::Write { at, bytes }) => left.put(*at, bytes),
            (0, Content::Length(length)) => left.resize(*length),
            (0, Content::Room(length)) => left.length = left.length.max(*length),
            (2, Content::Write { at, bytes }) => left.tear(*at, bytes, draws),
            _ => {}
        }
    }
    left
}

impl Left {
    fn put(&mut self, at: u64, written: &[u8]) {
        let begin = usize::try_from(at).unwrap();
        let end = begin + written.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[begin..end].copy_from_slice(written);
        self.length = self.length.max(end as u64);
    }

    fn resize(&mut self, length: u64) {
        self.bytes.truncate(usize::try_from(length).unwrap());
        self.length = length;
    }

    /// Some sectors of a write arrive, others do not.
    fn tear(&mut self, mut at: u64, written: &[u8], draws: &mut Draws) {
        let mut rest = written;
        while !rest.is_empty() {
            let room = SECTOR - usize::try_from(at).unwrap() % SECTOR;
            let (sector, after) = rest.split_at(rest.len().min(room));
            if draws.below(2) == 0 {
                self.put(at, sector);
            }
            at += sector.len() as u64;
            rest = after;
        }
    }
}
