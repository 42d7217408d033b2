use crate::ids::{EndpointUid, EventId, Generation, Identity, MessageKey, Seq};
use crate::policy::Pauses;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use postrider_sink::FailureClass;
use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// An event that was checked and matched, about to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its name; the catalogue's own copy.
    pub event: Arc<str>,
    /// The product it came from; the catalogue's own copy.
    pub product: Arc<str>,
    /// The customer it belongs to.
    pub account: Option<Arc<str>>,
    /// `data.message_id`, decoded: 1 to 512 bytes.
    pub message_id: Arc<str>,
    /// The body as subscribers get it.
    pub body: Bytes,
    /// W3C `traceparent` of the publisher's request.
    pub traceparent: Option<Arc<str>>,
    /// What makes a repeat of it recognisable.
    pub dedup: Option<DedupKey>,
    /// Who gets it. Empty: nobody, and only the dedup key is stored.
    pub targets: Vec<EndpointUid>,
    /// The configuration that chose the targets.
    pub generation: Generation,
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: u64,
}

/// What makes a repeat recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupKey {
    /// Digest of the publisher and its own id.
    pub key: [u8; 16],
    /// Digest of what it sent: the same key with another digest is a conflict.
    pub content: u64,
}

/// Events to be stored together or not at all.
pub struct Append {
    /// The events, in order of acceptance.
    pub events: Vec<NewEvent>,
    /// Answered when all of it is durable, or nothing of it was stored.
    pub reply: oneshot::Sender<Receipt>,
    /// The room that admission control gave; let go when the work is durable or refused.
    pub permit: Option<Box<dyn Any + Send>>,
}

/// What became of an [`Append`], event by event.
pub type Receipt = Result<Vec<Accepted>, Refusal>;

/// An event that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id, or that of the one it repeats.
    pub id: EventId,
    /// How many deliveries it made; of a repeat, how many the first made.
    pub deliveries: u32,
    /// Whether it repeats an earlier one.
    pub duplicate: bool,
}

/// Why nothing of an [`Append`] was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Event number `index` has the key of an earlier one with other content.
    #[error("the idempotency key of event {index} was used for another content")]
    Conflict {
        /// Counted from 0.
        index: usize,
    },
    /// `max_bytes` of undelivered work wait already, or the disk is full.
    #[error("the spool is full")]
    Full,
    /// The store fails.
    #[error("the spool cannot write: {0}")]
    Failing(String),
}

/// An event as it is stored, with what its deliveries need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: EventId,
    /// Its name.
    pub event: Arc<str>,
    /// The product it came from.
    pub product: Arc<str>,
    /// The customer it belongs to.
    pub account: Option<Arc<str>>,
    /// The message it is about.
    pub message_id: Arc<str>,
    /// The body as subscribers get it.
    pub body: Bytes,
    /// W3C `traceparent` of the publisher's request.
    pub traceparent: Option<Arc<str>>,
    /// The configuration that chose its targets.
    pub generation: Generation,
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// How many deliveries it had when it was stored.
    pub targets: u32,
}

impl StoredEvent {
    /// What orders it among the deliveries of an endpoint.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        MessageKey::of(&self.message_id)
    }
}

/// A delivery read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its event.
    pub event: Arc<StoredEvent>,
    /// Its retry state, once an attempt was spent.
    pub parked: Option<Parked>,
}

/// The retry state of a delivery that waits for its next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parked {
    /// The delivery.
    pub seq: Seq,
    /// What orders it.
    pub key: MessageKey,
    /// When the next attempt is due, milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// How long that was when it was said, in milliseconds: after a start nobody waits longer, should the clock have been
    /// set back. Of a spool of an earlier release: the most there is.
    pub wait_ms: u64,
    /// Attempts spent.
    pub attempts: u32,
}

/// Why the store takes no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One line for people.
    pub reason: String,
    /// It works, and has as much undelivered work as it may have: deliveries make room.
    pub full: bool,
}

/// How much to read at once; whichever is reached first ends it, but at least one delivery is read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Deliveries.
    pub count: NonZeroUsize,
    /// Bytes of bodies.
    pub bytes: usize,
}

/// The right to work on the deliveries of one endpoint. Whoever acquires it next fences this one off: what it still
/// says is ignored.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Whose deliveries.
    pub endpoint: EndpointUid,
    /// Which lease of that endpoint.
    pub epoch: u64,
    /// How much it said that is not written yet.
    pub unwritten: Arc<Unwritten>,
}

/// Settlements that a kill of the process would undo, so that those deliveries would be repeated. An endpoint keeps
/// its attempts in flight and these together within its concurrency.
#[derive(Debug, Default)]
pub struct Unwritten {
    count: AtomicUsize,
    starved: AtomicBool,
}

impl Unwritten {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// One more was said.
    pub fn said(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// So many were written. True: the endpoint waits to hear of it, and must be woken.
    pub fn written(&self, count: usize) -> bool {
        // What a failing store makes the writer write twice is counted down once.
        let down = |now: usize| Some(now.saturating_sub(count));
        let _before = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down);
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// The endpoint cannot go on before something is written: wake it then. Look at `count` again afterwards, it
    /// may have happened in between.
    ///
    /// Both sides change one of the two and look at the other, in one order that holds for both (`SeqCst`): a store that
    /// the processor still holds back while `count` is looked at again would be seen by nobody.
    pub fn starve(&self) {
        self.starved.store(true, Ordering::SeqCst);
    }
}

/// How a delivery ended.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Delivered, or dead with the reason.
    pub result: Result<(), DeadReason>,
    /// For history.
    pub note: HistoryNote,
    /// The lowest delivery of this endpoint that its actor still has open: nothing before it needs reading again.
    pub low: Seq,
}

/// What history keeps of an attempt, or of a delivery that ended without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryNote {
    /// Attempts spent, this one included.
    pub attempts: u32,
    /// When the last attempt ended, milliseconds since the Unix epoch.
    pub ended_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u32,
    /// How long its steps took.
    pub steps: Steps,
    /// The status code, where there was one.
    pub status: Option<u16>,
    /// The kind of its failure, if it failed.
    pub class: Option<FailureClass>,
    /// The first bytes of the answer, where they are kept.
    pub answer: Option<Bytes>,
    /// One line for people, without secrets; empty for a plain success.
    pub reason: Arc<str>,
    /// The configuration it was made with.
    pub generation: Generation,
}

/// How long the steps of an attempt took, in microseconds. Absent: not taken, or not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// Looking the name up.
    pub dns_us: Option<u32>,
    /// The TCP handshake.
    pub connect_us: Option<u32>,
    /// The TLS handshake.
    pub tls_us: Option<u32>,
    /// From the request's last byte to the head of the answer.
    pub wait_us: Option<u32>,
}

/// Why a delivery will not be tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadReason {
    /// The destination answered 410.
    Gone,
    /// The sink refused it for good.
    Rejected,
    /// The schedule has no further attempt.
    Exhausted,
    /// Older than `max_age`.
    Expired,
    /// More waited than `backlog` allows.
    Overflow,
    /// Its endpoint was removed.
    EndpointRemoved,
}

impl DeadReason {
    /// Every reason, in the order they are listed.
    pub const ALL: [Self; 6] =
        [Self::Gone, Self::Rejected, Self::Exhausted, Self::Expired, Self::Overflow, Self::EndpointRemoved];

    /// The word for it in metrics, API and page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::EndpointRemoved => "endpoint_removed",
        }
    }
}

/// What an endpoint remembers across restarts, beside its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointState {
    /// Its destination answered 410: since when (milliseconds since the Unix epoch), and the fingerprint of that
    /// destination. It is tried again when a person resumes it or the fingerprint changes.
    pub suspended: Option<(u64, u64)>,
    /// Told to wait until then, milliseconds since the Unix epoch.
    pub wait_until_ms: Option<u64>,
    /// How long that was when it was said, in milliseconds: as [`Parked::wait_ms`]. 0: nothing was said.
    pub wait_ms: u64,
    /// Its file is missing since then, milliseconds since the Unix epoch.
    pub removed_ms: Option<u64>,
    /// When a person had paused it.
    pub pauses: Pauses,
}

/// What waits for one endpoint, and what it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// What the spool calls it.
    pub uid: EndpointUid,
    /// Its name and account.
    pub identity: Identity,
    /// Deliveries neither parked nor settled.
    pub ready: u64,
    /// Deliveries that wait for their next attempt.
    pub parked: u64,
    /// Dead letters kept.
    pub dead: u64,
    /// Bytes of the bodies that wait.
    pub bytes: u64,
    /// When the oldest that waits was accepted, milliseconds since the Unix epoch.
    pub oldest_ms: Option<u64>,
}

/// What one commit made durable.
#[derive(Debug)]
pub struct Committed {
    /// One for each endpoint that has something new, or that waits to hear of its settlements.
    pub wakes: Vec<Wake>,
}

/// What is new for one endpoint.
#[derive(Debug)]
pub struct Wake {
    /// Which endpoint.
    pub endpoint: EndpointUid,
    /// The delivery of this endpoint before the first of `events`: whoever has not seen it has missed some, and
    /// reads them from the spool. After the store failed that one is not known any more, and this is the first place that
    /// nobody was told of.
    pub after: Option<Seq>,
    /// The new events, in order. Empty: only settlements were written.
    pub events: Vec<Arc<StoredEvent>>,
}

/// What a spool tells its owner by itself.
#[derive(Debug)]
pub enum SpoolEvent {
    /// Deliveries are durable.
    Committed(Committed),
    /// Deliveries died by a budget or with their endpoint, not by a settlement.
    Died {
        /// Whose.
        endpoint: EndpointUid,
        /// Why.
        reason: DeadReason,
        /// How many.
        count: u64,
    },
    /// Deliveries are gone without having ended: a person erased them.
    Erased {
        /// Whose.
        endpoint: EndpointUid,
        /// Which.
        seqs: Vec<Seq>,
    },
    /// The store began (true) or ceased (false) to fail.
    Failing(bool),
}

/// The store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// Another lease has taken over.
    #[error("the lease has been taken over")]
    Fenced,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
    /// The store said no.
    #[error("the store failed: {0}")]
    Store(String),
}

/// A place that keeps accepted events until their last delivery is settled.
///
/// Whatever returns no future returns at once: it is queued, in order with everything said before.
pub trait Spool: Send + Sync + 'static {
    /// Stores events with their targets and dedup keys, together or not at all.
    fn append(&self, append: Append);

    /// Takes over the deliveries of an endpoint, after everything said before is written. Older leases are fenced.
    fn acquire(&self, endpoint: EndpointUid) -> BoxFuture<'static, Result<Lease, SpoolError>>;

    /// Reads pending deliveries after `after` in order, parked ones included; changes nothing.
    fn read(
        &self,
        lease: &Lease,
        after: Option<Seq>,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Vec<Pending>, SpoolError>>;

    /// Reads these pending deliveries; leaves out what is settled.
    fn fetch(&self, lease: &Lease, seqs: Vec<Seq>) -> BoxFuture<'static, Result<Vec<Pending>, SpoolError>>;

    /// The parked deliveries of an endpoint, in order.
    fn parked(&self, lease: &Lease) -> BoxFuture<'static, Result<Vec<Parked>, SpoolError>>;

    /// Stores the retry state of a delivery, and the attempt that failed. Counts as unwritten until it is: the
    /// spool itself calls [`Unwritten::said`] before it returns.
    fn park(&self, lease: &Lease, parked: Parked, note: HistoryNote);

    /// Notes an attempt that changed nothing: a probe of a failing endpoint.
    fn tried(&self, lease: &Lease, seq: Seq, note: HistoryNote);

    /// Ends a delivery. Doing it twice changes nothing. Counts as unwritten until it is written, as with `park`.
    fn settle(&self, lease: &Lease, seq: Seq, settlement: Settlement);

    /// What an endpoint remembers.
    fn endpoint_state(&self, endpoint: EndpointUid) -> EndpointState;

    /// Remembers it, durably within the flush interval.
    fn put_endpoint_state(&self, endpoint: EndpointUid, state: EndpointState);

    /// Gives each identity its number, the same as ever.
    fn register(&self, identities: Vec<Identity>)
    -> BoxFuture<'static, Result<Vec<EndpointUid>, SpoolError>>;

    /// What waits, by endpoint; those with nothing waiting and nothing dead are left out.
    fn backlogs(&self) -> Vec<Backlog>;

    /// What waits for one endpoint.
    fn backlog(&self, endpoint: EndpointUid) -> Option<Backlog>;

    /// Makes everything that waits for an endpoint dead.
    fn remove_endpoint(&self, endpoint: EndpointUid);

    /// Bytes of undelivered work: bodies, each counted once.
    fn pending(&self) -> u64;

    /// Why the store cannot take events now, if it cannot.
    fn trouble(&self) -> Option<Trouble>;

    /// Writes everything said so far, syncs it and closes the store.
    fn close(&self) -> BoxFuture<'static, Result<(), SpoolError>>;
}
