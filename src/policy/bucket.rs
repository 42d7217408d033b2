use super::Rate;
use std::time::{Duration, Instant};

/// A token bucket: so many at once, refilled evenly. It starts full.
///
/// Kept as the moment at which it will be full again (the generic cell rate algorithm), so there is nothing to
/// refill and no timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBucket {
    interval: Duration,
    capacity: Duration,
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket that holds what the rate gives in its own time: `50/s` holds 50.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let interval = (rate.per / rate.count.get()).max(Duration::from_nanos(1));
        Self { interval, capacity: interval.saturating_mul(rate.count.get()), full_at: None }
    }

    /// Takes `count` tokens at once. More than the bucket holds are given when it is full, and paid back later.
    ///
    /// # Errors
    /// How long to wait until it would succeed; nothing was taken.
    pub fn take(&mut self, now: Instant, count: u32) -> Result<(), Duration> {
        let wanted = self.interval.saturating_mul(count).min(self.capacity);
        let missing = self.missing(now).saturating_add(wanted).saturating_sub(self.capacity);
        if missing > Duration::ZERO {
            return Err(missing);
        }
        self.charge(now, count);
        Ok(())
    }

    /// Takes `count` tokens even if there are fewer: the next [`take`](Self::take) waits until they are paid back.
    pub fn charge(&mut self, now: Instant, count: u32) {
        let spent = self.missing(now).saturating_add(self.interval.saturating_mul(count));
        self.full_at = now.checked_add(spent);
    }

    /// How long until it is full.
    fn missing(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    fn bucket(count: u32, per: Duration) -> TokenBucket {
        TokenBucket::new(Rate { count: NonZeroU32::new(count).unwrap(), per })
    }

    #[test]
    fn it_gives_what_it_holds_and_says_how_long_to_wait_for_more() {
        let now = SystemClock.now();
        let mut bucket = bucket(10, Duration::from_secs(1));
        assert_eq!(bucket.take(now, 10), Ok(()));
        assert_eq!(bucket.take(now, 1), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(now + Duration::from_millis(100), 1), Ok(()));
        assert_eq!(bucket.take(now + Duration::from_millis(100), 3), Err(Duration::from_millis(300)));
    }

    #[test]
    fn more_than_it_holds_is_given_when_full_and_paid_back() {
        let now = SystemClock.now();
        let mut bucket = bucket(10, Duration::from_secs(1));
        assert_eq!(bucket.take(now, 30), Ok(()));
        assert_eq!(bucket.take(now, 1), Err(Duration::from_millis(2_100)));
    }

    #[test]
    fn debt_is_paid_back_before_the_next_take() {
        let now = SystemClock.now();
        let mut bucket = bucket(10, Duration::from_secs(1));
        bucket.charge(now, 25);
        assert_eq!(bucket.take(now, 1), Err(Duration::from_millis(1_600)));
        assert_eq!(bucket.take(now + Duration::from_millis(1_600), 1), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_and_huge_counts_do_no_harm() {
        let now = SystemClock.now();
        let mut bucket = bucket(u32::MAX, Duration::from_nanos(5));
        assert_eq!(bucket.take(now, u32::MAX), Ok(()));
        bucket.charge(now, u32::MAX);
        if let Some(before) = now.checked_sub(Duration::from_millis(1)) {
            assert!(bucket.take(before, 1).is_err());
        }
    }

    proptest! {
        #[test]
        fn over_any_run_it_gives_no_more_than_its_size_and_the_refill(
            steps in proptest::collection::vec((0u64..400, 1u32..4), 1..200)
        ) {
            let start = SystemClock.now();
            let mut bucket = bucket(10, Duration::from_secs(1));
            let (mut given, mut elapsed) = (0u64, 0u64);
            for (wait, count) in steps {
                elapsed += wait;
                if bucket.take(start + Duration::from_millis(elapsed), count).is_ok() {
                    given += u64::from(count);
                }
                prop_assert!(given <= 10 + elapsed / 100);
            }
        }
    }
}
