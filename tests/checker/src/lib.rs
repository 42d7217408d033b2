//! Proves that what was accepted was delivered.
//!
//! A publisher posts numbered events and writes down every attempt with its outcome; a receiver writes down everything
//! that arrives. Both outlive the daemon under test. Afterwards the two logs are compared as multisets, endpoint by
//! endpoint: what is lost, unexpected, repeated, misrouted, damaged or out of order.
//!
//! Everything about an event follows from its number (see [`event`]), so that the logs stay small and a damaged body
//! cannot hide. HTTP is spoken by hand, just as much as is needed: the tools share two cores with what they measure.

mod clock;
pub mod event;
pub mod log;
pub mod publish;
pub mod receive;
pub mod stats;
pub mod verify;
pub mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The password of the user `endpoint` at the receiver.
#[must_use]
pub fn password(endpoint: &str) -> String {
    format!("password-of-{endpoint}")
}

/// The `Authorization` header that the receiver expects for `endpoint`: the endpoint's name is the user's.
#[must_use]
pub fn authorization(endpoint: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{endpoint}:{}", password(endpoint))))
}
