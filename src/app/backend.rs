use crate::admin::{
    AdminBackend, ConfigIssue, ConfigStatus, EndpointStatus, ExplainEvent, Explanation, ReloadReport,
    ReloadResult, SpoolStatus, Status, TestError, TestEvent, TestReport, TestTimings,
};
use crate::clock::{Clock, unix_ms};
use crate::config::DaemonConfig;
use crate::delivery::{Attempt, Condition, attempt};
use crate::metrics::Metrics;
use crate::reload::{ReloadHandle, ReloadOutcome};
use crate::router::{Directory, RouterHandle};
use crate::spool::{EmbeddedSpool, EndpointState, Spool as _};
use crate::table::{Entry, Selection, Table};
use async_trait::async_trait;
use postrider_sink::Verdict;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What the admin listener asks of the daemon, answered from its parts.
pub(super) struct Backend {
    pub(super) path: PathBuf,
    /// As it was at the start: what is read of it here is not live.
    pub(super) daemon: Arc<DaemonConfig>,
    pub(super) router: RouterHandle,
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) reload: ReloadHandle,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Instant,
    /// Cancelled when the daemon begins to stop.
    pub(super) draining: CancellationToken,
}

#[async_trait]
impl AdminBackend for Backend {
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
        let errors = reload.iter().flat_map(|reload| &reload.errors).map(ConfigIssue::from).collect();
        let backlogs = self.spool.backlogs();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.clock.now().saturating_duration_since(self.started).as_secs(),
            generation: table.generation.0,
            unready: self.ready().err(),
            endpoints: self.endpoints(&table),
            spool: SpoolStatus {
                path: self.daemon.spool.path.display().to_string(),
                bytes: backlogs.iter().map(|backlog| backlog.bytes).sum(),
                max_bytes: self.daemon.spool.max_bytes,
                trouble: self.spool.trouble(),
            },
            config: ConfigStatus {
                path: self.path.display().to_string(),
                last_reload_ms: reload.map(|reload| reload.last_success_ms),
                errors,
            },
        }
    }

    async fn test(&self, endpoint: &str, event: TestEvent) -> Result<TestReport, TestError> {
        let table = self.router.table();
        let entry = table.named(endpoint).ok_or_else(|| TestError::NotFound(endpoint.to_owned()))?;
        let spec = &entry.spec;
        let unfit = |text: String| TestError::Unfit(text);
        let sink = spec.sink.as_ref().ok_or_else(|| unfit(format!("{endpoint} names no sink yet")))?;
        let (name, product) = chosen(&table, entry, &event).map_err(unfit)?;
        let host = self.router.host(endpoint, &spec.delivery);
        let built = sink.plan.build(&host).await.map_err(|error| unfit(error.to_string()))?;
        let delivery = event.delivery(&name, &product, spec.identity.account.clone(), &*self.clock);
        let attempt = attempt(&*built, &delivery, spec.delivery.timeout, &*self.clock).await;
        Ok(report(&attempt, sink.plan.destination(), &delivery.id))
    }

    fn explain(&self, event: &ExplainEvent) -> Result<Explanation, String> {
        Explanation::of(&self.router.table(), event)
    }

    fn render_metrics(&self) -> String {
        self.router.directory().refresh_metrics(&*self.spool, &*self.clock);
        self.metrics.render()
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

    fn endpoints(&self, table: &Table) -> Vec<EndpointStatus> {
        let now_ms = unix_ms(&*self.clock);
        let mut endpoints: Vec<EndpointStatus> = self
            .router
            .directory()
            .list()
            .into_iter()
            .map(|(uid, observed)| {
                let condition = Directory::condition(&*self.spool, uid, &observed, now_ms);
                let backlog = self.spool.backlog(uid);
                let filter = observed.shared.filter_problem();
                let sink = table.with_uid(uid).and_then(|entry| entry.spec.sink.as_ref());
                EndpointStatus {
                    name: observed.identity.name.to_string(),
                    account: observed.identity.account.as_deref().map(str::to_owned),
                    state: condition.as_str().to_owned(),
                    note: note(condition, &self.spool.endpoint_state(uid), now_ms),
                    sink: sink.map(|sink| sink.kind.to_string()),
                    destination: sink.map(|sink| sink.plan.destination()),
                    ready: backlog.as_ref().map_or(0, |backlog| backlog.ready),
                    parked: backlog.as_ref().map_or(0, |backlog| backlog.parked),
                    dead: backlog.as_ref().map_or(0, |backlog| backlog.dead),
                    oldest_ms: backlog.and_then(|backlog| backlog.oldest_ms),
                    in_flight: u64::try_from(observed.shared.in_flight()).unwrap_or(u64::MAX),
                    last_error: observed.shared.problem().map(|problem| problem.reason.to_string()),
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
        let resting: Vec<&Entry> = table.entries().iter().filter(|entry| !is_listed(entry)).collect();
        endpoints.extend(resting.into_iter().map(|entry| {
            let state = self.spool.endpoint_state(entry.uid);
            let condition = Condition::at_rest(entry.spec.lifecycle, &state, now_ms);
            EndpointStatus {
                name: entry.spec.identity.name.to_string(),
                account: entry.spec.identity.account.as_deref().map(str::to_owned),
                state: condition.as_str().to_owned(),
                note: note(condition, &state, now_ms),
                sink: entry.spec.sink.as_ref().map(|sink| sink.kind.to_string()),
                destination: entry.spec.sink.as_ref().map(|sink| sink.plan.destination()),
                ..EndpointStatus::default()
            }
        }));
        endpoints.sort_by(|a, b| (&a.name, &a.account).cmp(&(&b.name, &b.account)));
        endpoints
    }
}

/// What a state means for the deliveries, and the way out.
fn note(condition: Condition, state: &EndpointState, now_ms: u64) -> Option<String> {
    Some(match condition {
        Condition::Active => return None,
        Condition::Draft => "collects nothing until it is activated".to_owned(),
        Condition::Paused => "deliveries are held until it is active again".to_owned(),
        Condition::Open => "failing: deliveries are held, and it is probed".to_owned(),
        Condition::Waiting => {
            let left = state.wait_until_ms.unwrap_or(now_ms).saturating_sub(now_ms);
            format!("told to wait {} s more", Duration::from_millis(left).as_secs())
        }
        Condition::Gone => "answered 410: held until it is resumed or its destination changes".to_owned(),
        Condition::Blocked => "its address is refused: held, and looked at again every minute".to_owned(),
        Condition::Invalid => "its sink cannot be built: held, and tried again every minute".to_owned(),
        Condition::Removed => "its file is gone: held for a while, then dead".to_owned(),
        Condition::Parked => "its actor failed too often: tried again in ten minutes".to_owned(),
    })
}

/// The event and the product of a test: what was asked for, or the first the endpoint subscribed to.
fn chosen(table: &Table, entry: &Entry, event: &TestEvent) -> Result<(Arc<str>, Arc<str>), String> {
    let pick = |asked: Option<&str>, known: &[Arc<str>], wanted: &Selection, what: &str| {
        let found = match asked {
            Some(name) => known.iter().find(|known| known.as_ref() == name),
            None => known.iter().find(|name| wanted.contains(name)).or_else(|| known.first()),
        };
        found.cloned().ok_or_else(|| {
            let allowed: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
            format!("unknown {what} {:?}; allowed: {}", asked.unwrap_or_default(), allowed.join(", "))
        })
    };
    let catalogue = &table.catalogue;
    Ok((
        pick(event.event.as_deref(), &catalogue.events, &entry.spec.events, "event")?,
        pick(event.product.as_deref(), &catalogue.products, &entry.spec.products, "product")?,
    ))
}

fn report(attempt: &Attempt, destination: String, id: &str) -> TestReport {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    TestReport {
        ok: attempt.outcome.verdict == Verdict::Delivered,
        status: attempt.timings.status,
        reason: attempt.outcome.reason.to_string(),
        destination,
        id: id.to_owned(),
        timings: TestTimings {
            total_ms: ms(attempt.took),
            dns_ms: attempt.timings.dns.map(ms),
            connect_ms: attempt.timings.connect.map(ms),
            tls_ms: attempt.timings.tls.map(ms),
            wait_ms: attempt.timings.wait.map(ms),
        },
    }
}
