//! Where events come in: `POST /v1/events` over HTTP/1.1, ours or CloudEvents 1.0.
//!
//! A connection is a task. Its bytes pass `wire`, which keeps its deadlines and looks for requests that could be
//! read in two ways; hyper parses them; `handler` checks one request in the documented precedence of errors, reads
//! its body within limits, has `envelope` make events of it, hands them to the router and waits for their receipt.
//!
//! What always holds: an answer of 202 or 200 says what a receipt said. Memory is bounded: connections by number,
//! heads by size, bodies and events by a permit that grows as a body arrives and travels with its events until they
//! are durable. Nothing a client sends or leaves out keeps a connection past its deadlines.

mod admission;
mod answer;
mod auth;
mod body;
mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod handler;
mod hygiene;
mod limits;
mod meters;
mod problem;
mod serve;
mod server;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use crate::clock::Clock;
use crate::config::DaemonConfig;
use crate::metrics::Metrics;
use crate::net::Listen;
use crate::router::{RouterHandle, Submission};
use crate::table::Table;
use admission::Admission;
use arc_swap::ArcSwap;
use auth::Publishers;
pub(crate) use envelope::test_data;
pub use limits::Limits;
use meters::Meters;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the ingress needs of the router.
pub trait Submit: Send + Sync + 'static {
    /// Hands events over. The answer comes through `submission.reply`.
    fn submit(&self, submission: Submission);

    /// The table in force: its catalogue has the names that events may use.
    fn table(&self) -> Arc<Table>;
}

impl Submit for RouterHandle {
    fn submit(&self, submission: Submission) {
        Self::submit(self, submission);
    }

    fn table(&self) -> Arc<Table> {
        Self::table(self)
    }
}

/// What the ingress is made of.
pub struct IngressDeps<R = RouterHandle> {
    /// Where events go.
    pub router: R,
    /// Where its series are.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// `[ingress]` of it is looked at for every request.
    pub config: Arc<ArcSwap<DaemonConfig>>,
    /// Deadlines and caps.
    pub limits: Limits,
}

/// The listener of publishers.
#[derive(Clone)]
pub struct Ingress {
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    router: Arc<dyn Submit>,
    meters: Meters,
    clock: Arc<dyn Clock>,
    publishers: Publishers,
    admission: Admission,
    limits: Limits,
}

impl Ingress {
    /// An ingress that does not listen yet.
    #[must_use]
    pub fn new<R: Submit>(deps: IngressDeps<R>) -> Self {
        let shared = Shared {
            router: Arc::new(deps.router),
            meters: Meters::new(deps.metrics),
            clock: deps.clock,
            publishers: Publishers::new(deps.config),
            admission: Admission::new(&deps.limits),
            limits: deps.limits,
        };
        // Its series are there before the first event.
        shared.meters.received(&shared.router.table());
        Self { shared: Arc::new(shared) }
    }

    /// Serves the connections of a listener. Once `shutdown` is cancelled it accepts none, closes those that wait
    /// for a request, and returns when the others have their answers: how long that may take is the caller's to
    /// bound, by dropping the future.
    pub async fn run<L: Listen>(&self, listener: L, shutdown: CancellationToken) {
        server::run(self.shared.clone(), listener, shutdown).await;
    }
}
