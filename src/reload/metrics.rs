use crate::config::ConfigError;
use crate::metrics::Metrics;
use std::collections::BTreeSet;
use std::time::Duration;

/// The series of reloads, there from the start.
pub(super) struct ReloadMetrics {
    successful: metrics::Gauge,
    success_timestamp: metrics::Gauge,
    invalid_files: metrics::Gauge,
    reloads: [(&'static str, metrics::Counter); 4],
}

impl ReloadMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let counter =
            |result| (result, metrics.counter("postrider_config_reloads_total", &[("result", result)]));
        Self {
            successful: metrics.gauge("postrider_config_last_reload_successful", &[]),
            success_timestamp: metrics.gauge("postrider_config_last_reload_success_timestamp_seconds", &[]),
            invalid_files: metrics.gauge("postrider_config_invalid_files", &[]),
            reloads: ["applied", "unchanged", "partial", "rejected"].map(counter),
        }
    }

    /// A reload ended so.
    pub(super) fn count(&self, result: &str) {
        for (_, counter) in self.reloads.iter().filter(|(name, _)| *name == result) {
            counter.increment(1);
        }
    }

    /// What is rejected now, and when nothing was, in milliseconds since the Unix epoch.
    pub(super) fn stands(&self, errors: &[ConfigError], success_ms: u64) {
        self.successful.set(if errors.is_empty() { 1.0 } else { 0.0 });
        self.success_timestamp.set(Duration::from_millis(success_ms).as_secs_f64());
        let files: BTreeSet<&str> = errors.iter().map(|error| &*error.file).collect();
        self.invalid_files.set(u32::try_from(files.len()).map_or(f64::MAX, f64::from));
    }
}
