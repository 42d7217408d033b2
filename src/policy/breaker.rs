use super::BreakerSettings;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Leaves an endpoint alone that fails, and finds out when it is back.
///
/// Closed, it counts: so many failures in a row open it, or a share of the attempts within a window. Open, it lets
/// nothing through until its wait is over, then one probe at a time. A failed probe doubles the wait; enough
/// successful ones close it. How many slots it then has to earn again is [`SlowStart`](super::SlowStart)'s business.
///
/// The window is kept as exact counts in [`SLICES`] slices of time: an average would need many attempts to forget
/// one bad minute, and the minimum number of attempts could not be exact.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    failures_in_row: u32,
    window: VecDeque<Slice>,
    /// Opened so often without having closed in between.
    opened: u32,
}

/// Slices the window is counted in: attempts leave it one slice at a time, so it is exact within a tenth.
const SLICES: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// The wait is over: probes go, one at a time.
    HalfOpen {
        successes: u32,
        probing: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    start: Instant,
    attempts: u32,
    failures: u32,
}

/// Whether an attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, beside others.
    Go,
    /// One may, to find out; say how it ended with [`Breaker::probed`].
    Probe,
    /// None before that time.
    Until(Instant),
    /// None before the probe under way has ended.
    Probing,
}

/// A change worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It opened, and lets nothing through until then.
    Opened(Instant),
    /// Its wait is over.
    HalfOpened,
    /// It closed.
    Closed,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The endpoint takes deliveries.
    Succeeded,
    /// It does not.
    Failed,
    /// Nobody can tell: it was not attempted, or the endpoint asked to wait.
    Inconclusive,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(settings: BreakerSettings) -> Self {
        Self { settings, phase: Phase::Closed, failures_in_row: 0, window: VecDeque::new(), opened: 0 }
    }

    /// Goes on with other settings; an open wait stays as it is.
    pub fn reconfigure(&mut self, settings: BreakerSettings) {
        self.settings = settings;
    }

    /// Whether deliveries flow freely.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Attempts at once that it allows of `concurrency`.
    #[must_use]
    pub const fn slots(&self, concurrency: usize) -> usize {
        match self.phase {
            Phase::Closed => concurrency,
            Phase::Open { .. } | Phase::HalfOpen { .. } => 1,
        }
    }

    /// What keeps an attempt from starting; none: one may, of whatever kind.
    #[must_use]
    pub fn shut(&self, now: Instant) -> Option<Admission> {
        match self.phase {
            Phase::Open { until } if now < until => Some(Admission::Until(until)),
            Phase::HalfOpen { probing: true, .. } => Some(Admission::Probing),
            _ => None,
        }
    }

    /// Asks whether an attempt may start. After [`Admission::Probe`] the caller must say how it ended.
    pub fn admit(&mut self, now: Instant) -> (Admission, Option<Transition>) {
        if let Some(shut) = self.shut(now) {
            return (shut, None);
        }
        match &mut self.phase {
            Phase::Closed => (Admission::Go, None),
            Phase::Open { .. } => {
                self.phase = Phase::HalfOpen { successes: 0, probing: true };
                (Admission::Probe, Some(Transition::HalfOpened))
            }
            Phase::HalfOpen { probing, .. } => {
                *probing = true;
                (Admission::Probe, None)
            }
        }
    }

    /// An attempt that was no probe has ended. Those that began before it opened change nothing any more.
    pub fn record(&mut self, success: bool, now: Instant) -> Option<Transition> {
        if self.phase != Phase::Closed {
            return None;
        }
        self.count(success, now);
        self.failures_in_row = if success { 0 } else { self.failures_in_row + 1 };
        let (attempts, failures) = self.counted();
        let share = f64::from(failures) >= self.settings.ratio * f64::from(attempts);
        let in_row = self.failures_in_row >= self.settings.failures.get();
        if in_row || (attempts >= self.settings.min_attempts.get() && share) {
            return Some(self.open(now));
        }
        if success {
            self.opened = 0;
        }
        None
    }

    /// The probe has ended.
    pub fn probed(&mut self, probe: Probe, now: Instant) -> Option<Transition> {
        let Phase::HalfOpen { successes, .. } = self.phase else { return None };
        match probe {
            Probe::Inconclusive => {
                self.phase = Phase::HalfOpen { successes, probing: false };
                None
            }
            Probe::Failed => Some(self.open(now)),
            Probe::Succeeded if successes + 1 < self.settings.probes.get() => {
                self.phase = Phase::HalfOpen { successes: successes + 1, probing: false };
                None
            }
            Probe::Succeeded => {
                self.close();
                Some(Transition::Closed)
            }
        }
    }

    /// Closes it at once: a person resumed the endpoint, or its destination changed.
    pub fn reset(&mut self) -> Option<Transition> {
        let was_closed = self.is_closed();
        self.close();
        self.opened = 0;
        (!was_closed).then_some(Transition::Closed)
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.failures_in_row = 0;
        self.window.clear();
    }

    fn open(&mut self, now: Instant) -> Transition {
        let doubled = self.settings.open.saturating_mul(1 << self.opened.min(16));
        let until = now + doubled.min(self.settings.max_open);
        self.opened += 1;
        self.failures_in_row = 0;
        self.window.clear();
        self.phase = Phase::Open { until };
        Transition::Opened(until)
    }

    fn count(&mut self, success: bool, now: Instant) {
        let width = (self.settings.window / SLICES).max(Duration::from_millis(1));
        while self
            .window
            .front()
            .is_some_and(|slice| now.saturating_duration_since(slice.start) >= self.settings.window)
        {
            self.window.pop_front();
        }
        let fresh =
            self.window.back().is_none_or(|slice| now.saturating_duration_since(slice.start) >= width);
        if fresh {
            self.window.push_back(Slice { start: now, attempts: 0, failures: 0 });
        }
        if let Some(slice) = self.window.back_mut() {
            slice.attempts += 1;
            slice.failures += u32::from(!success);
        }
    }

    fn counted(&self) -> (u32, u32) {
        self.window.iter().fold((0, 0), |(attempts, failures), slice| {
            (attempts + slice.attempts, failures + slice.failures)
        })
    }
}

#[cfg(test)]
mod tests;
