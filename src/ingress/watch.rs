use super::guard::Guard;
use super::limits::Limits;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a connection is doing, and until when it may: shared by its socket, its requests and its driver, which all
/// run in one task. There is one timer per connection; it is armed for the nearest deadline and looks again when it
/// fires, so a request that comes and goes in time never touches it.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    since: Instant,
    last_read: Instant,
    body_bytes: u64,
    requests: u64,
    guard: Guard,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has arrived yet.
    Connected,
    /// A head is arriving.
    Head,
    /// The head did not arrive in time: the connection is to be closed with 408.
    HeadLate,
    /// A body is arriving.
    Body,
    /// The body did not arrive in time: the request is to be answered with 408.
    BodyLate,
    /// The request waits for the spool.
    Busy,
    /// The answer is being written.
    Answering,
    /// Waits for its next request.
    Idle,
    /// Our side is closed, what still arrives is dropped.
    Lingering,
}

impl Watch {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let inner = Inner {
            phase: Phase::Connected,
            since: now,
            last_read: now,
            body_bytes: 0,
            requests: 0,
            guard: Guard::default(),
        };
        Self { limits, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; if it did, the connection is closed by its own task's end.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is doing.
    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// It begins to do something else.
    pub(super) fn enter(&self, phase: Phase, now: Instant) {
        let mut inner = self.lock();
        inner.phase = phase;
        inner.since = now;
    }

    /// Bytes arrived.
    pub(super) fn arrived(&self, bytes: &[u8], now: Instant) {
        let mut inner = self.lock();
        inner.last_read = now;
        match inner.phase {
            Phase::Connected | Phase::Idle => {
                inner.phase = Phase::Head;
                inner.since = now;
            }
            Phase::Body => inner.body_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Phase::Lingering => return,
            _ => {}
        }
        inner.guard.feed(bytes);
    }

    /// A head was read whole and its request begins. Err: why the connection cannot be trusted from here on.
    pub(super) fn request_begins(&self, now: Instant) -> Result<(), &'static str> {
        let mut inner = self.lock();
        inner.phase = Phase::Body;
        inner.since = now;
        inner.last_read = now;
        inner.body_bytes = 0;
        let number = inner.requests;
        inner.requests += 1;
        inner.guard.distrusts(number).map_or(Ok(()), Err)
    }

    /// Whether a head announced a body that the library takes for a fault of the head.
    pub(super) fn is_endless(&self) -> bool {
        self.lock().guard.is_endless()
    }

    /// Everything that was to be written is written.
    pub(super) fn flushed(&self, now: impl FnOnce() -> Instant) {
        let mut inner = self.lock();
        if inner.phase == Phase::Answering {
            inner.phase = Phase::Idle;
            inner.since = now();
        }
    }

    /// When the present phase is over at the latest; none: it has no end of its own.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let inner = self.lock();
        let limits = &self.limits;
        let after = |wait: Duration| inner.since.checked_add(wait);
        match inner.phase {
            Phase::Connected => after(limits.first_byte),
            Phase::Head => after(limits.head),
            Phase::Body => {
                let paid = inner.body_bytes.saturating_mul(1_000) / u64::from(limits.body_rate.max(1));
                let rate = limits.body_rate_after.max(Duration::from_millis(paid));
                let idle = inner.last_read.checked_add(limits.body_idle);
                [after(limits.body_total), after(rate), idle].into_iter().flatten().min()
            }
            Phase::HeadLate | Phase::BodyLate | Phase::Answering => after(limits.answer),
            Phase::Busy => None,
            Phase::Idle => after(limits.idle),
            Phase::Lingering => after(limits.linger),
        }
    }
}
