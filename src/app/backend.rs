use super::changes::Changes;
use super::deliveries::Deliveries;
use super::page::Facts;
use super::sight::{Sight, mark_rejected};
use super::store::Store;
use super::trial::trial;
use crate::admin::{
    AdminBackend, Caller, ConfigIssue, ConfigStatus, DeliveriesBackend, EndpointBackend as _, EndpointDetail,
    ExplainEvent, Explanation, PageBackend, ReloadReport, ReloadResult, SpoolStatus, Status, TestError,
    TestEvent, TestReport,
};
use crate::clock::Clock;
use crate::config::{self, AdminConfig, DaemonConfig, FileKind};
use crate::metrics::Metrics;
use crate::net::ServerTls;
use crate::reload::{ReloadHandle, ReloadOutcome};
use crate::router::RouterHandle;
use crate::spool::{EmbeddedSpool, Spool as _};
use crate::table::Entry;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the admin listener asks of the daemon, answered from its parts.
pub(super) struct Backend {
    pub(super) path: PathBuf,
    /// As it was at the start: what is read of it here is not live.
    pub(super) daemon: Arc<DaemonConfig>,
    /// As it is now.
    pub(super) config: Arc<ArcSwap<DaemonConfig>>,
    pub(super) router: RouterHandle,
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) reload: ReloadHandle,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Instant,
    /// Who answers about deliveries.
    pub(super) deliveries: Arc<Deliveries>,
    /// Cancelled when the daemon begins to stop.
    pub(super) draining: CancellationToken,
    pub(super) store: Arc<Store>,
    pub(super) changes: Arc<Changes>,
}

#[async_trait]
impl AdminBackend for Backend {
    fn tls(&self) -> Option<Arc<ServerTls>> {
        self.config.load().admin.tls.clone()
    }

    fn access(&self) -> AdminConfig {
        self.config.load().admin.clone()
    }

    fn ready(&self) -> Result<(), String> {
        if self.draining.is_cancelled() {
            return Err("stopping".to_owned());
        }
        // A balancer that leaves a daemon out because of what waits would not help what waits.
        self.spool.trouble().filter(|trouble| !trouble.full).map_or(Ok(()), |trouble| Err(trouble.reason))
    }

    async fn reload(&self) -> ReloadReport {
        self.reload_files().await
    }

    async fn status(&self) -> Status {
        let reload = self.reload.status().await;
        let table = self.router.table();
        let (sight, seen) = (self.sight(), Arc::clone(&table));
        let look = move || sight.endpoints(&seen, None);
        let mut endpoints = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        mark_rejected(&mut endpoints, reload.iter().flat_map(|reload| &reload.invalid));
        let errors = reload.iter().flat_map(|reload| &reload.errors).map(ConfigIssue::from).collect();
        let trouble = self.spool.trouble().map(|trouble| trouble.reason);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.clock.now().saturating_duration_since(self.started).as_secs(),
            generation: table.generation.0,
            unready: self.ready().err().or_else(|| trouble.clone()),
            endpoints,
            spool: SpoolStatus {
                path: self.daemon.spool.path.display().to_string(),
                bytes: self.spool.pending(),
                max_bytes: self.config.load().spool.max_bytes,
                trouble,
            },
            config: ConfigStatus {
                path: self.path.display().to_string(),
                last_reload_ms: reload.map(|reload| reload.last_success_ms),
                errors,
            },
        }
    }

    async fn test(&self, caller: &Caller, endpoint: &str, event: TestEvent) -> Result<TestReport, TestError> {
        let table = self.router.table();
        let entry = table.named(endpoint);
        let seen = |entry: &&Entry| caller.sees(entry.spec.identity.account.as_deref());
        let Some(entry) = entry.filter(seen) else {
            // There may be one all the same, with nothing to test.
            return Err(match self.endpoint(caller, endpoint).await {
                Ok(found) => TestError::Unfit(untestable(&found)),
                Err(_) => TestError::NotFound(endpoint.to_owned()),
            });
        };
        trial(&self.router, &entry.spec, &event, &*self.clock).await.map_err(TestError::Unfit)
    }

    fn deliveries(&self) -> Option<Arc<dyn DeliveriesBackend>> {
        Some(self.deliveries.clone())
    }

    fn explain(&self, event: &ExplainEvent) -> Result<Explanation, String> {
        Explanation::of(&self.router.table(), event)
    }

    fn endpoint_schema(&self) -> serde_json::Value {
        config::schema(FileKind::Endpoint, self.store.loader.sinks())
    }

    fn render_metrics(&self) -> String {
        self.router.directory().refresh_metrics(&*self.spool, &*self.clock);
        self.metrics.render()
    }

    fn page(&self) -> Option<Arc<dyn PageBackend>> {
        Some(Arc::new(Facts::of(self)))
    }
}

impl Backend {
    pub(super) async fn reload_files(&self) -> ReloadReport {
        let outcome = self.reload.reload().await;
        ReloadReport {
            result: match outcome {
                ReloadOutcome::Applied { .. } => ReloadResult::Applied,
                ReloadOutcome::Unchanged { .. } => ReloadResult::Unchanged,
                ReloadOutcome::PartlyApplied { .. } => ReloadResult::Partial,
                ReloadOutcome::Rejected { .. } => ReloadResult::Rejected,
            },
            generation: outcome.generation().0,
            errors: outcome.errors().iter().map(ConfigIssue::from).collect(),
        }
    }

    pub(super) fn sight(&self) -> Sight {
        Sight {
            router: self.router.clone(),
            spool: Arc::clone(&self.spool),
            clock: Arc::clone(&self.clock),
            changes: Arc::clone(&self.changes),
        }
    }
}

/// Why an endpoint that is known has nothing to make a test with.
fn untestable(found: &EndpointDetail) -> String {
    let name = &found.status.name;
    match found.errors.first() {
        Some(error) => format!("the file of {name} is rejected: {}", error.message),
        None => {
            format!("{name} is {}: {}", found.status.state, found.status.note.as_deref().unwrap_or("no file"))
        }
    }
}
