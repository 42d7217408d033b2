//! The only place that wires parts together: it builds from the bottom up, stops from the top down, and owns every
//! deadline of the stop.

mod backend;
mod changes;
mod deliveries;
mod endpoints;
mod files;
mod live;
mod lone;
mod page;
mod replays;
mod sight;
mod start;
mod stop;
mod store;
#[cfg(test)]
mod tests;
mod trial;
mod views;

pub use files::{CheckedFile, EffectiveError, check, effective, explain, schema, sinks, spool_path};
pub use lone::{LoneEndpoint, lone_context, lone_endpoint};

use crate::admin::ReloadReport;
use crate::metrics::Metrics;
use backend::Backend;
use postrider_sink::SinkFactory;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a daemon is started with.
#[derive(Clone)]
pub struct AppOptions {
    /// The daemon's file.
    pub config: PathBuf,
    /// Sinks beside the built-in ones; one of the same kind takes the place of a built-in one.
    pub sinks: Vec<Arc<dyn SinkFactory>>,
    /// Where its series go.
    pub metrics: Metrics,
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The daemon's file is invalid: every error with its carets, ready to be printed.
    #[error("{0}")]
    Config(String),
    /// Anything else: a port that is taken, a spool that another daemon holds.
    #[error("{0}")]
    Failed(String),
}

/// A daemon that runs.
pub struct App {
    ingress: SocketAddr,
    admin: SocketAddr,
    backend: Arc<Backend>,
    sink_tasks: TaskTracker,
    stop_ingress: CancellationToken,
    stop_admin: CancellationToken,
    serving_ingress: JoinHandle<()>,
    serving_admin: JoinHandle<()>,
    /// Cancelled when a listener has ended, however it did.
    ingress_over: CancellationToken,
    admin_over: CancellationToken,
}

impl App {
    /// Where events come in.
    #[must_use]
    pub const fn ingress(&self) -> SocketAddr {
        self.ingress
    }

    /// The admin listener.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Reads the configuration again.
    pub async fn reload(&self) -> ReloadReport {
        self.backend.reload_files().await
    }

    /// Ends when the daemon cannot go on by itself; the reason is for people. Else never.
    pub async fn failed(&self) -> String {
        tokio::select! {
            () = self.backend.router.ended() => "the router has stopped".to_owned(),
            () = self.backend.spool.ended() => "the spool's writer has stopped".to_owned(),
            () = self.ingress_over.cancelled() => "the ingress has stopped".to_owned(),
            () = self.admin_over.cancelled() => "the admin listener has stopped".to_owned(),
        }
    }
}
