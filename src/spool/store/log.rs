//! The log: every commit, one after another, in files of a fixed size.
//!
//! A segment has its room on disk from the start, so that a sync writes content and nothing else; one that is not
//! needed any more is kept to become the next. Its name is the number of the first commit it may hold: what it held
//! before has smaller numbers and is not read. A record that is not whole ends the log, unless whole ones come after
//! it: then something was damaged, and they still count.

use super::layer::Change;
use super::record::{Batch, Found, HEAD, is_begun, next, read};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Room of a segment. A longer record gets a segment of its own. Tests see many of them.
pub(super) const SEGMENT: u64 = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };
const SPARE: &str = "spare";
const EXTENSION: &str = "log";

/// Where commits are appended.
pub(super) struct Log {
    folder: PathBuf,
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
    /// Commits that are missing among those found, or cut off.
    pub(super) lost: u64,
}

impl Log {
    /// Goes on after commit number `number - 1`, in a segment of its own.
    pub(super) fn new(folder: &Path, number: u64) -> Self {
        Self { folder: folder.to_owned(), segment: None, number }
    }

    /// Whether this record goes into the segment in use; else [`Self::turn`] comes first.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.length + bytes as u64 <= segment.room)
    }

    /// Begins a segment with room for so many bytes. The one before, if any, and that it is on disk as a whole.
    pub(super) fn turn(&mut self, bytes: usize) -> io::Result<Option<PathBuf>> {
        let path = self.folder.join(format!("{:020}.{EXTENSION}", self.number));
        let room = SEGMENT.max(bytes as u64);
        let spare = self.folder.join(SPARE);
        let reused = room == SEGMENT && fs::rename(&spare, &path).is_ok();
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
        segment.file.write_all_at(record, segment.length)?;
        segment.length += record.len() as u64;
        self.number += 1;
        Ok(())
    }

    /// Everything appended is on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.segment.as_ref().map_or(Ok(()), |segment| segment.file.sync_data())
    }
}

/// Lets segments go whose content is elsewhere; one of them becomes the spare.
pub(super) fn release(segments: &[PathBuf]) -> io::Result<()> {
    for segment in segments {
        let spare = segment.with_file_name(SPARE);
        let fits = fs::metadata(segment).is_ok_and(|file| file.len() == SEGMENT);
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

/// Reads a log from its beginning, and makes sure that what is read is on disk.
pub(super) fn replay(folder: &Path, mut each: impl FnMut(Change)) -> io::Result<Replayed> {
    fs::create_dir_all(folder)?;
    // Where no segment says which number is the next, numbers begin again, and an old file must not be reused.
    match fs::remove_file(folder.join(SPARE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
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
    let mut replayed = Replayed { number: 1, ..Replayed::default() };
    for (index, (first, path)) in segments.into_iter().enumerate() {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        file.sync_data()?;
        let bytes = fs::read(&path)?;
        if index == 0 {
            replayed.number = first;
        }
        replayed.lost += first.saturating_sub(replayed.number);
        replayed.number = replayed.number.max(first);
        scan(&bytes, &mut replayed, &mut each);
        replayed.segments.push(path);
    }
    Ok(replayed)
}

fn scan(bytes: &[u8], replayed: &mut Replayed, each: &mut impl FnMut(Change)) {
    let (mut rest, mut begun) = (bytes, false);
    while rest.len() >= HEAD {
        let found = read(rest, replayed.number).and_then(|found| {
            let Found { number, length, .. } = found;
            Some((number, length, found.changes()?))
        });
        let step = if let Some((number, length, changes)) = found {
            replayed.lost += number - replayed.number;
            replayed.number = number + 1;
            changes.into_iter().for_each(&mut *each);
            begun = false;
            length
        } else {
            begun |= is_begun(rest, replayed.number);
            let Some(step) = next(rest) else { break };
            step
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    // The last one: cut off when the machine stopped, or damaged. Nobody can tell which.
    replayed.lost += u64::from(begun);
}

fn make_room(file: &File, room: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, room) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(room),
        Err(error) => Err(error.into()),
    }
}
