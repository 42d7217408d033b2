//! The one place that reads the time. Everything else takes `now` as an argument or holds a [`SystemClock`].

use std::time::{Duration, Instant};

pub use postrider_sink::Clock;

/// The time of this machine. The monotonic part is tokio's, so that a test may pause it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    fn unix(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn unix_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.unix().as_millis()).unwrap_or(u64::MAX)
}
