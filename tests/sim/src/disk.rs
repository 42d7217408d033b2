//! A disk that fails when told to, and forgets what was not synced when the power goes.

use crate::chance::Draws;
use crate::trace::Trace;
use postrider::spool::Disk;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// The disk under the daemon's log. It outlives the daemon.
pub(crate) struct SimDisk {
    state: Mutex<State>,
    trace: Trace,
}

#[derive(Default)]
struct State {
    unsynced: Vec<Written>,
    failing_writes: u32,
    failing_syncs: u32,
    full: bool,
    /// The power goes after so many calls.
    cut_after: Option<u32>,
    dark: bool,
}

/// One write that a power cut may undo.
struct Written {
    path: PathBuf,
    at: u64,
    before: Vec<u8>,
    bytes: Vec<u8>,
    /// A sync of it has failed: the system believes it to be on disk, and no later sync writes it.
    given_up: bool,
}

impl SimDisk {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { state: Mutex::default(), trace }
    }

    pub(crate) fn fail_writes(&self, count: u32) {
        self.state().failing_writes = count;
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// There is no room for anything, or there is again.
    pub(crate) fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// The power goes in the middle of a commit, after so many calls from now.
    pub(crate) fn cut_after(&self, calls: u32) {
        self.state().cut_after = Some(calls);
    }

    /// Whether the power is gone, and the daemon has not noticed yet.
    pub(crate) fn is_dark(&self) -> bool {
        self.state().dark
    }

    /// The daemon was killed, and the machine lives: everything written is there.
    pub(crate) fn killed(&self) {
        let mut state = self.state();
        (state.failing_writes, state.failing_syncs, state.cut_after) = (0, 0, None);
    }

    /// The power was gone and is back. Of what was not synced, any part is there.
    pub(crate) fn cut(&self, draws: &Draws) -> io::Result<(usize, usize)> {
        let mut state = self.state();
        let full = state.full;
        let mut state = std::mem::replace(&mut *state, State { full, ..State::default() });
        state.unsynced.retain(|written| written.path.exists());
        for written in state.unsynced.iter().rev() {
            OpenOptions::new().write(true).open(&written.path)?.write_all_at(&written.before, written.at)?;
        }
        let luck = draws.between(0, 3);
        let mut kept = 0;
        for written in &state.unsynced {
            let file = OpenOptions::new().write(true).open(&written.path)?;
            for (number, sector) in written.bytes.chunks(SECTOR).enumerate() {
                // All lost, all kept, or each sector for itself.
                if luck == 1 || (luck > 1 && draws.percent(50)) {
                    file.write_all_at(sector, written.at + (number * SECTOR) as u64)?;
                    kept += 1;
                }
            }
        }
        let sectors = state.unsynced.iter().map(|written| written.bytes.len().div_ceil(SECTOR)).sum();
        Ok((kept, sectors))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is power for one more call.
    fn powered(&mut self) -> io::Result<()> {
        match &mut self.cut_after {
            Some(0) => {
                self.dark = true;
                Err(io::Error::other("no power"))
            }
            Some(calls) => {
                *calls -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.state();
        state.powered()?;
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.failing_writes > 0 {
            state.failing_writes -= 1;
            self.trace.say("disk", format_args!("a write of {} bytes fails", bytes.len()));
            return Err(io::Error::other("the disk cannot write"));
        }
        let mut before = vec![0; bytes.len()];
        file.read_exact_at(&mut before, at)?;
        file.write_all_at(bytes, at)?;
        self.trace.say("disk", format_args!("{} bytes at {at}", bytes.len()));
        let (path, bytes) = (path.to_owned(), bytes.to_owned());
        state.unsynced.push(Written { path, at, before, bytes, given_up: false });
        Ok(())
    }

    fn sync(&self, _: &File, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.powered()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            self.trace.say("disk", "a sync fails");
            let of_file = state.unsynced.iter_mut().filter(|written| written.path == path);
            of_file.for_each(|written| written.given_up = true);
            return Err(io::Error::other("the disk cannot sync"));
        }
        state.unsynced.retain(|written| written.given_up || written.path != path);
        Ok(())
    }
}
