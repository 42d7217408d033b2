use std::time::{Duration, Instant};

/// Decides when an actor that failed is started again. It backs off, and parks what fails again and again.
#[derive(Debug, Default)]
pub struct RestartPolicy {
    failures: u32,
    last: Option<Instant>,
}

/// What to do about an actor that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Start it again after this wait.
    After(Duration),
    /// It failed too often: leave it alone so long, and say so.
    Park(Duration),
}

impl RestartPolicy {
    /// Failures in a row before an actor is parked.
    pub const LIMIT: u32 = 8;
    /// An actor that ran so long has recovered from what it failed of before.
    pub const CALM: Duration = Duration::from_secs(30);
    /// A parked actor is given another chance after this, unless a person acts before.
    pub const PARKED: Duration = Duration::from_secs(600);
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    /// An actor failed.
    pub fn failed(&mut self, now: Instant) -> Restart {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > Self::CALM) {
            self.failures = 0;
        }
        self.last = Some(now);
        self.failures += 1;
        if self.failures > Self::LIMIT {
            self.failures = 0;
            return Restart::Park(Self::PARKED);
        }
        let doubled = Self::FIRST.saturating_mul(1 << (self.failures - 1).min(16));
        Restart::After(doubled.min(Self::LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn restarts_back_off_and_end_parked() {
        let (mut policy, now) = (RestartPolicy::default(), start());
        let waits: Vec<Restart> = (0..=RestartPolicy::LIMIT).map(|_| policy.failed(now)).collect();
        let millis = [50, 100, 200, 400, 800, 1600, 2000, 2000];
        let mut expected: Vec<_> = millis.map(|ms| Restart::After(Duration::from_millis(ms))).to_vec();
        expected.push(Restart::Park(RestartPolicy::PARKED));
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_calm_run_forgives_what_was_before() {
        let (mut policy, now) = (RestartPolicy::default(), start());
        for _ in 0..RestartPolicy::LIMIT {
            policy.failed(now);
        }
        let later = now + RestartPolicy::CALM + Duration::from_secs(1);
        assert_eq!(policy.failed(later), Restart::After(Duration::from_millis(50)));
    }
}
