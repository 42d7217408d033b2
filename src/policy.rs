//! What happens to deliveries when things go wrong, as plain types: no tokio, no clock, no randomness, no I/O.
//! `now` and the random draw are arguments, the next deadline is a return value.

mod breaker;
mod bucket;
mod pauses;
mod restart;
mod retry;
mod settings;
mod slow_start;
mod window;

pub use breaker::{Admission, Breaker, Probe, Transition};
pub use bucket::TokenBucket;
pub use pauses::Pauses;
pub use restart::{Restart, RestartPolicy};
pub use settings::{BreakerSettings, DeliverySettings, Ordering, Rate, RetrySettings};
pub use slow_start::SlowStart;
pub use window::{Room, Window};
