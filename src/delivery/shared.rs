use crate::ids::Seq;
use crate::spool::EndpointState;
use crate::table::Lifecycle;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What an endpoint lets others see, and what they leave for it: no message, no lock on the hot path.
#[derive(Debug, Default)]
pub struct EndpointShared {
    condition: AtomicU8,
    /// When it began; 0: it is what it was from the start.
    since_ms: AtomicU64,
    /// When the breaker lets the next probe through; 0: it is closed, or a probe is under way.
    probe_ms: AtomicU64,
    in_flight: AtomicUsize,
    mailbox: AtomicUsize,
    missed: AtomicU64,
    problem: Mutex<Option<Problem>>,
    filter_failures: AtomicU64,
    filter_problem: Mutex<Option<Problem>>,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// One line for people, without secrets.
    pub reason: Arc<str>,
}

/// What an endpoint does with its deliveries; the `state` label of `postrider_endpoint_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// They are sent.
    #[default]
    Active,
    /// It is a draft: nothing is collected.
    Draft,
    /// A person paused it: they are held.
    Paused,
    /// Its breaker is open: they are held, and it is probed.
    Open,
    /// Its destination asked to wait.
    Waiting,
    /// Its destination said that it is gone: they are held until a person acts.
    Gone,
    /// The address guard refuses its destination.
    Blocked,
    /// Its sink cannot be built, or its file is rejected and it has no version to run: they are held.
    Invalid,
    /// Its file is missing: they are held for a while.
    Removed,
    /// Its actor failed too often.
    Parked,
}

/// Why an endpoint with deliveries has no version to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Its file is missing: they are held for a while.
    Removed {
        /// Since when, milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// Its file is there and rejected, and no version before it can be used: they are held until it is corrected.
    Rejected,
}

impl From<Absent> for Condition {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Removed { .. } => Self::Removed,
            Absent::Rejected => Self::Invalid,
        }
    }
}

impl Condition {
    const ALL: [Self; 10] = [
        Self::Active,
        Self::Draft,
        Self::Paused,
        Self::Open,
        Self::Waiting,
        Self::Gone,
        Self::Blocked,
        Self::Invalid,
        Self::Removed,
        Self::Parked,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draft => "draft",
            Self::Paused => "paused",
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Gone => "gone",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Removed => "removed",
            Self::Parked => "parked",
        }
    }

    /// That of an endpoint without an actor.
    #[must_use]
    pub fn at_rest(lifecycle: Lifecycle, state: &EndpointState, now_ms: u64) -> Self {
        match lifecycle {
            Lifecycle::Draft => Self::Draft,
            Lifecycle::Paused => Self::Paused,
            Lifecycle::Active if state.suspended.is_some() => Self::Gone,
            Lifecycle::Active if state.wait_until_ms.is_some_and(|until| until > now_ms) => Self::Waiting,
            Lifecycle::Active => Self::Active,
        }
    }
}

impl EndpointShared {
    /// What it does with its deliveries.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition::ALL.get(usize::from(self.condition.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// It does this with them from now on. `now_ms` is asked for only where that is news.
    pub fn set_condition(&self, condition: Condition, now_ms: impl FnOnce() -> u64) {
        let position = Condition::ALL.iter().position(|known| *known == condition).unwrap_or_default();
        let position = u8::try_from(position).unwrap_or_default();
        if self.condition.swap(position, Ordering::Relaxed) != position {
            self.since_ms.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// Since when it does so, milliseconds since the Unix epoch; none: since it was first seen.
    #[must_use]
    pub fn since_ms(&self) -> Option<u64> {
        Some(self.since_ms.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    /// When its open breaker lets the next probe through, milliseconds since the Unix epoch.
    #[must_use]
    pub fn probe_ms(&self) -> Option<u64> {
        Some(self.probe_ms.load(Ordering::Relaxed)).filter(|probe| *probe > 0)
    }

    /// Its breaker opened until then, or (none) lets something through.
    pub(super) fn set_probe_ms(&self, probe_ms: Option<u64>) {
        self.probe_ms.store(probe_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// Attempts under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// So many attempts are under way.
    pub fn set_in_flight(&self, count: usize) {
        self.in_flight.store(count, Ordering::Relaxed);
    }

    /// What went wrong last.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something went wrong, or (none) went well again.
    pub fn set_problem(&self, problem: Option<Problem>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// How often its filter could not tell, and why the last time.
    #[must_use]
    pub fn filter_problem(&self) -> Option<(u64, Problem)> {
        let problem = self.filter_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((self.filter_failures.load(Ordering::Relaxed), problem))
    }

    /// Its filter could not tell.
    pub fn filter_failed(&self, problem: Problem) {
        self.filter_failures.fetch_add(1, Ordering::Relaxed);
        *self.filter_problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    /// It has another filter: what the one before could not tell is past.
    pub fn forget_filter_problem(&self) {
        self.filter_failures.store(0, Ordering::Relaxed);
        *self.filter_problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Deliveries that are in the mailbox with their bodies. This and what was missed are looked at in one order that
    /// holds for all (`SeqCst`): of the actor that takes one up and the router that lets it miss one, at least one sees
    /// what the other has done.
    pub(super) fn mailbox(&self) -> &AtomicUsize {
        &self.mailbox
    }

    /// Up to which delivery the actor was not handed everything, so that it must read the spool.
    #[must_use]
    pub fn missed(&self) -> Option<Seq> {
        self.missed.load(Ordering::SeqCst).checked_sub(1).map(Seq)
    }

    /// Everything up to this delivery is in the spool only. True: that is news.
    pub fn miss(&self, seq: Seq) -> bool {
        let before = self.missed.fetch_max(seq.0.saturating_add(1), Ordering::SeqCst);
        before <= seq.0
    }
}
