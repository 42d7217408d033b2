use super::actor::RouterState;
use crate::delivery::Condition;
use crate::ids::EndpointUid;
use crate::metrics::EndpointMetrics;
use crate::spool::EndpointState;
use crate::table::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which endpoints have series of their own.
///
/// Up to [`Labels::MOST`] endpoints, all of them. Above, those with work or a problem, and histograms carry no name.
/// Endpoints whose file is rejected, and that have no version to run, are in no table: theirs say so.
#[derive(Default)]
pub(super) struct Labels {
    many: bool,
    invalid: BTreeMap<Arc<str>, EndpointMetrics>,
}

impl Labels {
    pub(super) const MOST: usize = 500;

    /// Whether all endpoints of the table have series.
    pub(super) fn few(table: &Table) -> bool {
        table.entries().len() <= Self::MOST
    }
}

impl RouterState {
    /// Another table is in force, of which these endpoints have a problem, and these names a file that is rejected.
    pub(super) fn label(&mut self, table: &Table, troubled: &[EndpointUid], invalid: &[Arc<str>]) {
        let few = Labels::few(table);
        if std::mem::replace(&mut self.labels.many, !few) == few {
            self.relabel(few);
        }
        let all: Vec<EndpointUid> =
            if few { table.entries().iter().map(|entry| entry.uid).collect() } else { troubled.to_vec() };
        for uid in all {
            self.adopt(uid);
        }
        let directory = Arc::clone(&self.deps.directory);
        let unusable = |name: &Arc<str>| table.named(name).is_none() && !directory.has_name(name);
        let old = std::mem::take(&mut self.labels.invalid);
        for name in invalid.iter().filter(|name| unusable(name)) {
            let metrics = self.deps.metrics.endpoint(name, few);
            metrics.state(Condition::Invalid.as_str());
            self.labels.invalid.insert(Arc::clone(name), metrics);
        }
        for name in old.into_keys() {
            if !self.labels.invalid.contains_key(&name) && !directory.has_name(&name) {
                self.deps.metrics.forget_endpoint(&name);
            }
        }
    }

    /// Whether an endpoint of the table has nothing that anybody would look for in its series.
    pub(super) fn unremarkable(&self, uid: EndpointUid) -> bool {
        let backlog = self.deps.spool.backlog(uid);
        backlog.is_none_or(|backlog| backlog.ready + backlog.parked + backlog.dead == 0)
            && !self.has_problem(uid)
    }

    /// What the spool remembers of it is a problem.
    fn has_problem(&self, uid: EndpointUid) -> bool {
        is_problem(&self.deps.spool.endpoint_state(uid), crate::clock::unix_ms(&*self.deps.clock))
    }

    /// There are few endpoints now, or many: their histograms carry their names, or not, and idle ones have no series.
    fn relabel(&mut self, few: bool) {
        for uid in self.children.uids() {
            let Some(child) = self.children.get(uid) else { continue };
            if !few && !child.is_running() && child.absent.is_none() && self.unremarkable(uid) {
                self.forget(uid);
                continue;
            }
            let name = Arc::clone(&child.spec.identity.name);
            self.deps.metrics.forget_histograms(&name);
            let metrics = self.deps.metrics.endpoint(&name, few);
            self.deps.directory.update(uid, |observed| observed.metrics = metrics.clone());
            if let Some(child) = self.children.get_mut(uid) {
                child.measure(metrics);
            }
        }
    }
}

/// Whether what the spool remembers of an endpoint is a problem.
pub(super) fn is_problem(state: &EndpointState, now_ms: u64) -> bool {
    state.suspended.is_some() || state.wait_until_ms.is_some_and(|until| until > now_ms)
}
