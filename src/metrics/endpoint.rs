use super::{ENDPOINT, EndpointTraffic, Metrics, names};
use metrics::Histogram;
use postrider_sink::FailureClass;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The numbers of one endpoint, all at 0 at first: kept together, since there may be very many endpoints.
///
/// Words that are labels (`gone`, `open`) are those of [`names`]; another word is ignored rather than becoming a
/// series nobody knows.
#[derive(Debug, Clone)]
pub struct EndpointMetrics {
    numbers: Arc<Numbers>,
    attempt_duration: Histogram,
    age: Histogram,
}

/// What is counted and shown of an endpoint, but its histograms.
#[derive(Debug)]
pub(super) struct Numbers {
    created: AtomicU64,
    finished: [AtomicU64; names::DELIVERY_RESULTS.len()],
    attempts: [AtomicU64; names::ATTEMPT_RESULTS.len()],
    retries: AtomicU64,
    filter_failures: [AtomicU64; names::FILTER_FAILURE_REASONS.len()],
    transitions: [AtomicU64; names::BREAKER_STATES.len()],
    ready: AtomicU64,
    parked: AtomicU64,
    /// Milliseconds since the Unix epoch.
    oldest_ms: AtomicU64,
    in_flight: AtomicU64,
    dead_letters: AtomicU64,
    /// Its place among [`names::ENDPOINT_STATES`]; beyond: it is in none.
    state: AtomicUsize,
}

/// One family of series that every endpoint has.
pub(super) struct Own {
    pub(super) family: &'static str,
    /// The label beside the endpoint's, and its values, one series each; or no label and one series.
    pub(super) label: &'static str,
    pub(super) values: &'static [&'static str],
    pub(super) read: fn(&Numbers, usize) -> Number,
}

/// The value of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Counter(u64),
    Gauge(f64),
}

impl Own {
    /// All of them.
    pub(super) const ALL: [Self; 11] = [
        Self::one(names::DELIVERIES_CREATED, |of, _| Number::Counter(load(&of.created))),
        Self::one(names::RETRIES_SCHEDULED, |of, _| Number::Counter(load(&of.retries))),
        Self::one(names::OLDEST_PENDING, |of, _| {
            Number::Gauge(Duration::from_millis(load(&of.oldest_ms)).as_secs_f64())
        }),
        Self::one(names::ATTEMPTS_IN_FLIGHT, |of, _| Number::Gauge(as_gauge(load(&of.in_flight)))),
        Self::one(names::DEAD_LETTERS, |of, _| Number::Gauge(as_gauge(load(&of.dead_letters)))),
        Self::each(names::DELIVERIES_FINISHED, "result", &names::DELIVERY_RESULTS, |of, at| {
            Number::Counter(of.finished.get(at).map_or(0, load))
        }),
        Self::each(names::ATTEMPTS, "result", &names::ATTEMPT_RESULTS, |of, at| {
            Number::Counter(of.attempts.get(at).map_or(0, load))
        }),
        Self::each(names::FILTER_FAILURES, "reason", &names::FILTER_FAILURE_REASONS, |of, at| {
            Number::Counter(of.filter_failures.get(at).map_or(0, load))
        }),
        Self::each(names::BREAKER_TRANSITIONS, "to", &names::BREAKER_STATES, |of, at| {
            Number::Counter(of.transitions.get(at).map_or(0, load))
        }),
        Self::each(names::DELIVERIES_PENDING, "state", &["ready", "parked"], |of, at| {
            Number::Gauge(as_gauge(load(if at == 0 { &of.ready } else { &of.parked })))
        }),
        Self::each(names::ENDPOINT_STATE, "state", &names::ENDPOINT_STATES, |of, at| {
            Number::Gauge(if of.state.load(Ordering::Relaxed) == at { 1.0 } else { 0.0 })
        }),
    ];

    const fn one(family: &'static str, read: fn(&Numbers, usize) -> Number) -> Self {
        Self { family, label: "", values: &[""], read }
    }

    const fn each(
        family: &'static str,
        label: &'static str,
        values: &'static [&'static str],
        read: fn(&Numbers, usize) -> Number,
    ) -> Self {
        Self { family, label, values, read }
    }
}

impl Numbers {
    /// What the settings page shows of it.
    pub(super) fn traffic(&self, name: &str) -> EndpointTraffic {
        let of = |counts: &[AtomicU64], words: &[&str], wanted: &dyn Fn(&str) -> bool| -> u64 {
            counts.iter().zip(words).filter(|(_, word)| wanted(word)).map(|(count, _)| load(count)).sum()
        };
        EndpointTraffic {
            endpoint: name.to_owned(),
            account: None,
            delivered: of(&self.finished, &names::DELIVERY_RESULTS, &|word| word == "delivered"),
            failed: of(&self.attempts, &names::ATTEMPT_RESULTS, &|word| word != "ok"),
            waiting: load(&self.ready) + load(&self.parked),
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            created: AtomicU64::default(),
            finished: Default::default(),
            attempts: Default::default(),
            retries: AtomicU64::default(),
            filter_failures: Default::default(),
            transitions: Default::default(),
            ready: AtomicU64::default(),
            parked: AtomicU64::default(),
            oldest_ms: AtomicU64::default(),
            in_flight: AtomicU64::default(),
            dead_letters: AtomicU64::default(),
            state: AtomicUsize::new(usize::MAX),
        }
    }
}

impl EndpointMetrics {
    pub(super) fn new(metrics: &Metrics, name: &str, labelled: bool) -> Self {
        let own: &[(&'static str, &str)] = &[(ENDPOINT, name)];
        let for_histograms = if labelled { own } else { &[] };
        Self {
            numbers: metrics.numbers(name),
            attempt_duration: metrics.histogram(names::ATTEMPT_DURATION, for_histograms),
            age: metrics.histogram(names::DELIVERY_AGE, for_histograms),
        }
    }

    /// Deliveries were made for it.
    pub fn created(&self, count: u64) {
        add(&self.numbers.created, count);
    }

    /// An attempt ended, well or with this kind of failure, after so long.
    pub fn attempt(&self, result: Result<(), FailureClass>, took: Duration) {
        let word = result.map_or_else(FailureClass::as_str, |()| "ok");
        increment(&self.numbers.attempts, &names::ATTEMPT_RESULTS, word, 1);
        self.attempt_duration.record(took.as_secs_f64());
    }

    /// A delivery landed, so long after its event was accepted.
    pub fn delivered(&self, age: Duration) {
        self.died("delivered", 1);
        self.age.record(age.as_secs_f64());
    }

    /// A delivery is dead; `reason` is the word of the spool's reason.
    pub fn dead(&self, reason: &str) {
        self.died(reason, 1);
    }

    /// So many deliveries are dead for one reason.
    pub fn died(&self, reason: &str, count: u64) {
        increment(&self.numbers.finished, &names::DELIVERY_RESULTS, reason, count);
    }

    /// A delivery was parked for another attempt.
    pub fn retry_scheduled(&self) {
        add(&self.numbers.retries, 1);
    }

    /// Its filter could not tell, for a reason of [`names::FILTER_FAILURE_REASONS`].
    pub fn filter_failed(&self, reason: &str) {
        increment(&self.numbers.filter_failures, &names::FILTER_FAILURE_REASONS, reason, 1);
    }

    /// How many wait, and since when the oldest (since the Unix epoch).
    pub fn pending(&self, ready: u64, parked: u64, oldest: Option<Duration>) {
        let oldest_ms = u64::try_from(oldest.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        self.numbers.ready.store(ready, Ordering::Relaxed);
        self.numbers.parked.store(parked, Ordering::Relaxed);
        self.numbers.oldest_ms.store(oldest_ms, Ordering::Relaxed);
    }

    /// How many attempts run now.
    pub fn in_flight(&self, count: usize) {
        self.numbers.in_flight.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many dead letters are kept.
    pub fn dead_letters(&self, count: u64) {
        self.numbers.dead_letters.store(count, Ordering::Relaxed);
    }

    /// The state it is in from now on.
    pub fn state(&self, current: &str) {
        let at = names::ENDPOINT_STATES.iter().position(|state| *state == current);
        self.numbers.state.store(at.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Its breaker went to `open`, `half_open` or `closed`.
    pub fn breaker(&self, to: &str) {
        increment(&self.numbers.transitions, &names::BREAKER_STATES, to, 1);
    }
}

fn increment(counts: &[AtomicU64], words: &[&str], word: &str, by: u64) {
    if let Some(count) = words.iter().position(|known| *known == word).and_then(|at| counts.get(at)) {
        add(count, by);
    }
}

fn add(count: &AtomicU64, by: u64) {
    count.fetch_add(by, Ordering::Relaxed);
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is for looking at")]
const fn as_gauge(count: u64) -> f64 {
    count as f64
}
