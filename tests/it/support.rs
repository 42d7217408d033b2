//! What the tests are made of.

mod client;
mod daemon;
mod files;
mod load;
mod metrics;
mod receiver;
mod scale;
mod tls;

pub(crate) use client::{Answer, Client};
pub(crate) use daemon::{Daemon, Setup, daemon};
pub(crate) use files::{EndpointFile, Way};
pub(crate) use load::Load;
pub(crate) use metrics::Metrics;
pub(crate) use receiver::{Receiver, Reply, Request};
pub(crate) use scale::Scale;
pub(crate) use tls::{TlsPair, tls_exchange};

use std::time::Duration;
use tokio::time::Instant;

/// How often a test looks.
const POLL: Duration = Duration::from_millis(10);

/// Looks until it is so, and fails the test once the deadline is over.
pub(crate) async fn until(deadline: Duration, what: &str, mut look: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !look().await {
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}
