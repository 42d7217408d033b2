use crate::clock::{Clock, unix_ms};
use crate::delivery::{Condition, EndpointShared};
use crate::ids::{EndpointUid, Identity};
use crate::metrics::EndpointMetrics;
use crate::spool::Spool;
use crate::table::Lifecycle;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What can be seen of the endpoints without asking their actors: for metrics and status.
#[derive(Default)]
pub struct Directory {
    observed: Mutex<HashMap<EndpointUid, Observed>>,
}

/// One endpoint of the directory.
#[derive(Clone)]
pub struct Observed {
    /// Its name and account.
    pub identity: Identity,
    /// What its file says; of a removed one, what it said.
    pub lifecycle: Lifecycle,
    /// Whether an actor says what it does; without one, that follows from its file and what the spool remembers.
    pub running: bool,
    /// What its actor lets others see.
    pub shared: Arc<EndpointShared>,
    /// Its series.
    pub metrics: EndpointMetrics,
}

impl Directory {
    /// Those it has.
    #[must_use]
    pub fn list(&self) -> Vec<(EndpointUid, Observed)> {
        let mut list: Vec<_> = self.lock().iter().map(|(uid, observed)| (*uid, observed.clone())).collect();
        list.sort_by(|(_, a), (_, b)| a.identity.cmp(&b.identity));
        list
    }

    /// What an endpoint does with its deliveries.
    #[must_use]
    pub fn condition(spool: &dyn Spool, uid: EndpointUid, observed: &Observed, now_ms: u64) -> Condition {
        let seen = observed.shared.condition();
        if observed.running || matches!(seen, Condition::Removed | Condition::Parked) {
            return seen;
        }
        Condition::at_rest(observed.lifecycle, &spool.endpoint_state(uid), now_ms)
    }

    /// Brings the gauges up to date; called before they are read.
    pub fn refresh_metrics(&self, spool: &dyn Spool, clock: &dyn Clock) {
        let now_ms = unix_ms(clock);
        for (uid, observed) in self.list() {
            let (ready, parked, dead, oldest) = spool.backlog(uid).map_or((0, 0, 0, None), |backlog| {
                (backlog.ready, backlog.parked, backlog.dead, backlog.oldest_ms)
            });
            observed.metrics.pending(ready, parked, oldest.map(Duration::from_millis));
            observed.metrics.dead_letters(dead);
            observed.metrics.in_flight(observed.shared.in_flight());
            observed.metrics.state(Self::condition(spool, uid, &observed, now_ms).as_str());
        }
    }

    pub(super) fn put(&self, uid: EndpointUid, observed: Observed) {
        self.lock().insert(uid, observed);
    }

    pub(super) fn update(&self, uid: EndpointUid, change: impl FnOnce(&mut Observed)) {
        if let Some(observed) = self.lock().get_mut(&uid) {
            change(observed);
        }
    }

    pub(super) fn remove(&self, uid: EndpointUid) -> Option<Observed> {
        self.lock().remove(&uid)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointUid, Observed>> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
