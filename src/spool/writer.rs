//! The writer: one thread that owns every change.
//!
//! It takes what has been said since the last commit, makes one atomic batch of it and commits. Appends and
//! registrations are synced before they are answered; settlements reach the operating system in the same commit, so
//! that a kill of the process cannot undo them, and are synced within [`FLUSH`]. Numbers live in memory, are changed
//! as commands are applied and are written with the batch; if a commit fails they are read back from the store. What
//! cannot be read fails the commit as well: nothing is decided on it.

mod amend;
mod append;
mod command;
mod commit;
mod end;
mod endpoint;
mod housekeeping;
mod past;
mod recount;
mod recover;
mod settle;
mod walks;

use self::endpoint::Endpoint;
use self::walks::Walks;
use super::cache::Cache;
use super::embedded::{DedupLimits, Listener};
use super::folder::Folder;
use super::index::Index;
use super::meters::Meters;
use super::record::{DedupRow, KeyAge, Totals};
use super::settled::Block;
use super::shared::Shared;
use super::store::{Batch, Space, Store, Ways};
use super::{Accepted, DeadReason, Lease, Receipt, Refusal, SpoolError, Unwritten};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::SpoolConfig;
use crate::ids::{EndpointUid, Seq};
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub(crate) use amend::{Amended, Amendment, Refused};
pub(super) use command::Command;

/// What is written without a sync of its own is synced after this.
const FLUSH: Duration = Duration::from_millis(100);
/// How often budgets and the disk are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How soon, when there is more to do than one slice.
const NEXT_SLICE: Duration = Duration::from_millis(5);
/// How often a store that fails is opened again.
const RETRY: Duration = Duration::from_millis(500);
/// Commands of one commit.
const COMMANDS: usize = 4096;
/// Bytes of one commit, and of the events that are read for it.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// Where an answer goes.
type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// An append that waits for its commit.
struct Answer {
    reply: oneshot::Sender<Receipt>,
    accepted: Vec<Accepted>,
    permit: Option<Box<dyn Any + Send>>,
}

/// The commit being made.
#[derive(Default)]
struct Cycle {
    batch: Batch,
    durable: bool,
    answers: Vec<Answer>,
    leases: Vec<(Reply<Lease>, Lease)>,
    numbers: Vec<(Reply<Vec<EndpointUid>>, Vec<EndpointUid>)>,
    /// Keys that are not in the store yet.
    keys: HashMap<[u8; 16], DedupRow>,
    /// Those that were stored, by sequence.
    ages: Vec<KeyAge>,
    events: Vec<Seq>,
    endpoints: Vec<EndpointUid>,
    /// What older leases said in this commit.
    older: Vec<(Arc<Unwritten>, usize)>,
    block: Block,
    died: BTreeMap<(EndpointUid, DeadReason), u64>,
    /// Letters and deliveries that were amended in this commit: what is read of them is out of date.
    amended: std::collections::HashSet<(EndpointUid, Seq)>,
    /// Who amended waits for this commit.
    amendments: Vec<(Reply<Amended>, Amended)>,
    erased: BTreeMap<EndpointUid, Vec<Seq>>,
    /// What was set aside in this commit, and whether its row said how long its event is: what is read of it is out of
    /// date.
    aside: BTreeMap<(Seq, EndpointUid), bool>,
    /// Said once and never again by whoever said it: kept until it is written.
    said: Vec<Command>,
}

/// The state of the writer's thread.
pub(super) struct Writer {
    /// Whose requests are answered; none: the spool was opened outside of a runtime.
    runtime: Option<tokio::runtime::Handle>,
    folder: Folder,
    store: Option<Arc<Store>>,
    ways: Ways,
    shared: Arc<Shared>,
    config: SpoolConfig,
    dedup: DedupLimits,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    listener: Listener,
    meters: Meters,
    commands: Receiver<Command>,
    totals: Totals,
    endpoints: FxHashMap<EndpointUid, Endpoint>,
    cache: Cache,
    /// Where in history the latest blocks' rows are, not yet written.
    index: Index,
    cycle: Cycle,
    /// Kept while the store fails.
    kept: Vec<Command>,
    failing: Option<Refusal>,
    /// Something could not be read for the commit being made.
    unread: Option<fjall::Error>,
    /// A write or a sync has failed: what is on disk is not known before the store is opened again.
    unsure: bool,
    /// The database gave up by itself, though there is room: it may have met damage while it compacted.
    poisoned: bool,
    /// The listener was told that it fails.
    announced: bool,
    disk_full: bool,
    retry_at: Instant,
    unsynced_since: Option<Instant>,
    housekeeping_at: Instant,
    /// How many commits there were when it was looked at last whether anything is written.
    commits_seen: u64,
    /// Everything up to this delivery is to die, its endpoint being removed.
    removing: BTreeMap<EndpointUid, Seq>,
    /// Endpoints that have more waiting than `backlog`,
    overflowing: std::collections::BTreeSet<EndpointUid>,
    /// and when some of that is ended next.
    overflow_at: Instant,
    /// Which endpoint's turn was last: of those that are removed, of those that have too much.
    turns: [EndpointUid; 2],
    /// The first place whose deliveries nobody was told of.
    untold: u64,
    /// Where what goes by budget and age is looked for.
    walks: Walks,
    closing: Option<Reply<()>>,
}

/// What a writer is made of.
pub(super) struct Parts {
    pub(super) folder: Folder,
    pub(super) store: Arc<Store>,
    pub(super) ways: Ways,
    pub(super) shared: Arc<Shared>,
    pub(super) config: SpoolConfig,
    pub(super) dedup: DedupLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) listener: Listener,
    pub(super) meters: Meters,
    pub(super) commands: Receiver<Command>,
}

impl Writer {
    /// Reads the numbers of an opened store.
    pub(super) fn new(parts: Parts) -> fjall::Result<Self> {
        let now = parts.clock.now();
        let disk_full = !parts.folder.make_reserve() || parts.folder.is_full();
        let mut writer = Self {
            folder: parts.folder,
            store: Some(parts.store),
            ways: parts.ways,
            shared: parts.shared,
            config: parts.config,
            dedup: parts.dedup,
            clock: parts.clock,
            chance: parts.chance,
            runtime: tokio::runtime::Handle::try_current().ok(),
            listener: parts.listener,
            meters: parts.meters,
            commands: parts.commands,
            totals: Totals::default(),
            endpoints: FxHashMap::default(),
            cache: Cache::default(),
            index: Index::default(),
            cycle: Cycle::default(),
            kept: Vec::new(),
            failing: None,
            unread: None,
            unsure: false,
            poisoned: false,
            announced: false,
            disk_full,
            retry_at: now,
            unsynced_since: None,
            housekeeping_at: now,
            commits_seen: 0,
            removing: BTreeMap::new(),
            overflowing: std::collections::BTreeSet::new(),
            overflow_at: now,
            turns: [EndpointUid(u32::MAX); 2],
            untold: 0,
            walks: Walks::default(),
            closing: None,
        };
        writer.load()?;
        writer.recount()?;
        if let Err(error) = writer.write() {
            writer.fail("commit", &error);
        }
        writer.untold = writer.totals.next_seq;
        for (uid, endpoint) in &writer.endpoints {
            writer.shared.remember(*uid, endpoint.state);
        }
        writer.publish_all();
        writer.publish_trouble();
        Ok(writer)
    }

    /// Serves until it is told to close, or until nobody is left to tell it.
    pub(super) fn run(mut self) {
        while self.closing.is_none() {
            let now = self.clock.now();
            let first = match self.commands.recv_timeout(self.deadline().saturating_duration_since(now)) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.take_and_commit(first);
        }
        self.close();
    }

    /// The same without waiting, once. False: it was told to close.
    pub(super) fn turn(&mut self) -> bool {
        self.take_and_commit(None);
        self.closing.is_none()
    }

    /// Takes this and what else is there, commits all of it, and does what is due.
    fn take_and_commit(&mut self, mut first: Option<Command>) {
        let (mut count, mut bytes, cached) = (0, 0, self.cache.bytes());
        while count < COMMANDS && bytes < COMMIT_BYTES && self.closing.is_none() {
            let Some(command) = first.take().or_else(|| self.commands.try_recv().ok()) else { break };
            count += 1;
            bytes += command.weight();
            self.take(command);
            // Settling what has waited for long reads events.
            bytes = bytes.max(self.cache.bytes().saturating_sub(cached));
        }
        self.commit();
        self.tick();
    }

    fn deadline(&self) -> Instant {
        if self.failing.is_some() {
            return self.retry_at;
        }
        let synced_at = self.unsynced_since.map(|since| since + FLUSH);
        let relieved_at = Some(self.overflow_at).filter(|_| !self.overflowing.is_empty());
        let next = synced_at.into_iter().chain(relieved_at);
        next.fold(self.housekeeping_at, Instant::min)
    }

    /// What is due by the clock.
    fn tick(&mut self) {
        let now = self.clock.now();
        if self.failing.is_some() {
            if now >= self.retry_at {
                self.recover();
                self.retry_at = self.clock.now() + RETRY;
            }
            return;
        }
        if self.store.as_ref().is_some_and(|store| store.is_damaged()) {
            self.fail("read", &fjall::Error::Unrecoverable);
            return;
        }
        if self.unsynced_since.is_some_and(|since| now >= since + FLUSH) {
            self.sync();
        }
        if !self.overflowing.is_empty() && now >= self.overflow_at && self.failing.is_none() {
            let pause = self.end_overflow();
            self.commit();
            self.overflow_at = self.clock.now() + pause;
        }
        if now >= self.housekeeping_at && self.failing.is_none() {
            let more = self.housekeep();
            self.housekeeping_at = self.clock.now() + if more { NEXT_SLICE } else { HOUSEKEEPING };
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(append) => self.append(append),
            Command::Limits { config, dedup } => {
                self.config = config;
                self.dedup = dedup;
                self.housekeeping_at = self.clock.now();
            }
            Command::Close { reply } => self.closing = Some(reply),
            Command::Register { identities, reply } => self.register(identities, reply),
            Command::Acquire { endpoint, reply } => self.acquire(endpoint, reply),
            Command::Amend { amendment, reply } => self.amend(amendment, reply),
            #[cfg(test)]
            Command::Crash => panic!("told to crash"),
            said if !self.holds(&said) => {}
            said if self.failing.is_some() => self.kept.push(said),
            said => self.hear(said),
        }
    }

    /// Applies what is said once, and keeps it until that is written. Where something cannot be read nothing that was
    /// said for this commit is written, and all of it is applied again.
    fn hear(&mut self, said: Command) {
        if self.unread.is_none() {
            self.unread = self.apply(&said).err();
        }
        self.cycle.said.push(said);
    }

    fn apply(&mut self, said: &Command) -> fjall::Result<()> {
        match said {
            Command::Settle { endpoint, epoch, unwritten, seq, settlement } => {
                self.count(*endpoint, *epoch, unwritten);
                self.settle(*endpoint, *seq, settlement.result, &settlement.note)?;
                self.raise_low(*endpoint, settlement.low);
            }
            Command::Park { endpoint, epoch, unwritten, parked, note } => {
                self.count(*endpoint, *epoch, unwritten);
                self.park(*endpoint, parked, note)?;
            }
            Command::Tried { endpoint, seq, note, .. } => self.probed(*endpoint, *seq, note)?,
            Command::PutState { endpoint, state } => self.put_state(*endpoint, *state),
            Command::Remove { endpoint } => {
                let last = self.endpoints.get(endpoint).map_or(0, |known| known.counts.last);
                self.removing.insert(*endpoint, Seq(last));
                self.housekeeping_at = self.clock.now();
            }
            Command::Damaged { endpoint, seq } => self.set_aside(*endpoint, *seq)?,
            Command::Append(_)
            | Command::Limits { .. }
            | Command::Close { .. }
            | Command::Amend { .. }
            | Command::Register { .. }
            | Command::Acquire { .. } => {}
            #[cfg(test)]
            Command::Crash => {}
        }
        Ok(())
    }

    /// Whether what is said is heard. What an older lease says is ignored, but it need not wait for it either.
    fn holds(&self, said: &Command) -> bool {
        let (endpoint, epoch, unwritten) = match said {
            Command::Settle { endpoint, epoch, unwritten, .. }
            | Command::Park { endpoint, epoch, unwritten, .. } => (endpoint, epoch, Some(unwritten)),
            Command::Tried { endpoint, epoch, .. } => (endpoint, epoch, None),
            _ => return true,
        };
        let holds = self.endpoints.get(endpoint).is_some_and(|known| known.epoch == *epoch);
        if !holds && let Some(unwritten) = unwritten {
            unwritten.written(1);
        }
        holds
    }

    /// One more of what a lease said is being written. There may be a newer one since, if that has failed before; nothing
    /// was read under that before this is written.
    fn count(&mut self, uid: EndpointUid, epoch: u64, unwritten: &Arc<Unwritten>) {
        let endpoint = self.touch(uid);
        if endpoint.epoch == epoch {
            endpoint.written += 1;
        } else {
            self.cycle.older.push((Arc::clone(unwritten), 1));
        }
    }

    /// The endpoint, to be written with the commit.
    fn touch(&mut self, uid: EndpointUid) -> &mut Endpoint {
        let endpoint = self.endpoints.entry(uid).or_default();
        if !endpoint.touched {
            endpoint.touched = true;
            self.cycle.endpoints.push(uid);
        }
        endpoint
    }

    fn insert(&mut self, space: impl FnOnce(&Store) -> &Space, key: &[u8], row: Vec<u8>) {
        if let Some(store) = &self.store {
            self.cycle.batch.insert(*space(store), key, row);
        }
    }

    /// Inserts a row whose key was never used before.
    fn create(&mut self, space: impl FnOnce(&Store) -> &Space, key: &[u8], row: Vec<u8>) {
        if let Some(store) = &self.store {
            self.cycle.batch.create(*space(store), key, row);
        }
    }

    fn remove(&mut self, space: impl FnOnce(&Store) -> &Space, key: &[u8]) {
        if let Some(store) = &self.store {
            self.cycle.batch.remove(*space(store), key);
        }
    }

    /// Reads a row as it was before this commit.
    fn read(&self, space: impl FnOnce(&Store) -> &Space, key: &[u8]) -> fjall::Result<Option<Bytes>> {
        let store = self.store.as_ref().ok_or(fjall::Error::Poisoned)?;
        let space = space(store);
        #[cfg(test)]
        crate::spool::faults::check_read(&self.config.path, space.name(), key)?;
        store.get(space, key).inspect_err(|error| self.unreadable(error))
    }

    /// Counts what could not be read.
    fn unreadable(&self, error: &fjall::Error) {
        self.meters.read_errors.increment(1);
        tracing::error!(%error, "the spool cannot read a row");
    }

    fn now_ms(&self) -> u64 {
        crate::clock::unix_ms(&*self.clock)
    }
}
