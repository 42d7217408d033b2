//! A spool whose writer is turned by hand, on a clock that stands still until it is told to go on.

use super::*;
use crate::chance::SystemChance;
use crate::spool::{ByHand, Disk, HandWriter, SystemDisk};

pub(super) const DEDUP: DedupLimits = DedupLimits { window: Duration::from_secs(3600), max: 1_000_000 };

struct Still {
    begun: Instant,
    unix: Duration,
    ms: AtomicU64,
}

impl Still {
    fn gone(&self) -> Duration {
        Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}

impl Clock for Still {
    fn now(&self) -> Instant {
        self.begun + self.gone()
    }

    fn unix(&self) -> Duration {
        self.unix + self.gone()
    }
}

pub(super) struct Hand {
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) config: SpoolConfig,
    writer: HandWriter,
    clock: Arc<Still>,
    disk: Arc<dyn Disk>,
    folder: TempDir,
}

impl Hand {
    pub(super) fn new(change: impl FnOnce(&mut SpoolConfig)) -> Self {
        Self::on(Arc::new(SystemDisk), change)
    }

    pub(super) fn on(disk: Arc<dyn Disk>, change: impl FnOnce(&mut SpoolConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = SpoolConfig::at(folder.path().join("data"));
        change(&mut config);
        let (begun, unix) = (SystemClock.now(), SystemClock.unix());
        Self::open(config, Arc::new(Still { begun, unix, ms: AtomicU64::new(0) }), disk, folder)
    }

    fn open(config: SpoolConfig, clock: Arc<Still>, disk: Arc<dyn Disk>, folder: TempDir) -> Self {
        let by_hand = ByHand {
            disk: Arc::clone(&disk),
            chance: Arc::new(SystemChance),
            segment: 1 << 20,
            reserve: 4096,
        };
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let opened =
            EmbeddedSpool::open_by_hand(&config, DEDUP, time, &Metrics::new(), Box::new(drop), by_hand);
        let (spool, writer) = opened.unwrap();
        Self { spool, config, writer, clock, disk, folder }
    }

    /// Closed and opened again: the writer has nothing in memory any more.
    pub(super) fn reopen(self) -> Self {
        let Self { spool, config, writer, clock, disk, folder } = self;
        writer.close();
        drop(spool);
        Self::open(config, clock, disk, folder)
    }

    pub(super) fn turn(&mut self) {
        assert!(self.writer.turn());
    }

    /// A turn, so much later.
    pub(super) fn later(&mut self, ms: u64) {
        self.clock.ms.fetch_add(ms, Ordering::Relaxed);
        self.turn();
    }

    pub(super) fn submit(&self, events: Vec<NewEvent>) -> oneshot::Receiver<Receipt> {
        let (reply, receipt) = oneshot::channel();
        self.spool.append(Append { events, reply, permit: None });
        receipt
    }

    pub(super) async fn append(&mut self, events: Vec<NewEvent>) -> Vec<Accepted> {
        let receipt = self.submit(events);
        self.turn();
        receipt.await.unwrap().unwrap()
    }

    pub(super) async fn lease(&mut self, endpoint: EndpointUid) -> Lease {
        let lease = self.spool.acquire(endpoint);
        self.turn();
        lease.await.unwrap()
    }

    pub(super) async fn all(&self, lease: &Lease) -> Vec<Pending> {
        self.spool.read(lease, None, limit(1_000_000)).await.unwrap()
    }

    pub(super) fn settle(&mut self, lease: &Lease, seq: Seq, result: Result<(), DeadReason>) {
        let note = note(unix_ms(&*self.clock));
        self.spool.settle(lease, seq, Settlement { result, note, low: Seq(0) });
        self.turn();
    }

    /// (ready, parked, dead, bytes)
    pub(super) fn counts(&self, endpoint: EndpointUid) -> (u64, u64, u64, u64) {
        let backlog = self.spool.backlog(endpoint).unwrap();
        (backlog.ready, backlog.parked, backlog.dead, backlog.bytes)
    }

    pub(super) fn rows(&self, keyspace: &str) -> usize {
        let store = self.spool.store().unwrap();
        store.all(&store.space(keyspace)).map(Result::unwrap).count()
    }

    /// Rows that ranges were looked through for since it was opened.
    pub(super) fn looked(&self) -> usize {
        self.spool.store().unwrap().looked.load(Ordering::Relaxed)
    }
}
