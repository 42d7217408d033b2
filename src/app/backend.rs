use super::changes::Changes;
use super::deliveries::Deliveries;
use super::page::Facts;
use super::store::Store;
use super::trial::trial;
use crate::admin::{
    AdminBackend, Caller, ConfigIssue, ConfigStatus, DeliveriesBackend, EndpointBackend as _, EndpointDetail,
    EndpointStatus, ExplainEvent, Explanation, PageBackend, ReloadReport, ReloadResult, SpoolStatus, Status,
    TestError, TestEvent, TestReport,
};
use crate::clock::{Clock, unix_ms};
use crate::config::{self, AdminConfig, DaemonConfig, FileKind};
use crate::delivery::Condition;
use crate::ids::Identity;
use crate::metrics::Metrics;
use crate::net::ServerTls;
use crate::reload::{ReloadHandle, ReloadOutcome};
use crate::router::{Directory, RouterHandle};
use crate::spool::{EmbeddedSpool, EndpointState, Spool as _};
use crate::table::{EndpointSpec, Entry, Selection, Table};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
        self.spool.trouble().map_or(Ok(()), Err)
    }

    async fn reload(&self) -> ReloadReport {
        self.reload_files().await
    }

    async fn status(&self) -> Status {
        let reload = self.reload.status().await;
        let table = self.router.table();
        let mut endpoints = self.endpoints(&table, None);
        mark_rejected(&mut endpoints, reload.iter().flat_map(|reload| &reload.invalid));
        let errors = reload.iter().flat_map(|reload| &reload.errors).map(ConfigIssue::from).collect();
        let backlogs = self.spool.backlogs();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.clock.now().saturating_duration_since(self.started).as_secs(),
            generation: table.generation.0,
            unready: self.ready().err(),
            endpoints,
            spool: SpoolStatus {
                path: self.daemon.spool.path.display().to_string(),
                bytes: backlogs.iter().map(|backlog| backlog.bytes).sum(),
                max_bytes: self.config.load().spool.max_bytes,
                trouble: self.spool.trouble(),
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

    /// How endpoints are: all, or the one of a name.
    pub(super) fn endpoints(&self, table: &Table, only: Option<&str>) -> Vec<EndpointStatus> {
        let asked = |name: &str| only.is_none_or(|only| only == name);
        let now_ms = unix_ms(&*self.clock);
        let changed = self.changes.states();
        let change = |identity: &Identity| changed.get(identity).copied();
        let mut endpoints: Vec<EndpointStatus> = self
            .router
            .directory()
            .list()
            .into_iter()
            .filter(|(_, observed)| asked(&observed.identity.name))
            .map(|(uid, observed)| {
                let condition = Directory::condition(&*self.spool, uid, &observed, now_ms);
                let backlog = self.spool.backlog(uid);
                let state = self.spool.endpoint_state(uid);
                let began = observed.shared.since_ms();
                let filter = observed.shared.filter_problem();
                let sink = table.with_uid(uid).and_then(|entry| entry.spec.sink.as_ref());
                let rejected = condition == Condition::Invalid && table.with_uid(uid).is_none();
                EndpointStatus {
                    name: observed.identity.name.to_string(),
                    account: observed.identity.account.as_deref().map(str::to_owned),
                    state: condition.as_str().to_owned(),
                    note: if rejected {
                        Some(format!("{NO_VERSION}: what waits is held until it is corrected"))
                    } else {
                        note(condition, &state, observed.shared.probe_ms(), now_ms)
                    },
                    since_ms: since(condition, &state, began, change(&observed.identity)),
                    sink: sink.map(|sink| sink.kind.to_string()),
                    destination: sink.map(|sink| sink.destination.to_string()),
                    ready: backlog.as_ref().map_or(0, |backlog| backlog.ready),
                    parked: backlog.as_ref().map_or(0, |backlog| backlog.parked),
                    dead: backlog.as_ref().map_or(0, |backlog| backlog.dead),
                    oldest_ms: backlog.and_then(|backlog| backlog.oldest_ms),
                    in_flight: u64::try_from(observed.shared.in_flight()).unwrap_or(u64::MAX),
                    last_error: observed.shared.problem().map(|problem| problem.reason.to_string()),
                    events: wanted(table.with_uid(uid), |spec| &spec.events),
                    products: wanted(table.with_uid(uid), |spec| &spec.products),
                    rejected: false,
                    filter_failures: filter.as_ref().map_or(0, |(count, _)| *count),
                    filter_error: filter.map(|(_, problem)| problem.reason.to_string()),
                }
            })
            .collect();
        // The same name may be listed for another account: that is another endpoint.
        let listed: std::collections::HashSet<(&str, Option<&str>)> =
            endpoints.iter().map(|endpoint| (endpoint.name.as_str(), endpoint.account.as_deref())).collect();
        let is_listed = |entry: &&Entry| {
            let identity = &entry.spec.identity;
            listed.contains(&(&*identity.name, identity.account.as_deref()))
        };
        let resting: Vec<&Entry> = table
            .entries()
            .iter()
            .filter(|entry| asked(&entry.spec.identity.name) && !is_listed(entry))
            .collect();
        endpoints.extend(resting.into_iter().map(|entry| {
            let state = self.spool.endpoint_state(entry.uid);
            let condition = Condition::at_rest(entry.spec.lifecycle, &state, now_ms);
            EndpointStatus {
                name: entry.spec.identity.name.to_string(),
                account: entry.spec.identity.account.as_deref().map(str::to_owned),
                state: condition.as_str().to_owned(),
                note: note(condition, &state, None, now_ms),
                since_ms: since(condition, &state, None, change(&entry.spec.identity)),
                sink: entry.spec.sink.as_ref().map(|sink| sink.kind.to_string()),
                destination: entry.spec.sink.as_ref().map(|sink| sink.destination.to_string()),
                events: wanted(Some(entry), |spec| &spec.events),
                products: wanted(Some(entry), |spec| &spec.products),
                ..EndpointStatus::default()
            }
        }));
        endpoints.sort_by(|a, b| (&a.name, &a.account).cmp(&(&b.name, &b.account)));
        endpoints
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

fn wanted(entry: Option<&Entry>, which: impl Fn(&EndpointSpec) -> &Selection) -> Vec<String> {
    match entry.map(|entry| which(&entry.spec)) {
        None => Vec::new(),
        Some(Selection::All) => vec!["all".to_owned()],
        Some(Selection::Some(names)) => names.iter().map(|name| name.to_string()).collect(),
    }
}

/// Of an endpoint whose file is rejected, where no version before it can be used either.
const NO_VERSION: &str = "its file is rejected, and it has no version to run";

/// Those whose file is rejected; without a version to run they are in no table.
fn mark_rejected<'a>(endpoints: &mut Vec<EndpointStatus>, names: impl Iterator<Item = &'a Arc<str>>) {
    for name in names {
        let mut found = false;
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.name == **name) {
            (endpoint.rejected, found) = (true, true);
        }
        if !found {
            endpoints.push(EndpointStatus {
                name: name.to_string(),
                state: "invalid".to_owned(),
                note: Some(NO_VERSION.to_owned()),
                rejected: true,
                ..EndpointStatus::default()
            });
        }
    }
    endpoints.sort_by(|a, b| (&a.name, &a.account).cmp(&(&b.name, &b.account)));
}

/// When a state began, as far as it is known: from what is remembered, what its actor saw begin, and what changed its
/// file.
fn since(
    condition: Condition,
    state: &EndpointState,
    began: Option<u64>,
    changed: Option<u64>,
) -> Option<u64> {
    match condition {
        Condition::Gone => state.suspended.map(|(since, _)| since).or(began),
        Condition::Removed => state.removed_ms.or(began),
        Condition::Active => began.max(changed),
        Condition::Draft | Condition::Paused => changed.or(began),
        Condition::Open
        | Condition::Waiting
        | Condition::Blocked
        | Condition::Invalid
        | Condition::Parked => began,
    }
}

/// What a state means for the deliveries, and the way out.
fn note(condition: Condition, state: &EndpointState, probe_ms: Option<u64>, now_ms: u64) -> Option<String> {
    let left = |until: u64| Duration::from_millis(until.saturating_sub(now_ms)).as_secs();
    Some(match condition {
        Condition::Active => return None,
        Condition::Draft => "collects nothing until it is activated".to_owned(),
        Condition::Paused => "deliveries are held until it is active again".to_owned(),
        Condition::Open => match probe_ms {
            Some(probe) => format!("failing: deliveries are held, the next probe is in {} s", left(probe)),
            None => "failing: deliveries are held, and it is probed".to_owned(),
        },
        Condition::Waiting => {
            format!("told to wait {} s more", left(state.wait_until_ms.unwrap_or(now_ms)))
        }
        Condition::Gone => "answered 410: held until it is resumed or its destination changes".to_owned(),
        Condition::Blocked => "its address is refused: held, and looked at again every minute".to_owned(),
        Condition::Invalid => "its sink cannot be built: held, and tried again every minute".to_owned(),
        Condition::Removed => "its file is gone: held for a while, then dead".to_owned(),
        Condition::Parked => "its actor failed too often: tried again in ten minutes".to_owned(),
    })
}
