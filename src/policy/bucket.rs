use super::Rate;
use std::time::{Duration, Instant};

/// Lets so many through per time, and at most one second's worth (at least one) at once.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: f64,
    most: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        let per_second = f64::from(rate.count.get()) / rate.per.as_secs_f64().max(f64::MIN_POSITIVE);
        let most = per_second.max(1.0);
        Self { per_second, most, tokens: most, filled: now }
    }

    /// Takes `count` at once. More than fits at all are let through when it is full, and owed.
    ///
    /// # Errors
    /// How long to wait until it can be tried again.
    pub fn take(&mut self, now: Instant, count: u32) -> Result<(), Duration> {
        self.fill(now);
        let wanted = f64::from(count);
        let lacking = wanted.min(self.most) - self.tokens;
        if lacking <= 1e-9 {
            self.tokens -= wanted;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64(lacking / self.per_second).unwrap_or(Duration::MAX))
    }

    /// Takes `count` even if there are fewer, for what could not be counted before it was let through: the next
    /// [`take`](Self::take) waits until they are paid back.
    pub fn charge(&mut self, now: Instant, count: u32) {
        self.fill(now);
        self.tokens -= f64::from(count);
    }

    /// What came earlier than was last looked at gains nothing, and has nothing gained twice.
    fn fill(&mut self, now: Instant) {
        let now = now.max(self.filled);
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.most);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn it_lets_a_seconds_worth_through_at_once_and_then_one_by_one() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let rate = Rate { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let mut bucket = TokenBucket::new(rate, now);
        assert_eq!((0..20).filter(|_| bucket.take(now, 1).is_ok()).count(), 10);
        let wait = bucket.take(now, 1).unwrap_err();
        assert!((wait.as_secs_f64() - 0.1).abs() < 0.001);
        assert!(bucket.take(now + wait, 1).is_ok());
    }

    #[test]
    fn a_slow_rate_still_lets_one_through() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(60) };
        let mut bucket = TokenBucket::new(rate, now);
        assert!(bucket.take(now, 1).is_ok());
        let wait = bucket.take(now, 1).unwrap_err();
        assert!(wait > Duration::from_secs(59) && wait <= Duration::from_secs(60));
    }

    #[test]
    fn a_time_that_has_passed_already_gains_nothing_again() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let rate = Rate { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let mut bucket = TokenBucket::new(rate, start);
        assert!(bucket.take(later, 10).is_ok());
        bucket.charge(start, 10);
        let wait = bucket.take(later, 1).unwrap_err();
        assert!((wait.as_secs_f64() - 1.1).abs() < 0.001, "{wait:?}");
    }

    #[test]
    fn what_is_charged_beyond_it_is_paid_back_before_the_next() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let rate = Rate { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let mut bucket = TokenBucket::new(rate, now);
        bucket.charge(now, 25);
        let wait = bucket.take(now, 1).unwrap_err();
        assert!((wait.as_secs_f64() - 1.6).abs() < 0.001);
        assert!(bucket.take(now + wait, 1).is_ok());
    }
}
