use super::explain::{ExplainEvent, Explanation};
use super::status::{ReloadReport, Status, TestEvent, TestReport};
use async_trait::async_trait;

/// What the admin listener asks of the daemon.
#[async_trait]
pub trait AdminBackend: Send + Sync + 'static {
    /// Whether events are taken.
    ///
    /// # Errors
    /// Why not, one line: starting, draining, or what the spool's trouble is. Nothing else makes a daemon unready.
    fn ready(&self) -> Result<(), String>;

    /// Reads the configuration again and puts in force what of it is valid.
    async fn reload(&self) -> ReloadReport;

    /// How the daemon and its endpoints are.
    async fn status(&self) -> Status;

    /// Makes one attempt with a test event. It touches no order, rate, breaker, history or delivery metric.
    ///
    /// # Errors
    /// See [`TestError`]; an attempt that failed is a [`TestReport`].
    async fn test(&self, endpoint: &str, event: TestEvent) -> Result<TestReport, TestError>;

    /// Which endpoints get an event, and why the others do not. Called on a thread that may block.
    ///
    /// # Errors
    /// Why it is no event of this daemon's.
    fn explain(&self, event: &ExplainEvent) -> Result<Explanation, String>;

    /// All series in the text format of Prometheus. Called on a thread that may block.
    fn render_metrics(&self) -> String;
}

/// Why a test event was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TestError {
    /// No endpoint has this name.
    #[error("no endpoint is called {0:?}")]
    NotFound(String),
    /// The event cannot be sent as asked, or the endpoint has no sink yet.
    #[error("{0}")]
    Unfit(String),
}
