use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch: the publisher and the receiver are separate processes of one machine, and the
/// wall clock is what they share.
#[expect(clippy::disallowed_methods, reason = "a test tool measures real time; nothing simulates it")]
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
