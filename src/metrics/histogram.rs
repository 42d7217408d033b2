//! Histograms of seconds with fixed buckets: recording is two atomic additions, no lock, no allocation.

use super::names;
use metrics::atomics::AtomicU64;
use metrics::{HistogramFn, Key};
use metrics_util::registry::Storage;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// For what takes milliseconds: an attempt, a request, an fsync.
const SHORT: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// For what may take days: the retry schedule spans 75 hours, `max_age` 7 days.
const LONG: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
    21600.0, 86400.0, 259_200.0,
];

/// Makes the storage of each series.
#[derive(Debug)]
pub(super) struct SecondsStorage;

impl Storage<Key> for SecondsStorage {
    type Counter = Arc<AtomicU64>;
    type Gauge = Arc<AtomicU64>;
    type Histogram = Arc<Buckets>;

    fn counter(&self, _key: &Key) -> Self::Counter {
        Arc::default()
    }

    fn gauge(&self, _key: &Key) -> Self::Gauge {
        Arc::default()
    }

    fn histogram(&self, key: &Key) -> Self::Histogram {
        Arc::new(Buckets::new(if key.name() == names::DELIVERY_AGE { LONG } else { SHORT }))
    }
}

/// How many values fell under which bound.
#[derive(Debug)]
pub(super) struct Buckets {
    bounds: &'static [f64],
    /// One more than there are bounds; the last takes what is above all of them. Not cumulative.
    counts: Box<[AtomicU64]>,
    /// Microseconds: enough for half a million years.
    sum: AtomicU64,
}

/// A histogram as it stood when it was read, cumulative as the text format wants it.
pub(super) struct Reading {
    /// Bound, and how many values were at or under it.
    pub(super) buckets: Vec<(f64, u64)>,
    /// All values.
    pub(super) count: u64,
    /// Their sum in seconds.
    pub(super) sum: f64,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// `count` is taken from the buckets, so that it always equals the last of them.
    pub(super) fn read(&self) -> Reading {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (position, bucket) in self.counts.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(bound) = self.bounds.get(position) {
                buckets.push((*bound, count));
            }
        }
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64();
        Reading { buckets, count, sum }
    }
}

impl HistogramFn for Buckets {
    /// What is not a time (negative, not a number) counts as 0: a clock that was set back spoils no sum.
    fn record(&self, seconds: f64) {
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let seconds = time.as_secs_f64();
        let position = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.counts.get(position) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(u64::try_from(time.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}
