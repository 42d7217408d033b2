//! The spool in a folder of this machine.

use super::folder::{Folder, OpenError};
use super::meters::Meters;
use super::opening::open_store;
use super::read::{self, Found};
use super::shared::{Seen, Shared};
use super::store::{Store, Ways};
use super::writer::{Amended, Amendment, Command, Parts, Writer};
use super::{
    Append, Backlog, EndpointState, HistoryNote, Lease, Parked, Pending, ReadLimit, Refusal, Settlement,
    Spool, SpoolError, SpoolEvent, Trouble,
};
use crate::chance::{Chance, SystemChance};
use crate::clock::{Clock, unix_ms};
use crate::config::SpoolConfig;
use crate::ids::{EndpointUid, Identity, Seq};
use crate::metrics::Metrics;
use crossbeam_channel::Sender;
use futures_util::future::BoxFuture;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Who hears what the spool says by itself; called on the writer's thread, so it must only pass it on.
pub type Listener = Box<dyn Fn(SpoolEvent) + Send>;

/// How long and how many repeats are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupLimits {
    /// How long a key is remembered. `dedup_window`.
    pub window: Duration,
    /// How many keys are remembered; the oldest are forgotten first, and counted. `dedup_max`.
    pub max: u64,
}

/// Reads of endpoints at once; each holds a thread that may block.
const READERS: usize = 4;
/// The same of people: no delivery waits for what they ask.
const PEOPLE: usize = 2;
/// Endpoints that are registered with one command.
const NAMES_AT_ONCE: usize = 4096;
/// Kept back on the disk, so that settlements can be written when it is full. fjall's smallest journal.
const RESERVE: u64 = 64 * 1024 * 1024;

/// The spool in a folder of this machine: a cheap handle in front of the writer's thread and the readers.
pub struct EmbeddedSpool {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    /// None: reads block whoever makes them.
    readers: Option<Arc<Semaphore>>,
    people: Option<Arc<Semaphore>>,
    /// Cancelled when the writer has ended, however it did.
    over: CancellationToken,
}

/// What a spool is opened with.
pub(super) struct Opening<'a> {
    pub(super) config: &'a SpoolConfig,
    pub(super) dedup: DedupLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: &'a Metrics,
    pub(super) listener: Listener,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) reserve: u64,
    pub(super) ways: Ways,
}

/// A spool, and its writer before anybody runs it.
pub(super) struct Opened {
    pub(super) spool: EmbeddedSpool,
    pub(super) writer: Writer,
    /// Kept by whoever runs the writer.
    pub(super) over: DropGuard,
}

impl Opening<'_> {
    pub(super) fn open(self) -> Result<Opened, OpenError> {
        let Self { config, dedup, clock, metrics, listener, chance, reserve, ways } = self;
        let meters = Meters::new(metrics);
        let folder = Folder::lock(&config.path, reserve, unix_ms(&*clock))?;
        let store = open_store(&folder, &ways, &meters, unix_ms(&*clock))?;
        folder.sync_names()?;
        let shared = Arc::new(Shared::default());
        let (commands, receiver) = crossbeam_channel::unbounded();
        let permits = |count| (!ways.by_hand).then(|| Arc::new(Semaphore::new(count)));
        let (readers, people) = (permits(READERS), permits(PEOPLE));
        let parts = Parts {
            folder,
            store: Arc::new(store),
            ways,
            shared: Arc::clone(&shared),
            config: config.clone(),
            dedup,
            clock,
            chance,
            listener,
            meters,
            commands: receiver,
        };
        let writer = Writer::new(parts).map_err(|error| OpenError::Store(error.to_string()))?;
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        Ok(Opened { spool: EmbeddedSpool { shared, commands, readers, people, over }, writer, over: guard })
    }
}

impl EmbeddedSpool {
    /// Opens or creates the spool and starts its writer. What `listener` hears, it hears in order.
    ///
    /// A database that cannot be opened is put aside whole, loudly, and the spool starts empty.
    ///
    /// # Errors
    /// Another process holds the folder, its format is another version's, or nothing can be written there.
    pub fn open(
        config: &SpoolConfig,
        dedup: DedupLimits,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        listener: Listener,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(config, dedup, clock, metrics, listener, RESERVE)
    }

    pub(super) fn open_with(
        config: &SpoolConfig,
        dedup: DedupLimits,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        listener: Listener,
        reserve: u64,
    ) -> Result<Arc<Self>, OpenError> {
        let (chance, ways) = (Arc::new(SystemChance), Ways::default());
        let opening = Opening { config, dedup, clock, metrics, listener, chance, reserve, ways };
        let Opened { spool, writer, over } = opening.open()?;
        std::thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || {
                let _over = over;
                writer.run();
            })
            .map_err(|error| OpenError::Store(error.to_string()))?;
        Ok(Arc::new(spool))
    }

    /// Ends when the writer has: it was closed, or it panicked. Nothing is taken any more then.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// Makes the writer panic.
    #[cfg(test)]
    pub(crate) fn crash(&self) {
        self.tell(Command::Crash);
    }

    /// Changes the budgets, from the next commit on. `config.path` stays what it is.
    pub fn set_limits(&self, config: &SpoolConfig, dedup: DedupLimits) {
        self.tell(Command::Limits { config: config.clone(), dedup });
    }

    /// The database as it is now.
    #[cfg(test)]
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        self.shared.store()
    }

    /// Every endpoint the spool has ever known, and who it is.
    #[must_use]
    pub fn known(&self) -> Vec<(EndpointUid, Option<Identity>)> {
        let mut known: FxHashMap<EndpointUid, Option<Identity>> = FxHashMap::default();
        known.extend(self.shared.all_seen(|_| true).into_iter().map(|(uid, _)| (uid, None)));
        known.extend(self.shared.names().iter().map(|(uid, identity)| (uid, Some(identity.clone()))));
        known.into_iter().collect()
    }

    /// The endpoints that something waits for. Counts are published with their rows, before anybody is answered.
    #[must_use]
    pub fn awaited(&self) -> Vec<EndpointUid> {
        let waiting = self.shared.all_seen(|seen| seen.counts.ready + seen.counts.parked > 0);
        waiting.into_iter().map(|(uid, _)| uid).collect()
    }

    /// The endpoints that have deliveries which wait or are dead, each with the newest it ever had.
    pub(crate) fn holding(&self) -> Vec<(EndpointUid, Seq)> {
        let any = |seen: &Seen| seen.counts.ready + seen.counts.parked + seen.counts.dead > 0;
        self.shared.all_seen(any).into_iter().map(|(uid, seen)| (uid, Seq(seen.counts.last))).collect()
    }

    /// Who an endpoint is.
    #[must_use]
    pub fn identity(&self, uid: EndpointUid) -> Option<Identity> {
        self.shared.names().identity(uid).cloned()
    }

    fn tell(&self, command: Command) {
        let Err(unsent) = self.commands.send(command) else { return };
        // Closed, or its thread is gone: nobody will take anything from now on.
        self.shared.set_trouble(Some(Trouble { reason: SpoolError::Closed.to_string(), full: false }));
        if let Command::Append(append) = unsent.0 {
            let _ = append.reply.send(Err(Refusal::Failing(SpoolError::Closed.to_string())));
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Command,
    ) -> BoxFuture<'static, Result<T, SpoolError>> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply));
        Box::pin(async move { answer.await.unwrap_or(Err(SpoolError::Closed)) })
    }

    /// Runs a read where it may block, if the lease is in force.
    fn on_reader<T: Send + 'static>(
        &self,
        lease: &Lease,
        read: impl FnOnce(&Store, &Seen) -> Result<T, SpoolError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SpoolError>> {
        let shared = Arc::clone(&self.shared);
        let (uid, epoch) = (lease.endpoint, lease.epoch);
        self.run(self.readers.clone(), move |store| {
            let seen = shared.seen(uid);
            if seen.epoch == epoch { read(store, &seen) } else { Err(SpoolError::Fenced) }
        })
    }

    /// Runs a read that people have asked for where it may block.
    pub(crate) fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SpoolError>> {
        self.run(self.people.clone(), read)
    }

    /// Runs a read where it may block, once there is a permit for it.
    fn run<T: Send + 'static>(
        &self,
        permits: Option<Arc<Semaphore>>,
        read: impl FnOnce(&Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SpoolError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let read = move || {
                let store = shared.store();
                read(&*store.ok_or_else(|| SpoolError::Store("it is being opened again".to_owned()))?)
            };
            let Some(permits) = permits else { return read() };
            let turn = permits.acquire_owned().await.map_err(|_| SpoolError::Closed)?;
            let work = move || {
                // Whoever asked may be gone before the read is done: the turn is over when it is.
                let _turn = turn;
                read()
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(result) => result,
                Err(error) => Err(SpoolError::Store(error.to_string())),
            }
        })
    }

    /// Has dead letters, deliveries or history changed by a person's wish; answered when that is durable, a replay when
    /// it is written: it is synced within 100 ms.
    pub(crate) fn amend(&self, amendment: Amendment) -> BoxFuture<'static, Result<Amended, SpoolError>> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Amend { amendment, reply });
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(SpoolError::Store("the commit failed".to_owned())))
        })
    }

    /// Hands out what was found and has the damaged set aside.
    fn report(commands: &Sender<Command>, endpoint: EndpointUid, (found, damaged): Found) -> Vec<Pending> {
        for seq in damaged {
            let _ = commands.send(Command::Damaged { endpoint, seq });
        }
        found
    }

    fn backlog_of(&self, uid: EndpointUid, seen: &Seen, identity: Option<Identity>) -> Backlog {
        let counts = seen.counts;
        let waits = counts.ready + counts.parked > 0;
        let store = if waits { self.shared.store() } else { None };
        let nameless = || Identity { name: Arc::from(format!("endpoint {}", uid.0)), account: None };
        Backlog {
            uid,
            identity: identity.unwrap_or_else(nameless),
            ready: counts.ready,
            parked: counts.parked,
            dead: counts.dead,
            bytes: counts.bytes,
            oldest_ms: store.and_then(|store| read::oldest_ms(&store, uid, Seq(counts.low))),
        }
    }
}

impl Spool for EmbeddedSpool {
    fn append(&self, append: Append) {
        self.tell(Command::Append(append));
    }

    fn acquire(&self, endpoint: EndpointUid) -> BoxFuture<'static, Result<Lease, SpoolError>> {
        self.ask(|reply| Command::Acquire { endpoint, reply })
    }

    fn read(
        &self,
        lease: &Lease,
        after: Option<Seq>,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Vec<Pending>, SpoolError>> {
        let (commands, uid) = (self.commands.clone(), lease.endpoint);
        self.on_reader(lease, move |store, seen| {
            let from = after.map_or(0, |seq| seq.0.saturating_add(1)).max(seen.counts.low);
            let found = read::pending(store, uid, Seq(from), limit)?;
            Ok(Self::report(&commands, uid, found))
        })
    }

    fn fetch(&self, lease: &Lease, seqs: Vec<Seq>) -> BoxFuture<'static, Result<Vec<Pending>, SpoolError>> {
        let (commands, uid) = (self.commands.clone(), lease.endpoint);
        self.on_reader(lease, move |store, _| {
            let found = read::some(store, uid, &seqs)?;
            Ok(Self::report(&commands, uid, found))
        })
    }

    fn parked(&self, lease: &Lease) -> BoxFuture<'static, Result<Vec<Parked>, SpoolError>> {
        let uid = lease.endpoint;
        self.on_reader(lease, move |store, _| read::parked(store, uid))
    }

    fn park(&self, lease: &Lease, parked: Parked, note: HistoryNote) {
        lease.unwritten.said();
        let (endpoint, epoch, unwritten) = (lease.endpoint, lease.epoch, Arc::clone(&lease.unwritten));
        self.tell(Command::Park { endpoint, epoch, unwritten, parked, note });
    }

    fn tried(&self, lease: &Lease, seq: Seq, note: HistoryNote) {
        self.tell(Command::Tried { endpoint: lease.endpoint, epoch: lease.epoch, seq, note });
    }

    fn settle(&self, lease: &Lease, seq: Seq, settlement: Settlement) {
        lease.unwritten.said();
        let (endpoint, epoch, unwritten) = (lease.endpoint, lease.epoch, Arc::clone(&lease.unwritten));
        self.tell(Command::Settle { endpoint, epoch, unwritten, seq, settlement });
    }

    fn endpoint_state(&self, endpoint: EndpointUid) -> EndpointState {
        self.shared.seen(endpoint).state
    }

    fn put_endpoint_state(&self, endpoint: EndpointUid, state: EndpointState) {
        // Whoever says it reads it back at once; the writer will publish the same.
        self.shared.remember(endpoint, state);
        self.tell(Command::PutState { endpoint, state });
    }

    fn register(
        &self,
        identities: Vec<Identity>,
    ) -> BoxFuture<'static, Result<Vec<EndpointUid>, SpoolError>> {
        let part = |part: &[Identity]| {
            let identities = part.to_vec();
            self.ask(|reply| Command::Register { identities, reply })
        };
        let parts: Vec<_> = identities.chunks(NAMES_AT_ONCE).map(part).collect();
        Box::pin(async move {
            let mut numbers = Vec::with_capacity(identities.len());
            for part in parts {
                numbers.extend(part.await?);
            }
            Ok(numbers)
        })
    }

    fn backlogs(&self) -> Vec<Backlog> {
        let waiting = |seen: &Seen| seen.counts.ready + seen.counts.parked + seen.counts.dead > 0;
        let seen = self.shared.all_seen(waiting);
        seen.iter().map(|(uid, seen)| self.backlog_of(*uid, seen, self.identity(*uid))).collect()
    }

    fn backlog(&self, endpoint: EndpointUid) -> Option<Backlog> {
        let (seen, identity) = (self.shared.seen(endpoint), self.identity(endpoint));
        let known = identity.is_some() || seen != Seen::default();
        known.then(|| self.backlog_of(endpoint, &seen, identity))
    }

    fn remove_endpoint(&self, endpoint: EndpointUid) {
        self.tell(Command::Remove { endpoint });
    }

    fn pending(&self) -> u64 {
        self.shared.pending()
    }

    fn trouble(&self) -> Option<Trouble> {
        self.shared.trouble()
    }

    fn close(&self) -> BoxFuture<'static, Result<(), SpoolError>> {
        self.ask(|reply| Command::Close { reply })
    }
}
