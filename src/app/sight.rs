//! What can be seen of the endpoints, without asking their actors.

use super::changes::Changes;
use crate::admin::EndpointStatus;
use crate::clock::{Clock, unix_ms};
use crate::delivery::Condition;
use crate::ids::Identity;
use crate::router::{Directory, RouterHandle};
use crate::spool::{EmbeddedSpool, EndpointState, Spool as _};
use crate::table::{EndpointSpec, Entry, Selection, Table};
use std::sync::Arc;
use std::time::Duration;

/// Who looks. Looking at many endpoints with a backlog reads the store: not on a thread that delivers.
#[derive(Clone)]
pub(super) struct Sight {
    pub(super) router: RouterHandle,
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) changes: Arc<Changes>,
}

impl Sight {
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
pub(super) fn mark_rejected<'a>(
    endpoints: &mut Vec<EndpointStatus>,
    names: impl Iterator<Item = &'a Arc<str>>,
) {
    for name in names {
        let mut found = false;
        // One that is gone and still has the name is another one: this file is not its.
        let has_it = |endpoint: &&mut EndpointStatus| endpoint.name == **name && endpoint.state != "removed";
        for endpoint in endpoints.iter_mut().filter(has_it) {
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
