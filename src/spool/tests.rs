mod battery;
mod bounds;
mod budgets;
mod damage;
mod deliveries;
mod hand;
mod model;
mod powercut;
mod repeats;
mod states;
mod syncs;
mod unreadable;

use super::{
    Accepted, Append, DeadReason, DedupKey, DedupLimits, EmbeddedSpool, HistoryNote, Lease, NewEvent,
    Pending, ReadLimit, Receipt, Settlement, Spool, SpoolEvent,
};
use crate::clock::{Clock, SystemClock, unix_ms};
use crate::config::SpoolConfig;
use crate::ids::{EndpointUid, Generation, Identity, Seq};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot;

const A: EndpointUid = EndpointUid(1);
const B: EndpointUid = EndpointUid(2);
const TIME: Duration = Duration::from_secs(20);

/// The system's clock, some time ahead.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Instant {
        SystemClock.now()
    }

    fn unix(&self) -> Duration {
        SystemClock.unix() + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

struct Rig {
    spool: Arc<EmbeddedSpool>,
    config: SpoolConfig,
    dedup: DedupLimits,
    clock: Arc<Ahead>,
    heard: Mutex<Receiver<SpoolEvent>>,
    folder: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut SpoolConfig, &mut DedupLimits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = SpoolConfig::at(folder.path().join("data"));
        let mut dedup = DedupLimits { window: Duration::from_secs(3600), max: 1_000_000 };
        change(&mut config, &mut dedup);
        let clock = Arc::new(Ahead::default());
        let (spool, heard) = open(&config, dedup, &clock);
        Self { spool, config, dedup, clock, heard, folder }
    }

    async fn reopen(self) -> Self {
        self.spool.close().await.unwrap();
        let (spool, heard) = open(&self.config, self.dedup, &self.clock);
        Self { spool, heard, ..self }
    }

    /// What `kill -9` would leave behind, opened.
    fn killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = SpoolConfig { path: folder.path().join("data"), ..self.config.clone() };
        copy(&self.config.path, &config.path);
        let clock = Arc::clone(&self.clock);
        let (spool, heard) = open(&config, self.dedup, &clock);
        Self { spool, config, dedup: self.dedup, clock, heard, folder }
    }

    fn submit(&self, events: Vec<NewEvent>) -> oneshot::Receiver<Receipt> {
        let (reply, receipt) = oneshot::channel();
        self.spool.append(Append { events, reply, permit: None });
        receipt
    }

    async fn append(&self, events: Vec<NewEvent>) -> Vec<Accepted> {
        self.submit(events).await.unwrap().unwrap()
    }

    async fn lease(&self, endpoint: EndpointUid) -> Lease {
        self.spool.acquire(endpoint).await.unwrap()
    }

    async fn all(&self, lease: &Lease) -> Vec<Pending> {
        self.spool.read(lease, None, limit(1_000_000)).await.unwrap()
    }

    async fn all_of(&self, endpoint: EndpointUid) -> Vec<Pending> {
        self.all(&self.lease(endpoint).await).await
    }

    /// Waits until everything said by this lease is written.
    async fn written(&self, lease: &Lease) {
        // A lease of somebody else is granted after everything said before.
        self.lease(EndpointUid(u32::MAX)).await;
        assert_eq!(lease.unwritten.count(), 0);
    }

    fn settle(&self, lease: &Lease, seq: Seq, result: Result<(), DeadReason>) {
        self.spool.settle(lease, seq, Settlement { result, note: note(unix_ms(&*self.clock)), low: Seq(0) });
    }

    /// (ready, parked, dead, bytes)
    fn counts(&self, endpoint: EndpointUid) -> (u64, u64, u64, u64) {
        let backlog = self.spool.backlog(endpoint).unwrap();
        (backlog.ready, backlog.parked, backlog.dead, backlog.bytes)
    }

    fn rows(&self, keyspace: &str) -> usize {
        let store = self.spool.store().unwrap();
        store.all(&store.space(keyspace)).map(Result::unwrap).count()
    }

    /// Waits for something the spool says by itself.
    fn hear<T>(&self, wanted: impl Fn(SpoolEvent) -> Option<T>) -> T {
        let heard = self.heard.lock().unwrap();
        loop {
            if let Some(found) = wanted(heard.recv_timeout(TIME).expect("the spool says it in time")) {
                return found;
            }
        }
    }

    /// Waits for a state that nobody announces.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = SystemClock.now();
        while !holds(self) {
            assert!(SystemClock.now() - begun < TIME, "{what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn open(
    config: &SpoolConfig,
    dedup: DedupLimits,
    clock: &Arc<Ahead>,
) -> (Arc<EmbeddedSpool>, Mutex<Receiver<SpoolEvent>>) {
    let (say, heard) = channel();
    let listener = Box::new(move |event| drop(say.send(event)));
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let spool = EmbeddedSpool::open_with(config, dedup, clock, &Metrics::new(), listener, 1 << 20).unwrap();
    (spool, Mutex::new(heard))
}

/// As a kill would leave it. What works on it meanwhile may take a file away, in whose place others came before the copy
/// looked there: then it is begun anew.
fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        let copied = copy_once(from, to);
        if !copied.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            copied.unwrap();
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
    panic!("{} does not stand still", from.display());
}

fn copy_once(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy_once(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn event(message: &str, targets: &[EndpointUid]) -> NewEvent {
    NewEvent {
        event: Arc::from("delivered"),
        product: Arc::from("campaigns"),
        account: Some(Arc::from("acme")),
        message_id: Arc::from(message),
        body: Bytes::from(format!("{{\"message\":\"{message}\"}}")),
        traceparent: None,
        dedup: None,
        targets: targets.to_vec(),
        generation: Generation(7),
        accepted_ms: unix_ms(&SystemClock),
    }
}

fn keyed(message: &str, key: u8, content: u64, targets: &[EndpointUid]) -> NewEvent {
    NewEvent { dedup: Some(DedupKey { key: [key; 16], content }), ..event(message, targets) }
}

fn note(ended_ms: u64) -> HistoryNote {
    HistoryNote {
        attempts: 1,
        ended_ms,
        took_us: 900,
        status: Some(200),
        reason: Arc::from(""),
        generation: Generation(7),
        ..HistoryNote::default()
    }
}

fn limit(count: usize) -> ReadLimit {
    ReadLimit { count: NonZeroUsize::new(count).unwrap(), bytes: usize::MAX }
}

fn messages(pending: &[Pending]) -> Vec<&str> {
    pending.iter().map(|pending| &*pending.event.message_id).collect()
}

fn identity(name: &str) -> Identity {
    Identity { name: Arc::from(name), account: None }
}
