//! The only place that wires parts together.

use crate::admin::ReloadReport;
use crate::metrics::Metrics;
use postrider_sink::SinkFactory;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

impl App {
    /// Builds it bottom-up. Events are taken when this returns.
    ///
    /// # Errors
    /// See [`StartError`]. An endpoint's file that is invalid is none.
    pub async fn start(options: AppOptions) -> Result<Self, StartError> {
        Err(StartError::Failed(format!("cannot start from {} yet", options.config.display())))
    }

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
        unreachable!("nothing starts yet")
    }

    /// Ends when the daemon cannot go on by itself; the reason is for people. Else never.
    pub async fn failed(&self) -> String {
        std::future::pending().await
    }

    /// Stops it top-down, within its own grace.
    pub async fn stop(self) {}
}

/// One file that was looked at by [`check`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckedFile {
    /// Its path.
    pub file: String,
    /// One line about a file without errors: `4 events, 2 products`.
    pub summary: String,
    /// What is wrong with it.
    pub errors: Vec<crate::admin::ConfigIssue>,
    /// The same with carets, ready to be printed.
    #[serde(skip)]
    pub carets: String,
}

/// Checks the daemon's file and every endpoint file, offline.
#[must_use]
pub fn check(config: &Path, _sinks: &[Arc<dyn SinkFactory>], _colour: bool) -> Vec<CheckedFile> {
    vec![CheckedFile { file: config.display().to_string(), ..CheckedFile::default() }]
}

/// What is in force for an endpoint (none: for the daemon) once defaults are merged, each value with its origin;
/// secrets as fingerprints.
///
/// # Errors
/// What is wrong with the files, or that no endpoint has this name.
pub fn effective(
    config: &Path,
    _sinks: &[Arc<dyn SinkFactory>],
    endpoint: Option<&str>,
) -> Result<String, EffectiveError> {
    endpoint.map_or_else(
        || Err(EffectiveError::Invalid(format!("cannot read {} yet", config.display()))),
        |name| Err(EffectiveError::NotFound(name.to_owned())),
    )
}

/// Why [`effective`] has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum EffectiveError {
    /// The files are invalid.
    #[error("{0}")]
    Invalid(String),
    /// There is no such endpoint.
    #[error("no endpoint is called {0:?}")]
    NotFound(String),
}

/// The JSON Schema of the configuration files.
#[must_use]
pub fn schema() -> String {
    "{}".to_owned()
}

/// The kinds of sinks, built-in ones included.
#[must_use]
pub fn sink_kinds(sinks: &[Arc<dyn SinkFactory>]) -> Vec<String> {
    sinks.iter().map(|sink| sink.kind().to_owned()).collect()
}
