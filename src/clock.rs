//! The one place that reads the time. Everything else takes `now` as an argument or holds a [`SystemClock`].
//!
//! There are two times of day. What leaves the daemon says what the machine's clock says. What is kept is reckoned by
//! the clock as it was when the process began, and goes on evenly from there: a clock that is set ten years ahead must
//! not make ten years old what waits, nor throw away what is kept for days. The next start begins with the clock as it
//! is then.

use rustix::time::{ClockId, clock_gettime};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub use postrider_sink::Clock;

/// Goes on evenly, and while the machine sleeps where the system can tell.
#[cfg(target_os = "linux")]
const EVEN: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const EVEN: ClockId = ClockId::Monotonic;

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

    fn steady(&self) -> Duration {
        /// Both times at the start.
        static START: LazyLock<(Duration, Duration)> = LazyLock::new(|| (SystemClock.unix(), even()));
        let (unix, begun) = *START;
        unix + even().saturating_sub(begun)
    }
}

fn even() -> Duration {
    Duration::try_from(clock_gettime(EVEN)).unwrap_or_default()
}

/// Milliseconds since the Unix epoch, for what is kept: they go on evenly whatever is done to the machine's clock.
#[must_use]
pub fn unix_ms(clock: &dyn Clock) -> u64 {
    millis(clock.steady())
}

/// Milliseconds since the Unix epoch as the machine's clock says, for what leaves the daemon.
#[must_use]
pub fn wall_ms(clock: &dyn Clock) -> u64 {
    millis(clock.unix())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_leaves_agree_where_nobody_sets_the_clock() {
        let first = unix_ms(&SystemClock);
        let (kept, left) = (unix_ms(&SystemClock), wall_ms(&SystemClock));
        assert!(kept >= first && kept.abs_diff(left) < 60_000, "{kept} and {left}");
    }
}
