//! The rows of the spool: a log, the latest changes in memory, and a database below them.
//!
//! A commit is one record in the log and a change in memory. When a segment or its share of memory is full, or nobody
//! writes, what that holds then is brought into the database beside the writer, and the segment is let go. Most deliveries have come and
//! gone by then: neither they nor their bodies ever reach the database. A start reads the log back.
//!
//! | rows | key | content |
//! |---|---|---|
//! | `events` | sequence | the event with its body, once however many endpoints |
//! | `deliveries` | endpoint, sequence | a delivery that is not settled |
//! | `parked` | endpoint, sequence | the same row, for those that wait for a retry |
//! | `refs` | sequence | what is left of an event with several targets |
//! | `dedup`, `dedup_order` | key; sequence | what repeats are recognised by, and their age, one row per commit |
//! | `dead`, `dead_order` | endpoint, sequence; place | dead letters, and their age |
//! | `history` | block | what was settled, one block per commit |
//! | `history_index` | block | where the rows of the blocks up to this one are |
//! | `endpoints`, `counters` | endpoint | identity and state; numbers |
//! | `meta` | name | totals; `fold`: batches brought into the database |
//! | `damaged` | sequence | records set aside because a byte of them is wrong |

pub(crate) mod end;
mod fold;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod key;
mod layer;
pub(crate) mod log;
mod record;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use key::Key;
pub(crate) use record::Batch;
pub(crate) use rows::Rows;

use super::codec::seq_key;
use super::{Disk, StoredEvent, SystemDisk};
use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use fold::{Folder, Shared, Work};
use layer::{Change, Content, Layer, SPACES};
use log::{Log, SEGMENT};
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MIB: u64 = 1024 * 1024;
/// Rows a layer may hold. Removals are short in the log and not in memory: a backlog that drains would fill a segment
/// with them.
const LAYER_ROWS: usize = 64 * 1024;

/// Where the database keeps how many batches were brought into it, in a row of its own.
pub(crate) const META: usize = 11;
pub(crate) const FOLDED: &[u8] = b"fold";
/// A row that says: not all rows are there, and the numbers are to be counted again.
pub(crate) const RECOUNT: &[u8] = b"recount";

/// One kind of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space(u8);

#[cfg(test)]
impl Space {
    /// What this kind is called.
    pub(super) fn name(self) -> &'static str {
        KINDS.get(usize::from(self.0)).map_or("", |(name, _)| *name)
    }
}

/// The database, shared with the thread that folds.
#[derive(Clone)]
pub(super) struct Base {
    db: Database,
    spaces: Vec<Keyspace>,
}

/// What lies above the database.
#[derive(Default)]
struct Layers {
    active: Layer,
    /// Being brought into the database.
    frozen: Option<Arc<Layer>>,
}

/// How a store works on its log.
#[derive(Clone)]
pub(crate) struct Ways {
    /// Where its bytes go.
    pub(crate) disk: Arc<dyn Disk>,
    /// Bytes of a segment.
    pub(crate) segment: u64,
    /// Without a thread: what fills a segment is brought into the database before the next commit.
    pub(crate) by_hand: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { disk: Arc::new(SystemDisk), segment: SEGMENT, by_hand: false }
    }
}

/// An open store. One thread writes, any may read.
pub(crate) struct Store {
    pub(crate) events: Space,
    pub(crate) deliveries: Space,
    pub(crate) parked: Space,
    pub(crate) refs: Space,
    pub(crate) dedup: Space,
    pub(crate) dedup_order: Space,
    pub(crate) dead: Space,
    pub(crate) dead_order: Space,
    pub(crate) history: Space,
    pub(crate) endpoints: Space,
    pub(crate) counters: Space,
    pub(crate) meta: Space,
    pub(crate) damaged: Space,
    pub(crate) history_index: Space,
    /// Commits that are missing in the log, and batches that are missing in the database.
    pub(super) lost: u64,
    /// The numbers may not be what the rows come to, and must be counted again.
    pub(super) uncounted: bool,
    /// What was found in the log may not be on disk before [`Self::settle_down`] has written it again.
    pub(super) unsynced: bool,
    log: Mutex<Log>,
    log_folder: PathBuf,
    shared: Arc<Shared>,
    base: Base,
    /// Rows that ranges were looked through for, removed ones included.
    #[cfg(test)]
    pub(super) looked: std::sync::atomic::AtomicUsize,
    // Last: its end waits for its thread, which uses the rest.
    folder: Folder,
}

/// Rows of each kind that the database keeps in memory before it writes them.
const KINDS: [(&str, u64); SPACES] = [
    ("events", 8 * MIB),
    ("deliveries", 4 * MIB),
    ("parked", MIB),
    ("refs", MIB),
    ("dedup", 4 * MIB),
    ("dedup_order", 2 * MIB),
    ("dead", MIB),
    ("dead_order", MIB),
    ("history", 4 * MIB),
    ("endpoints", MIB),
    ("counters", MIB),
    ("meta", MIB),
    ("damaged", MIB),
    ("history_index", MIB),
];

impl Store {
    /// Opens or creates database and log. Everything found is on disk when this returns: what a crash left in the
    /// kernel's buffers is synced, so that a repeat may be answered from it.
    pub(super) fn open(database: &Path, log: &Path, ways: &Ways) -> fjall::Result<Self> {
        Self::over(Base::open(database)?, log, ways, false)
    }

    /// The same over a database that is open. `uncounted`: not all of it is there any more.
    pub(super) fn over(base: Base, log: &Path, ways: &Ways, uncounted: bool) -> fjall::Result<Self> {
        let noted = end::read(log).unwrap_or_else(|error| {
            tracing::error!(%error, "how far the spool's log reached is not known any more");
            None
        });
        let end = noted.unwrap_or_default();
        let mut layer = Layer::default();
        let replayed = log::replay(log, end.number, ways, |change| layer.apply(change))?;
        let meta = base.spaces.get(META).ok_or(fjall::Error::Unrecoverable)?;
        let folded =
            meta.get(FOLDED)?.and_then(|row| Some(u64::from_le_bytes(row.as_ref().try_into().ok()?)));
        let folded = folded.unwrap_or_default();
        // The database was made anew: what is missing in it is in what was set aside.
        let missing = if uncounted { 0 } else { end.folded.saturating_sub(folded) };
        // Numbers are written with the rows they count. Where the last commit of all is not whole and the database holds
        // nothing but what was noted, which the log reaches, all that is there is what the commit before it left.
        let exact = noted.is_some() && folded == end.folded;
        let uncounted = uncounted
            || replayed.lost + missing > 0
            || (replayed.torn && !exact)
            || meta.get(RECOUNT)?.is_some();
        if uncounted {
            // What was found is gone from the log soon; that its numbers are wrong is to be known until they are right.
            let row = Some(Content::Row(Bytes::from_static(&[1])));
            let key = Key::from_slice(RECOUNT);
            layer.apply(Change { space: u8::try_from(META).unwrap_or(u8::MAX), key, row, born: false });
        }
        let shared = Arc::new(Shared::default());
        for count in [&shared.folded, &shared.synced] {
            count.store(folded.max(end.folded), Ordering::Release);
        }
        let folder = Folder::start(base.clone(), log.to_owned(), Arc::clone(&shared), ways)?;
        if uncounted || !replayed.segments.is_empty() {
            let layer = Arc::new(layer);
            lock(&shared.layers).frozen = Some(Arc::clone(&layer));
            folder.begin(Work { layer, segments: replayed.segments, next: replayed.number, reuse: false });
        }
        Ok(Self {
            events: Space(0),
            deliveries: Space(1),
            parked: Space(2),
            refs: Space(3),
            dedup: Space(4),
            dedup_order: Space(5),
            dead: Space(6),
            dead_order: Space(7),
            history: Space(8),
            endpoints: Space(9),
            counters: Space(10),
            meta: Space(11),
            damaged: Space(12),
            history_index: Space(13),
            lost: replayed.lost + missing + u64::from(replayed.torn),
            uncounted,
            unsynced: replayed.unsynced,
            log: Mutex::new(Log::new(log, replayed.number, ways)),
            log_folder: log.to_owned(),
            shared,
            base,
            #[cfg(test)]
            looked: std::sync::atomic::AtomicUsize::new(0),
            folder,
        })
    }

    /// Hands a commit to the operating system, where a kill of this process cannot undo it, and shows it to readers.
    /// The batch is empty afterwards.
    pub(super) fn write(&self, batch: &mut Batch) -> fjall::Result<()> {
        self.shared.check()?;
        if self.is_damaged() {
            return Err(fjall::Error::Unrecoverable);
        }
        let mut log = lock(&self.log);
        if !log.has_room(batch.len()) || lock(&self.shared.layers).active.len() >= LAYER_ROWS {
            self.turn(&mut log, batch.len())?;
        }
        log.append(batch)?;
        drop(log);
        let mut layers = lock(&self.shared.layers);
        for change in batch.drain() {
            layers.active.apply(change);
        }
        Ok(())
    }

    /// The next segment. What the one before holds goes into the database.
    fn turn(&self, log: &mut Log, bytes: usize) -> fjall::Result<()> {
        self.shared.idle()?;
        let Some(before) = log.turn(bytes)? else { return Ok(()) };
        let layer = {
            let mut layers = lock(&self.shared.layers);
            let layer = Arc::new(std::mem::take(&mut layers.active));
            layers.frozen = Some(Arc::clone(&layer));
            layer
        };
        self.folder.begin(Work { layer, segments: vec![before], next: log.number(), reuse: true });
        Ok(())
    }

    /// Brings what lies in memory into the database beside the writer, if it is more than so many rows and nothing is
    /// being brought there.
    pub(super) fn fold(&self, rows: usize) -> fjall::Result<()> {
        let due = {
            let layers = lock(&self.shared.layers);
            layers.frozen.is_none() && layers.active.len() > rows
        };
        if due { self.turn(&mut lock(&self.log), 0) } else { Ok(()) }
    }

    /// Rows that lie in memory, over the database.
    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        let layers = lock(&self.shared.layers);
        layers.active.len() + layers.frozen.as_ref().map_or(0, |frozen| frozen.len())
    }

    /// The number of the next commit.
    pub(super) fn commits(&self) -> u64 {
        lock(&self.log).number()
    }

    /// Everything written is on disk when this returns.
    pub(super) fn sync(&self) -> fjall::Result<()> {
        Ok(lock(&self.log).sync()?)
    }

    /// Everything written is on disk, and how far it reaches is noted there.
    pub(super) fn end(&self) -> fjall::Result<()> {
        self.sync()?;
        let number = lock(&self.log).number();
        Ok(self.shared.note(&self.log_folder, number)?)
    }

    /// Something that was read from the database is damaged. Nothing more is written until it was repaired.
    pub(super) fn is_damaged(&self) -> bool {
        self.shared.damaged.load(Ordering::Acquire)
    }

    /// Reads from the database. A damaged file may fail an assertion inside it.
    fn below<T>(&self, read: impl FnOnce() -> fjall::Result<T>) -> fjall::Result<T> {
        let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(fjall::Error::Unrecoverable));
        if let Err(error) = &read
            && is_damage(error)
        {
            self.shared.damaged.store(true, Ordering::Release);
        }
        read
    }

    /// Reads what a start needs: all of it, if the numbers are to be counted.
    pub(super) fn probe(&self) -> fjall::Result<()> {
        let needed = [self.endpoints, self.counters, self.meta];
        let all = (0..u8::try_from(SPACES).unwrap_or(u8::MAX)).map(Space);
        let spaces: Vec<Space> = if self.uncounted { all.collect() } else { needed.to_vec() };
        for space in spaces {
            for row in self.all(&space) {
                row?;
            }
        }
        Ok(())
    }

    /// Waits until what was found in the log is in the database, and on disk there.
    pub(super) fn settle_down(&self) -> fjall::Result<()> {
        self.shared.idle()
    }

    /// The row of a key, as the last commit left it.
    pub(crate) fn get(&self, space: &Space, key: impl AsRef<[u8]>) -> fjall::Result<Option<Bytes>> {
        let key = Key::from_slice(key.as_ref());
        let frozen = {
            let layers = lock(&self.shared.layers);
            if let Some(entry) = layers.active.get(space.0, &key) {
                return Ok(entry.row.as_ref().map(Content::bytes));
            }
            layers.frozen.clone()
        };
        if let Some(entry) = frozen.as_ref().and_then(|frozen| frozen.get(space.0, &key)) {
            return Ok(entry.row.as_ref().map(Content::bytes));
        }
        let Some(keyspace) = self.base.spaces.get(usize::from(space.0)) else { return Ok(None) };
        self.below(|| Ok(keyspace.get(&key)?.map(Bytes::from)))
    }

    /// The rows of a range in the order of their keys. They are read in parts: a row that is changed while the
    /// iterator lives may be seen before or after.
    pub(crate) fn range<K: AsRef<[u8]>>(&self, space: &Space, range: impl RangeBounds<K>) -> Rows<'_> {
        Rows::new(self, space.0, bounds(&range), false)
    }

    /// The same, from the last to the first.
    pub(crate) fn range_back<K: AsRef<[u8]>>(&self, space: &Space, range: impl RangeBounds<K>) -> Rows<'_> {
        Rows::new(self, space.0, bounds(&range), true)
    }

    /// All rows of a kind.
    pub(crate) fn all(&self, space: &Space) -> Rows<'_> {
        Rows::new(self, space.0, (Bound::Unbounded, Bound::Unbounded), false)
    }

    /// Writes what the database has in memory to tables.
    #[cfg(test)]
    pub(super) fn make_tables(&self) {
        self.settle_down().unwrap();
        for space in &self.base.spaces {
            space.rotate_memtable_and_wait().unwrap();
        }
    }

    /// The name of each kind of rows, in their order.
    pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, _)| *name)
    }

    /// The kind of rows of this name.
    #[cfg(test)]
    pub(super) fn space(&self, name: &str) -> Space {
        let place = KINDS.iter().position(|(kind, _)| *kind == name).unwrap();
        Space(u8::try_from(place).unwrap())
    }

    /// Bytes of its files.
    pub(super) fn disk_space(&self) -> fjall::Result<u64> {
        Ok(self.base.db.disk_space()? + log::disk_space(&self.log_folder))
    }
}

impl Base {
    /// Sets rows of any kind in one write: kind, key, row.
    pub(super) fn set(&self, rows: Vec<(usize, Vec<u8>, Vec<u8>)>) -> fjall::Result<()> {
        fold::keep_pace(self)?;
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), rows.len());
        for (space, key, row) in rows {
            batch.insert(self.spaces.get(space).ok_or(fjall::Error::Unrecoverable)?, key, row);
        }
        batch.commit()
    }

    /// A row about the spool as a whole.
    pub(super) fn meta(&self, key: &[u8]) -> fjall::Result<Option<Bytes>> {
        let meta = self.spaces.get(META).ok_or(fjall::Error::Unrecoverable)?;
        Ok(meta.get(key)?.map(Bytes::from))
    }

    /// Everything set is on disk when this returns.
    pub(super) fn sync(&self) -> fjall::Result<()> {
        self.db.persist(PersistMode::SyncAll)
    }

    pub(super) fn open(path: &Path) -> fjall::Result<Self> {
        let db = Database::builder(path)
            .cache_size(16 * MIB)
            // fjall's smallest journal; more of them would be more memory and a longer start.
            .max_journaling_size(64 * MIB)
            .worker_threads(1)
            .open()?;
        let spaces = KINDS.iter().map(|(name, memtable)| {
            db.keyspace(name, || {
                // The filter of a table of small rows takes megabytes. Below the first level, where it is not held in
                // memory, whoever looks for a row would read all of it: in parts, of which each has its keys.
                KeyspaceCreateOptions::default()
                    .max_memtable_size(*memtable)
                    .filter_block_partitioning_policy(PartitioningPolicy::new([false, true]))
            })
        });
        let spaces = spaces.collect::<fjall::Result<_>>()?;
        // fjall leaves the names of its keyspaces' folders to the system, and a power cut could take them.
        std::fs::File::open(path.join("keyspaces"))?.sync_all()?;
        db.persist(PersistMode::SyncAll)?;
        Ok(Self { db, spaces })
    }
}

impl Batch {
    /// Sets a row.
    pub(crate) fn insert(&mut self, space: Space, key: &[u8], row: Vec<u8>) {
        let row = Some(Content::Row(row.into()));
        self.push(Change { space: space.0, key: Key::from_slice(key), row, born: false });
    }

    /// Sets a row whose key was never used before: if it goes soon, it never reaches the database.
    pub(crate) fn create(&mut self, space: Space, key: &[u8], row: Vec<u8>) {
        let row = Some(Content::Row(row.into()));
        self.push(Change { space: space.0, key: Key::from_slice(key), row, born: true });
    }

    /// The same of an event, whose row is written into the log and nowhere else until somebody wants it.
    pub(crate) fn create_event(&mut self, space: Space, event: Arc<StoredEvent>) {
        let key = Key::from_slice(&seq_key(event.seq));
        self.push(Change { space: space.0, key, row: Some(Content::Event(event)), born: true });
    }

    /// Takes a row away.
    pub(crate) fn remove(&mut self, space: Space, key: &[u8]) {
        self.push(Change { space: space.0, key: Key::from_slice(key), row: None, born: false });
    }
}

/// Whether an error says that bytes are wrong, and not that they could not be read now.
pub(super) fn is_damage(error: &fjall::Error) -> bool {
    let io = match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => io,
        fjall::Error::Poisoned | fjall::Error::Locked => return false,
        _ => return true,
    };
    matches!(io.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData)
}

fn bounds<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> (Bound<Key>, Bound<Key>) {
    let own = |bound: Bound<&K>| bound.map(|key| Key::from_slice(key.as_ref()));
    (own(range.start_bound()), own(range.end_bound()))
}

/// Every value behind these locks is whole at every instant, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
