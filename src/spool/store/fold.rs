//! Brings what a log holds into the database, beside the writer.

use super::end::{self, End};
use super::layer::{Layer, SPACES};
use super::{Base, FOLDED, Layers, META, Ways, lock};
use crossbeam_channel::{Receiver, Sender};
use fjall::{Keyspace, OwnedWriteBatch, PersistMode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows and bytes of one write to the database.
const ROWS: usize = 2000;
const BYTES: usize = 512 * 1024;

/// A layer to be brought into the database, and the segments that are not needed then.
pub(super) struct Work {
    pub(super) layer: Arc<Layer>,
    pub(super) segments: Vec<PathBuf>,
    /// The number of the first commit that is not in it.
    pub(super) next: u64,
    /// One of the segments may be used again: it was written by this process, so that nothing in it is torn.
    pub(super) reuse: bool,
}

/// Between the writer, the readers and the folder.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) layers: Mutex<Layers>,
    /// A fold is over, well or not.
    done: Condvar,
    /// Why the last fold failed; it is not tried again before the store is opened anew.
    failed: Mutex<Option<fjall::Error>>,
    failing: AtomicBool,
    stop: AtomicBool,
    /// Something that was read from the database is damaged.
    pub(super) damaged: AtomicBool,
    /// Batches brought into the database since it was made.
    pub(super) folded: AtomicU64,
    /// As many of them as are on disk for certain.
    pub(super) synced: AtomicU64,
    /// Held while it is noted how far all of it reaches: the writer's thread and the folder's do so.
    noting: Mutex<End>,
}

impl Shared {
    /// The error that ended the folding, if one did; the first who asks has it.
    pub(super) fn check(&self) -> fjall::Result<()> {
        if !self.failing.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(lock(&self.failed).take().unwrap_or(fjall::Error::Poisoned))
    }

    /// Waits until no layer is being folded.
    pub(super) fn idle(&self) -> fjall::Result<()> {
        let mut layers = lock(&self.layers);
        while layers.frozen.is_some() {
            self.check()?;
            let waited = self.done.wait_timeout(layers, Duration::from_millis(50));
            layers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.check()
    }

    /// Notes in the log's folder how far log and database are known to reach.
    pub(super) fn note(&self, log: &Path, number: u64) -> std::io::Result<()> {
        let mut noted = lock(&self.noting);
        let number = number.max(noted.number);
        *noted = End { number, folded: self.synced.load(Ordering::Acquire) };
        end::write(log, *noted)
    }

    fn end(&self, result: fjall::Result<()>) {
        match result {
            Ok(()) => lock(&self.layers).frozen = None,
            Err(error) => {
                *lock(&self.failed) = Some(error);
                self.failing.store(true, Ordering::Release);
            }
        }
        self.done.notify_all();
    }
}

/// From where and to where it is brought.
struct Place {
    base: Base,
    log: PathBuf,
    /// Bytes of a segment.
    segment: u64,
}

/// Who folds: a thread, or whoever begins it.
pub(super) struct Folder {
    shared: Arc<Shared>,
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    by_hand: Option<Place>,
}

impl Folder {
    pub(super) fn start(base: Base, log: PathBuf, shared: Arc<Shared>, ways: &Ways) -> std::io::Result<Self> {
        let place = Place { base, log, segment: ways.segment };
        if ways.by_hand {
            return Ok(Self { shared, work: None, thread: None, by_hand: Some(place) });
        }
        let (work, queue) = crossbeam_channel::bounded(1);
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("spool-folder".to_owned())
            .spawn(move || run(&place, &own, &queue))?;
        Ok(Self { shared, work: Some(work), thread: Some(thread), by_hand: None })
    }

    /// Only when no other work is there.
    pub(super) fn begin(&self, work: Work) {
        if let Some(place) = &self.by_hand {
            one(place, &self.shared, work);
            return;
        }
        // Its thread ended with an error that nobody has asked for yet.
        if self.work.as_ref().is_none_or(|queue| queue.send(work).is_err()) {
            self.shared.end(Err(fjall::Error::Poisoned));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // It has said what there was to say.
            let _ = thread.join();
        }
    }
}

fn run(place: &Place, shared: &Shared, queue: &Receiver<Work>) {
    for work in queue {
        if !one(place, shared, work) {
            return;
        }
    }
}

/// Folds one layer. False: it did not come to its end, and nothing more is to be folded.
fn one(place: &Place, shared: &Shared, work: Work) -> bool {
    let Work { layer, segments, next, reuse } = work;
    // A damaged file may fail an assertion inside the database.
    let folded = catch_unwind(AssertUnwindSafe(|| fold(&place.base, &layer, shared)));
    let folded = folded.unwrap_or(Err(fjall::Error::Poisoned));
    drop(layer);
    match folded {
        // What is left of it lies in the log still.
        Ok(false) => false,
        Ok(true) => {
            let folded = shared.folded.load(Ordering::Acquire);
            shared.synced.store(folded, Ordering::Release);
            let reuse = reuse.then_some(place.segment);
            let noted = shared.note(&place.log, next);
            let released = noted.and_then(|()| super::log::release(&segments, reuse));
            shared.end(released.map_err(fjall::Error::Io));
            true
        }
        Err(error) => {
            shared.end(Err(error));
            false
        }
    }
}

/// True: all of it is in the database and on disk. False: it was told to stop.
fn fold(base: &Base, layer: &Layer, shared: &Shared) -> fjall::Result<bool> {
    let meta = base.spaces.get(META).ok_or(fjall::Error::Unrecoverable)?;
    for space in 0..u8::try_from(SPACES).unwrap_or(u8::MAX) {
        let (Some(rows), Some(keyspace)) = (layer.rows(space), base.spaces.get(usize::from(space))) else {
            continue;
        };
        let mut rows = rows.iter().peekable();
        while rows.peek().is_some() {
            if shared.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            keep_pace(base)?;
            let mut batch = OwnedWriteBatch::with_capacity(base.db.clone(), ROWS);
            let mut bytes = 0;
            while batch.len() < ROWS && bytes < BYTES {
                let Some((key, entry)) = rows.next() else { break };
                match &entry.row {
                    Some(row) => {
                        let row = row.bytes();
                        bytes += row.len();
                        batch.insert(keyspace, &key[..], row);
                    }
                    None => batch.remove(keyspace, &key[..]),
                }
            }
            // Which batches are there shows in their numbers: one that is missing leaves a gap.
            let folded = shared.folded.load(Ordering::Acquire) + 1;
            batch.insert(meta, FOLDED, folded.to_le_bytes());
            batch.commit()?;
            shared.folded.store(folded, Ordering::Release);
        }
    }
    base.db.persist(PersistMode::SyncAll)?;
    Ok(true)
}

/// Waits while the background work is so far behind that fjall would block a commit.
///
/// fjall then sleeps without looking whether its worker still lives: a full disk kills the worker, and the commit
/// would never return. Here the poison is noticed.
pub(super) fn keep_pace(base: &Base) -> fjall::Result<()> {
    let busy = |keyspace: &Keyspace| keyspace.sealed_memtable_count() >= 2 || keyspace.l0_table_count() >= 28;
    while base.spaces.iter().any(busy) {
        base.db.persist(PersistMode::Buffer)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
