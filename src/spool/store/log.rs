//! The log: every commit, one after another, in files of a fixed size.
//!
//! A segment has its room on disk from the start, so that a sync writes content and nothing else; one that is not
//! needed any more is kept to become the next. Its name is the number of the first commit it may hold: what it held
//! before has smaller numbers and is not read. A record that is not whole ends the log, unless whole ones come after
//! it: then something was damaged, and they still count.

use super::super::Disk;
use super::Ways;
use super::layer::Change;
use super::record::{Batch, Found, HEAD, is_begun, is_torn, next, read};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Room of a segment. A longer record gets a segment of its own. Tests see many of them.
pub(crate) const SEGMENT: u64 = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };
const SPARE: &str = "spare";
const EXTENSION: &str = "log";

/// Where commits are appended.
pub(super) struct Log {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Bytes of a segment.
    size: u64,
    segment: Option<Segment>,
    /// The next commit's number.
    number: u64,
}

struct Segment {
    file: File,
    path: PathBuf,
    room: u64,
    length: u64,
}

/// What was found in a log.
#[derive(Default)]
pub(super) struct Replayed {
    /// Where it was.
    pub(super) segments: Vec<PathBuf>,
    /// The next commit's number.
    pub(super) number: u64,
    /// Commits that are missing among those found, or behind them.
    pub(super) lost: u64,
    /// The last commit is not whole. Nothing is known of any after it.
    pub(super) torn: bool,
    /// Not all of it could be synced: it is there to read, and may not be on disk.
    pub(super) unsynced: bool,
}

/// What a look at a log comes upon, in its order.
pub(crate) enum Seen {
    /// A whole commit: its number and changes.
    Commit(u64, Vec<Change>),
    /// So many commits are missing, or of unknown number where it is 0, from this byte of the segment on.
    Missing(u64, u64),
    /// The last commit of all begins at this byte, and is not whole: cut off when the machine stopped, or damaged.
    Torn(u64),
}

impl Log {
    /// Goes on after commit number `number - 1`, in a segment of its own.
    pub(super) fn new(folder: &Path, number: u64, ways: &Ways) -> Self {
        let Ways { disk, segment, .. } = ways;
        Self { folder: folder.to_owned(), disk: Arc::clone(disk), size: *segment, segment: None, number }
    }

    /// Whether this record goes into the segment in use; else [`Self::turn`] comes first.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.length + bytes as u64 <= segment.room)
    }

    /// Begins a segment with room for so many bytes. The one before, if any, and that it is on disk as a whole.
    pub(super) fn turn(&mut self, bytes: usize) -> io::Result<Option<PathBuf>> {
        let path = self.folder.join(format!("{:020}.{EXTENSION}", self.number));
        let room = self.size.max(bytes as u64);
        let spare = self.folder.join(SPARE);
        let reused = room == self.size && fs::rename(&spare, &path).is_ok();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        if !reused {
            make_room(&file, room).inspect_err(|_| drop(fs::remove_file(&path)))?;
            file.sync_all()?;
        }
        File::open(&self.folder)?.sync_all()?;
        self.sync()?;
        let before = self.segment.replace(Segment { file, path, room, length: 0 });
        Ok(before.map(|segment| segment.path))
    }

    /// Hands a commit to the operating system.
    pub(super) fn append(&mut self, batch: &mut Batch) -> io::Result<()> {
        let too_long = || io::Error::other("a commit is longer than a record can be");
        let number = self.number;
        let record = batch.seal(number).ok_or_else(too_long)?;
        let segment = self.segment.as_mut().ok_or_else(|| io::Error::other("the log has no segment"))?;
        self.disk.write(&segment.file, &segment.path, record, segment.length)?;
        segment.length += record.len() as u64;
        self.number += 1;
        Ok(())
    }

    /// The number of the next commit.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Everything appended is on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.segment.as_ref().map_or(Ok(()), |segment| self.disk.sync(&segment.file, &segment.path))
    }
}

/// Lets segments go whose content is elsewhere; one of this size may become the spare.
pub(super) fn release(segments: &[PathBuf], reuse: Option<u64>) -> io::Result<()> {
    for segment in segments {
        let spare = segment.with_file_name(SPARE);
        let fits = fs::metadata(segment).is_ok_and(|file| Some(file.len()) == reuse);
        if fits && !spare.exists() {
            fs::rename(segment, spare)?;
        } else {
            fs::remove_file(segment)?;
        }
    }
    Ok(())
}

/// Bytes that the files of a log take.
pub(super) fn disk_space(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Reads a log from its beginning, and makes sure that what is read is on disk, or says that it is not. It is known to reach to `least`.
pub(super) fn replay(
    folder: &Path,
    least: u64,
    ways: &Ways,
    mut each: impl FnMut(Change),
) -> io::Result<Replayed> {
    fs::create_dir_all(folder)?;
    // Where no segment says which number is the next, numbers may begin again, and an old file must not be reused.
    match fs::remove_file(folder.join(SPARE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let segments = segments(folder)?;
    let mut unsynced = false;
    for (_, path) in &segments {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        unsynced |= ways.disk.sync(&file, path).is_err();
    }
    let (mut lost, mut torn) = (0, false);
    let number = look(&segments, least, ways.segment, &mut |_, seen| match seen {
        Seen::Commit(_, changes) => changes.into_iter().for_each(&mut each),
        Seen::Missing(count, _) => lost += count.max(1),
        Seen::Torn(_) => torn = true,
    })?;
    let segments = segments.into_iter().map(|(_, path)| path).collect();
    Ok(Replayed { segments, number, lost, torn, unsynced })
}

/// The segments of a log in their order, each with the number of the first commit it may hold.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let first = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(first) =
            first.filter(|_| path.extension().is_some_and(|extension| extension == EXTENSION))
        {
            segments.push((first, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Shows all that lies in these segments, whole or missing, and changes nothing. The number of the next commit, which
/// is `least` at least. A segment shorter than `size` was cut.
pub(crate) fn look(
    segments: &[(u64, PathBuf)],
    least: u64,
    size: u64,
    each: &mut dyn FnMut(&Path, Seen),
) -> io::Result<u64> {
    let mut number = segments.first().map_or(1, |(first, _)| *first);
    for (index, (first, path)) in segments.iter().enumerate() {
        let bytes = fs::read(path)?;
        if *first > number {
            each(path, Seen::Missing(first - number, 0));
        }
        number = number.max(*first);
        let after = scan(&bytes, &mut number, &mut |seen| each(path, seen));
        // What the next segment or `least` finds missing is counted there.
        let next = segments.get(index + 1).map_or(least, |(next, _)| *next);
        let last = index + 1 == segments.len();
        if number < next && last {
            each(path, Seen::Missing(next - number, after.at));
            number = next;
        } else if number >= next && after.begun {
            each(path, if last { Seen::Torn(after.at) } else { Seen::Missing(1, after.at) });
        } else if number >= next && (bytes.len() as u64) < size {
            each(path, Seen::Missing(0, bytes.len() as u64));
        }
    }
    Ok(number.max(least))
}

/// What lies behind the last whole record of a segment.
struct After {
    at: u64,
    /// A record that is not whole: cut off when the machine stopped, or damaged. Nobody can tell which.
    begun: bool,
}

fn scan(bytes: &[u8], number: &mut u64, each: &mut dyn FnMut(Seen)) -> After {
    let mut after = After { at: 0, begun: false };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        let found = read(rest, *number).and_then(|found| {
            let Found { number, length, .. } = found;
            Some((number, length, found.changes()?))
        });
        if let Some((found, length, changes)) = found {
            if found > *number {
                each(Seen::Missing(found - *number, after.at));
            }
            *number = found + 1;
            each(Seen::Commit(found, changes));
            at += length;
            after = After { at: at as u64, begun: false };
            continue;
        }
        let here = at as u64 == after.at;
        after.begun |= is_begun(rest, *number) || (here && is_torn(rest));
        let Some(step) = next(rest) else { break };
        at += step;
    }
    after
}

fn make_room(file: &File, room: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, room) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(room),
        Err(error) => Err(error.into()),
    }
}
