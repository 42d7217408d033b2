//! The names of every series, and a recorder that is passed as a value.
//!
//! Handles are resolved once, per endpoint and generation; nothing on the hot path looks up labels or formats text.
//! A series is there, at 0, from the moment its handle is asked for, and goes with its endpoint. Recording through a
//! handle whose series has gone does nothing that anybody sees.

mod endpoint;
mod histogram;
pub mod names;
mod text;
mod traffic;

#[cfg(test)]
mod tests;

pub use endpoint::EndpointMetrics;
pub use traffic::{EndpointTraffic, Traffic};

use endpoint::Numbers;
use histogram::{Buckets, SecondsStorage};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::Registry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The label that ties a series to the life of an endpoint.
const ENDPOINT: &str = "endpoint";

/// The series of the daemon, alive as long as this value and its clones. Never global, except where `main` makes it
/// so: several daemons live in one process, each with its own.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry<Key, SecondsStorage>,
    /// What every endpoint has, by its name.
    endpoints: Mutex<HashMap<Arc<str>, Arc<Numbers>>>,
    /// Which series go with which endpoint, so that letting one go does not look at those of all others.
    of_endpoint: Mutex<Index>,
    /// What other crates say about series that [`names`] does not know.
    described: Mutex<HashMap<String, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

type Series = (Kind, Key);
type Index = HashMap<Arc<str>, HashSet<Series>>;

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            registry: Registry::new(SecondsStorage),
            endpoints: Mutex::default(),
            of_endpoint: Mutex::default(),
            described: Mutex::default(),
        }))
    }

    /// The handle of a counter. The series is there, at 0, from now on.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.counter_of(&key(name, labels))
    }

    /// The handle of a gauge.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.gauge_of(&key(name, labels))
    }

    /// The handle of a histogram of seconds.
    pub fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.histogram_of(&key(name, labels))
    }

    /// Every handle of one endpoint, its series at 0 if they are new. `labelled` says whether its histograms carry
    /// the endpoint's name: above 500 endpoints they do not, and all endpoints share one.
    #[must_use]
    pub fn endpoint(&self, name: &str, labelled: bool) -> EndpointMetrics {
        EndpointMetrics::new(self, name, labelled)
    }

    /// Whether what an endpoint's sink keeps running works: `KIND:ENDPOINT`. The series goes with the endpoint.
    pub fn plugin(&self, kind: &str, endpoint: &str) -> Gauge {
        let key = key(names::PLUGIN_UP, &[("plugin", &format!("{kind}:{endpoint}"))]);
        let mut index = lock(&self.0.of_endpoint);
        index.entry(endpoint.into()).or_default().insert((Kind::Gauge, key.clone()));
        self.0.registry.get_or_create_gauge(&key, |gauge| Gauge::from_arc(Arc::clone(gauge)))
    }

    /// The numbers of the endpoints of this name.
    fn numbers(&self, endpoint: &str) -> Arc<Numbers> {
        let mut endpoints = lock(&self.0.endpoints);
        if let Some(numbers) = endpoints.get(endpoint) {
            return Arc::clone(numbers);
        }
        Arc::clone(endpoints.entry(endpoint.into()).or_default())
    }

    /// Lets every series go that has this value of the label `endpoint`.
    pub fn forget_endpoint(&self, endpoint: &str) {
        lock(&self.0.endpoints).remove(endpoint);
        let mut index = lock(&self.0.of_endpoint);
        for one in index.remove(endpoint).into_iter().flatten() {
            self.delete(&one);
        }
    }

    /// Lets its histograms go, and no other series of it.
    pub fn forget_histograms(&self, endpoint: &str) {
        self.forget(endpoint, |(kind, _)| *kind == Kind::Histogram);
    }

    /// Lets go what its sink said of what it keeps running.
    pub fn forget_plugin(&self, endpoint: &str) {
        self.forget(endpoint, |(_, key)| key.name() == names::PLUGIN_UP);
    }

    fn forget(&self, endpoint: &str, which: impl Fn(&Series) -> bool) {
        let mut index = lock(&self.0.of_endpoint);
        let Some(series) = index.get_mut(endpoint) else { return };
        for one in series.extract_if(which) {
            self.delete(&one);
        }
    }

    fn delete(&self, (kind, key): &Series) {
        match kind {
            Kind::Counter => self.0.registry.delete_counter(key),
            Kind::Gauge => self.0.registry.delete_gauge(key),
            Kind::Histogram => self.0.registry.delete_histogram(key),
        };
    }

    /// All series, in the text format of Prometheus 0.0.4, sorted. Takes as long as there are series: call it off
    /// the runtime's threads where there may be many.
    #[must_use]
    pub fn render(&self) -> String {
        let endpoints =
            lock(&self.0.endpoints).iter().map(|(name, of)| (Arc::clone(name), Arc::clone(of))).collect();
        text::render(&self.0.registry, endpoints, &lock(&self.0.described))
    }

    fn counter_of(&self, key: &Key) -> Counter {
        let _kept_until_it_exists = self.remember(Kind::Counter, key);
        self.0.registry.get_or_create_counter(key, |counter| Counter::from_arc(Arc::clone(counter)))
    }

    fn gauge_of(&self, key: &Key) -> Gauge {
        let _kept_until_it_exists = self.remember(Kind::Gauge, key);
        self.0.registry.get_or_create_gauge(key, |gauge| Gauge::from_arc(Arc::clone(gauge)))
    }

    fn histogram_of(&self, key: &Key) -> Histogram {
        let _kept_until_it_exists = self.remember(Kind::Histogram, key);
        self.0
            .registry
            .get_or_create_histogram(key, |buckets: &Arc<Buckets>| Histogram::from_arc(Arc::clone(buckets)))
    }

    /// The lock is handed out: were a series made after it, [`Self::forget_endpoint`] could miss it in between.
    fn remember(&self, kind: Kind, key: &Key) -> Option<MutexGuard<'_, Index>> {
        key.labels().find(|label| label.key() == ENDPOINT).map(|label| {
            let mut index = lock(&self.0.of_endpoint);
            if let Some(series) = index.get_mut(label.value()) {
                series.insert((kind, key.clone()));
            } else {
                index.insert(label.value().into(), HashSet::from([(kind, key.clone())]));
            }
            index
        })
    }

    fn describe(&self, name: &KeyName, help: &SharedString) {
        lock(&self.0.described).insert(name.as_str().to_owned(), help.clone().into_owned());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// So that crates which speak through the macros of `metrics` land here too.
impl Recorder for Metrics {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_histogram(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        self.counter_of(key)
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        self.gauge_of(key)
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        self.histogram_of(key)
    }
}

/// Labels are sorted, so that their order never makes two series of one.
fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let mut labels: Vec<Label> =
        labels.iter().map(|(key, value)| Label::new(*key, (*value).to_owned())).collect();
    labels.sort();
    Key::from_parts(name, labels)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
