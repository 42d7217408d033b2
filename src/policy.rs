//! What happens to deliveries when things go wrong, as plain types: no tokio, no clock, no randomness, no I/O.
//! `now` and the random draw are arguments, the next deadline is a return value.

mod bucket;
mod settings;

pub use bucket::TokenBucket;
pub use settings::{BreakerSettings, DeliverySettings, Ordering, Rate, RetrySettings};
