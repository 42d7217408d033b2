//! A spool that counts what is read from it.

use super::*;
use crate::ids::{EndpointUid, Seq};
use crate::spool::{
    Append, Backlog, EndpointState, HistoryNote, Lease, Parked, Pending, ReadLimit, Settlement, Spool,
    SpoolError, Trouble,
};
use futures_util::future::BoxFuture;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

type Answer<T> = BoxFuture<'static, Result<T, SpoolError>>;

/// What was read for endpoints.
#[derive(Default)]
pub(super) struct Reads {
    rows: AtomicUsize,
    fetches: AtomicUsize,
    fetched: AtomicUsize,
    under_way: AtomicUsize,
}

impl Reads {
    /// Deliveries that were read in their order.
    pub(super) fn rows(&self) -> usize {
        self.rows.load(SeqCst)
    }

    /// How often some were read by their numbers,
    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(SeqCst)
    }

    /// and how many these were.
    pub(super) fn fetched(&self) -> usize {
        self.fetched.load(SeqCst)
    }

    /// Counts what this reads, once it has.
    fn count(
        self: &Arc<Self>,
        read: Answer<Vec<Pending>>,
        counter: fn(&Self) -> &AtomicUsize,
    ) -> Answer<Vec<Pending>> {
        let reads = Arc::clone(self);
        reads.under_way.fetch_add(1, SeqCst);
        Box::pin(async move {
            let read = read.await;
            counter(&reads).fetch_add(read.iter().flatten().count(), SeqCst);
            reads.under_way.fetch_sub(1, SeqCst);
            read
        })
    }
}

/// A spool, and who counts.
pub(super) struct Counting(pub(super) Arc<EmbeddedSpool>, pub(super) Arc<Reads>);

impl Spool for Counting {
    fn append(&self, append: Append) {
        self.0.append(append);
    }

    fn acquire(&self, endpoint: EndpointUid) -> Answer<Lease> {
        self.0.acquire(endpoint)
    }

    fn read(&self, lease: &Lease, after: Option<Seq>, limit: ReadLimit) -> Answer<Vec<Pending>> {
        self.1.count(self.0.read(lease, after, limit), |reads| &reads.rows)
    }

    fn fetch(&self, lease: &Lease, seqs: Vec<Seq>) -> Answer<Vec<Pending>> {
        self.1.fetches.fetch_add(1, SeqCst);
        self.1.count(self.0.fetch(lease, seqs), |reads| &reads.fetched)
    }

    fn parked(&self, lease: &Lease) -> Answer<Vec<Parked>> {
        self.0.parked(lease)
    }

    fn park(&self, lease: &Lease, parked: Parked, note: HistoryNote) {
        self.0.park(lease, parked, note);
    }

    fn tried(&self, lease: &Lease, seq: Seq, note: HistoryNote) {
        self.0.tried(lease, seq, note);
    }

    fn settle(&self, lease: &Lease, seq: Seq, settlement: Settlement) {
        self.0.settle(lease, seq, settlement);
    }

    fn endpoint_state(&self, endpoint: EndpointUid) -> EndpointState {
        self.0.endpoint_state(endpoint)
    }

    fn put_endpoint_state(&self, endpoint: EndpointUid, state: EndpointState) {
        self.0.put_endpoint_state(endpoint, state);
    }

    fn register(&self, identities: Vec<Identity>) -> Answer<Vec<EndpointUid>> {
        self.0.register(identities)
    }

    fn backlogs(&self) -> Vec<Backlog> {
        self.0.backlogs()
    }

    fn backlog(&self, endpoint: EndpointUid) -> Option<Backlog> {
        self.0.backlog(endpoint)
    }

    fn remove_endpoint(&self, endpoint: EndpointUid) {
        self.0.remove_endpoint(endpoint);
    }

    fn pending(&self) -> u64 {
        self.0.pending()
    }

    fn trouble(&self) -> Option<Trouble> {
        self.0.trouble()
    }

    fn close(&self) -> Answer<()> {
        self.0.close()
    }
}

impl House {
    /// Waits until nothing more is read.
    pub(super) async fn until_read(&self) {
        let (start, mut quiet) = (SystemClock.now(), 0);
        while quiet < 100 {
            assert!(start.elapsed() < Duration::from_secs(20), "it reads on and on");
            // Whoever has read something has its turn, and may read more.
            tokio::task::yield_now().await;
            quiet = if self.reads.under_way.load(SeqCst) == 0 { quiet + 1 } else { 0 };
        }
    }

    /// Waits until so many deliveries were read by their numbers.
    pub(super) async fn until_fetched(&self, count: usize) {
        let start = SystemClock.now();
        while self.reads.fetched() < count {
            assert!(start.elapsed() < Duration::from_secs(20), "{} fetched", self.reads.fetched());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
