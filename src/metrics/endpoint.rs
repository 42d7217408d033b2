use super::{ENDPOINT, Metrics, names};
use metrics::{Counter, Gauge, Histogram};
use postrider_sink::FailureClass;
use std::time::Duration;

/// The handles of one endpoint, resolved once. All of its series exist, at 0, from the start.
///
/// Words that are labels (`gone`, `open`) are those of [`names`]; another word is ignored rather than becoming a
/// series nobody knows.
#[derive(Debug, Clone)]
pub struct EndpointMetrics {
    created: Counter,
    finished: [(&'static str, Counter); 7],
    attempts: [(&'static str, Counter); 7],
    attempt_duration: Histogram,
    age: Histogram,
    retries: Counter,
    filter_failures: [(&'static str, Counter); 2],
    ready: Gauge,
    parked: Gauge,
    oldest: Gauge,
    in_flight: Gauge,
    dead_letters: Gauge,
    states: [(&'static str, Gauge); 10],
    transitions: [(&'static str, Counter); 3],
}

impl EndpointMetrics {
    pub(super) fn new(metrics: &Metrics, name: &str, labelled: bool) -> Self {
        let own: &[(&'static str, &str)] = &[(ENDPOINT, name)];
        let for_histograms = if labelled { own } else { &[] };
        let counter =
            |series, label, value| (value, metrics.counter(series, &[(ENDPOINT, name), (label, value)]));
        let pending = |state| metrics.gauge(names::DELIVERIES_PENDING, &[(ENDPOINT, name), ("state", state)]);
        Self {
            created: metrics.counter(names::DELIVERIES_CREATED, own),
            finished: names::DELIVERY_RESULTS
                .map(|result| counter(names::DELIVERIES_FINISHED, "result", result)),
            attempts: names::ATTEMPT_RESULTS.map(|result| counter(names::ATTEMPTS, "result", result)),
            attempt_duration: metrics.histogram(names::ATTEMPT_DURATION, for_histograms),
            age: metrics.histogram(names::DELIVERY_AGE, for_histograms),
            retries: metrics.counter(names::RETRIES_SCHEDULED, own),
            filter_failures: names::FILTER_FAILURE_REASONS
                .map(|reason| counter(names::FILTER_FAILURES, "reason", reason)),
            ready: pending("ready"),
            parked: pending("parked"),
            oldest: metrics.gauge(names::OLDEST_PENDING, own),
            in_flight: metrics.gauge(names::ATTEMPTS_IN_FLIGHT, own),
            dead_letters: metrics.gauge(names::DEAD_LETTERS, own),
            states: names::ENDPOINT_STATES.map(|state| {
                (state, metrics.gauge(names::ENDPOINT_STATE, &[(ENDPOINT, name), ("state", state)]))
            }),
            transitions: names::BREAKER_STATES.map(|to| counter(names::BREAKER_TRANSITIONS, "to", to)),
        }
    }

    /// Deliveries were made for it.
    pub fn created(&self, count: u64) {
        self.created.increment(count);
    }

    /// An attempt ended, well or with this kind of failure, after so long.
    pub fn attempt(&self, result: Result<(), FailureClass>, took: Duration) {
        let word = result.map_or_else(FailureClass::as_str, |()| "ok");
        increment(&self.attempts, word, 1);
        self.attempt_duration.record(took.as_secs_f64());
    }

    /// A delivery landed, so long after its event was accepted.
    pub fn delivered(&self, age: Duration) {
        increment(&self.finished, "delivered", 1);
        self.age.record(age.as_secs_f64());
    }

    /// A delivery is dead; `reason` is the word of the spool's reason.
    pub fn dead(&self, reason: &str) {
        self.died(reason, 1);
    }

    /// So many deliveries are dead for one reason.
    pub fn died(&self, reason: &str, count: u64) {
        increment(&self.finished, reason, count);
    }

    /// A delivery was parked for another attempt.
    pub fn retry_scheduled(&self) {
        self.retries.increment(1);
    }

    /// Its filter could not tell, for a reason of [`names::FILTER_FAILURE_REASONS`].
    pub fn filter_failed(&self, reason: &str) {
        increment(&self.filter_failures, reason, 1);
    }

    /// How many wait, and since when the oldest (seconds since the Unix epoch).
    pub fn pending(&self, ready: u64, parked: u64, oldest: Option<Duration>) {
        self.ready.set(as_gauge(ready));
        self.parked.set(as_gauge(parked));
        self.oldest.set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// How many attempts run now.
    pub fn in_flight(&self, count: usize) {
        self.in_flight.set(as_gauge(u64::try_from(count).unwrap_or(u64::MAX)));
    }

    /// How many dead letters are kept.
    pub fn dead_letters(&self, count: u64) {
        self.dead_letters.set(as_gauge(count));
    }

    /// The state it is in from now on.
    pub fn state(&self, current: &str) {
        for (state, gauge) in &self.states {
            gauge.set(if *state == current { 1.0 } else { 0.0 });
        }
    }

    /// Its breaker went to `open`, `half_open` or `closed`.
    pub fn breaker(&self, to: &str) {
        increment(&self.transitions, to, 1);
    }
}

fn increment(counters: &[(&'static str, Counter)], word: &str, by: u64) {
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == word) {
        counter.increment(by);
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is for looking at")]
const fn as_gauge(count: u64) -> f64 {
    count as f64
}
