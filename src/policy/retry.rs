use super::RetrySettings;
use std::time::Duration;

impl RetrySettings {
    /// The wait from the end of attempt number `attempts` (counted from 1) to the next; none: there is no next.
    /// `draw` is random, from 0 up to 1.
    #[must_use]
    pub fn wait_after(&self, attempts: u32, draw: f64) -> Option<Duration> {
        let position = usize::try_from(attempts.checked_sub(1)?).ok()?;
        let wait = *self.schedule.get(position)?;
        let spread = self.jitter.clamp(0.0, 1.0) * draw.clamp(0.0, 1.0).mul_add(2.0, -1.0);
        Some(wait.mul_f64(1.0 + spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_attempts_follow_the_default_schedule_and_then_none() {
        let retry = RetrySettings { jitter: 0.0, ..RetrySettings::default() };
        let waits: Vec<u64> = (1..=9).map(|n| retry.wait_after(n, 0.7).unwrap().as_secs()).collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]);
        assert_eq!(retry.wait_after(10, 0.5), None);
        assert_eq!(retry.wait_after(0, 0.5), None);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(attempt in 1u32..10, draw in 0.0f64..1.0) {
            let retry = RetrySettings::default();
            let exact = RetrySettings { jitter: 0.0, ..retry.clone() }.wait_after(attempt, 0.0).unwrap();
            let drawn = retry.wait_after(attempt, draw).unwrap();
            prop_assert!(drawn >= exact.mul_f64(0.799) && drawn <= exact.mul_f64(1.201));
        }
    }
}
