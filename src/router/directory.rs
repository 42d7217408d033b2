use crate::clock::{Clock, unix_ms};
use crate::delivery::{Condition, EndpointShared};
use crate::ids::{EndpointUid, Identity};
use crate::metrics::EndpointMetrics;
use crate::spool::{Backlog, Spool};
use crate::table::Lifecycle;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What can be seen of the endpoints without asking their actors: for metrics and status.
#[derive(Default)]
pub struct Directory {
    endpoints: Mutex<Endpoints>,
}

#[derive(Default)]
struct Endpoints {
    observed: HashMap<EndpointUid, Observed>,
    /// How many have a name.
    names: HashMap<Arc<str>, usize>,
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

/// What the gauges of one name show.
#[derive(Default)]
struct Now {
    ready: u64,
    parked: u64,
    dead: u64,
    oldest_ms: Option<u64>,
    in_flight: usize,
    condition: Option<Condition>,
}

impl Now {
    fn add(&mut self, backlog: Option<&Backlog>, in_flight: usize) {
        self.in_flight += in_flight;
        let Some(Backlog { ready, parked, dead, oldest_ms, .. }) = backlog else { return };
        self.ready += ready;
        self.parked += parked;
        self.dead += dead;
        self.oldest_ms = self.oldest_ms.into_iter().chain(*oldest_ms).min();
    }

    fn tell(&self, metrics: &EndpointMetrics) {
        metrics.pending(self.ready, self.parked, self.oldest_ms.map(Duration::from_millis));
        metrics.dead_letters(self.dead);
        metrics.in_flight(self.in_flight);
        metrics.state(self.condition.unwrap_or_default().as_str());
    }
}

impl Directory {
    /// Those it has.
    #[must_use]
    pub fn list(&self) -> Vec<(EndpointUid, Observed)> {
        let mut list: Vec<_> =
            self.lock().observed.iter().map(|(uid, observed)| (*uid, observed.clone())).collect();
        list.sort_by(|(_, a), (_, b)| a.identity.cmp(&b.identity));
        list
    }

    /// Whether one of them has this name.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.lock().names.contains_key(name)
    }

    /// What an endpoint does with its deliveries.
    #[must_use]
    pub fn condition(spool: &dyn Spool, uid: EndpointUid, observed: &Observed, now_ms: u64) -> Condition {
        let seen = observed.shared.condition();
        if observed.running || matches!(seen, Condition::Removed | Condition::Invalid | Condition::Parked) {
            return seen;
        }
        Condition::at_rest(observed.lifecycle, &spool.endpoint_state(uid), now_ms)
    }

    /// Brings the gauges up to date; called before they are read.
    pub fn refresh_metrics(&self, spool: &dyn Spool, clock: &dyn Clock) {
        let now_ms = unix_ms(clock);
        // One that was removed may have the name of one that is there: they share the series.
        for same in self.list().chunk_by(|(_, a), (_, b)| a.identity.name == b.identity.name) {
            let mut now = Now::default();
            for (uid, observed) in same {
                now.add(spool.backlog(*uid).as_ref(), observed.shared.in_flight());
                let condition = Self::condition(spool, *uid, observed, now_ms);
                if now.condition.is_none_or(|seen| seen == Condition::Removed) {
                    now.condition = Some(condition);
                }
            }
            if let Some((_, observed)) = same.first() {
                now.tell(&observed.metrics);
            }
        }
    }

    pub(super) fn put(&self, uid: EndpointUid, observed: Observed) {
        let mut endpoints = self.lock();
        *endpoints.names.entry(Arc::clone(&observed.identity.name)).or_default() += 1;
        if let Some(before) = endpoints.observed.insert(uid, observed) {
            endpoints.lose(&before.identity.name);
        }
    }

    pub(super) fn update(&self, uid: EndpointUid, change: impl FnOnce(&mut Observed)) {
        if let Some(observed) = self.lock().observed.get_mut(&uid) {
            change(observed);
        }
    }

    pub(super) fn remove(&self, uid: EndpointUid) -> Option<Observed> {
        let mut endpoints = self.lock();
        let observed = endpoints.observed.remove(&uid)?;
        endpoints.lose(&observed.identity.name);
        Some(observed)
    }

    fn lock(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoints {
    /// One of those with this name is gone.
    fn lose(&mut self, name: &str) {
        if let Some(count) = self.names.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_name_is_there_until_the_last_endpoint_with_it_is_gone() {
        let (directory, metrics) = (Directory::default(), Metrics::new());
        let put = |uid, name: &str| {
            let observed = Observed {
                identity: Identity { name: name.into(), account: None },
                lifecycle: Lifecycle::Active,
                running: false,
                shared: Arc::default(),
                metrics: metrics.endpoint(name, true),
            };
            directory.put(EndpointUid(uid), observed);
        };
        put(1, "acme");
        put(2, "acme");
        put(2, "acme");
        assert!(directory.remove(EndpointUid(1)).is_some() && directory.has_name("acme"));
        assert!(directory.remove(EndpointUid(1)).is_none() && directory.has_name("acme"));
        assert!(directory.remove(EndpointUid(2)).is_some() && !directory.has_name("acme"));
    }
}
