//! The suite that every plugin runs against itself, and what a test of a sink is made of.
//!
//! [`conform`] puts a sink through what a daemon and a bad day put it through: bursts, repeats, a destination that is
//! slow, breaks, babbles, answers twice, rejects or is gone, and attempts dropped at their deadline. A [`Subject`] says how
//! to make such a destination; a way that a kind of destination cannot behave is left out.

mod host;
mod samples;
mod suite;

pub use host::{SystemTime, TestHost, context};
pub use samples::{burst, delivery, golden};
pub use suite::{Check, Report, Result, conform};

use crate::{Host, HostContext, Table, async_trait};
use std::sync::Arc;

/// How a destination behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes everything.
    Takes,
    /// It never answers the first event, and takes the others.
    Slow,
    /// It breaks when it gets the first event, comes back, and takes the others.
    Crashes,
    /// It answers the first event with what is no answer, and takes the others.
    Garbage,
    /// It takes everything, and says so twice.
    Duplicates,
    /// It says that it will never take this event.
    Rejects,
    /// It says that it is gone for good.
    Gone,
}

/// What [`conform`] needs to know about a sink under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The settings of an endpoint whose destination behaves like this, made anew. None: it cannot.
    async fn settings(&self, behaviour: Behaviour) -> Option<Table>;

    /// What the sink is built with.
    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        context(host)
    }

    /// The ids of the events that arrived at the destination made last. None: that cannot be seen.
    async fn arrived(&self) -> Option<Vec<String>> {
        None
    }
}
