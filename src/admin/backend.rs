use super::caller::Caller;
use super::deliveries::DeliveriesBackend;
use super::endpoint::{EndpointDetail, EndpointError, Order, Precondition, Settings, UnsavedTest};
use super::explain::{ExplainEvent, Explanation};
use super::page::PageBackend;
use super::status::{ReloadReport, Status, TestEvent, TestReport};
use crate::config::AdminConfig;
use crate::net::ServerTls;
use async_trait::async_trait;
use std::sync::Arc;

/// What the admin listener asks of the daemon.
#[async_trait]
pub trait AdminBackend: EndpointBackend {
    /// What the listener proves itself with now; none: it speaks plainly.
    fn tls(&self) -> Option<Arc<ServerTls>> {
        None
    }

    /// Who may come in, as the configuration in force says.
    fn access(&self) -> AdminConfig;

    /// Whether it works.
    ///
    /// # Errors
    /// Why not, one line: starting, draining, or what the spool's trouble is, unless that is only as much undelivered work as
    /// there may be. Nothing else makes a daemon unready.
    fn ready(&self) -> Result<(), String>;

    /// Reads the configuration again and puts in force what of it is valid.
    async fn reload(&self) -> ReloadReport;

    /// How the daemon and its endpoints are.
    async fn status(&self) -> Status;

    /// Makes one attempt with a test event. It touches no order, rate, breaker, history or delivery metric.
    ///
    /// # Errors
    /// See [`TestError`]; an attempt that failed is a [`TestReport`].
    async fn test(&self, caller: &Caller, endpoint: &str, event: TestEvent) -> Result<TestReport, TestError>;

    /// Which endpoints get an event, and why the others do not. Called on a thread that may block.
    ///
    /// # Errors
    /// Why it is no event of this daemon's.
    fn explain(&self, event: &ExplainEvent) -> Result<Explanation, String>;

    /// All series in the text format of Prometheus. Called on a thread that may block.
    fn render_metrics(&self) -> String;

    /// The JSON Schema of an endpoint's file, the tables of this daemon's sinks included.
    fn endpoint_schema(&self) -> serde_json::Value;

    /// Who answers about deliveries and dead letters; none: this daemon keeps no history.
    fn deliveries(&self) -> Option<Arc<dyn DeliveriesBackend>> {
        None
    }

    /// Who answers what only the settings page asks; none: there is no page.
    fn page(&self) -> Option<Arc<dyn PageBackend>> {
        None
    }
}

/// What the admin listener asks about endpoints. Every answer is limited to what the caller may see.
#[async_trait]
pub trait EndpointBackend: Send + Sync + 'static {
    /// One endpoint in full.
    ///
    /// # Errors
    /// [`EndpointError::NotFound`].
    async fn endpoint(&self, caller: &Caller, name: &str) -> Result<EndpointDetail, EndpointError>;

    /// Writes an endpoint's file, keeping its comments and order, and puts it in force. True: it is new.
    ///
    /// # Errors
    /// See [`EndpointError`]; but for `Failed` nothing was changed.
    async fn put_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        settings: Settings,
        expected: Precondition,
    ) -> Result<(EndpointDetail, bool), EndpointError>;

    /// Deletes an endpoint's file. What waits for it is dead at once.
    ///
    /// # Errors
    /// See [`EndpointError`].
    async fn delete_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        expected: Precondition,
    ) -> Result<(), EndpointError>;

    /// Changes the state in an endpoint's file.
    ///
    /// # Errors
    /// See [`EndpointError`].
    async fn order(
        &self,
        caller: &Caller,
        name: &str,
        order: Order,
        expected: Precondition,
    ) -> Result<EndpointDetail, EndpointError>;

    /// Makes one attempt with settings that are not saved, on the way that deliveries take.
    ///
    /// # Errors
    /// See [`EndpointError`]; an attempt that failed is a [`TestReport`].
    async fn test_unsaved(&self, caller: &Caller, test: UnsavedTest) -> Result<TestReport, EndpointError>;
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
