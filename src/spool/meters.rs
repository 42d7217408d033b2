//! The spool's series.

use crate::metrics::Metrics;
use metrics::{Counter, Gauge, Histogram};

/// Handles, resolved once.
pub(super) struct Meters {
    pub(super) sync: Histogram,
    pub(super) pending_bytes: Gauge,
    pub(super) dead_bytes: Gauge,
    pub(super) history_bytes: Gauge,
    pub(super) disk_bytes: Gauge,
    pub(super) commit_errors: Counter,
    pub(super) sync_errors: Counter,
    pub(super) open_errors: Counter,
    pub(super) read_errors: Counter,
    pub(super) dedup_forgotten: Counter,
    pub(super) dead_forgotten: Counter,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let bytes = |kind| metrics.gauge("postrider_spool_bytes", &[("kind", kind)]);
        let errors = |operation| metrics.counter("postrider_spool_errors_total", &[("operation", operation)]);
        Self {
            sync: metrics.histogram("postrider_spool_sync_duration_seconds", &[]),
            pending_bytes: bytes("pending"),
            dead_bytes: bytes("dead"),
            history_bytes: bytes("history"),
            disk_bytes: bytes("disk"),
            commit_errors: errors("commit"),
            sync_errors: errors("sync"),
            open_errors: errors("open"),
            read_errors: errors("read"),
            dedup_forgotten: metrics.counter("postrider_dedup_forgotten_total", &[]),
            dead_forgotten: metrics.counter("postrider_dead_letters_forgotten_total", &[]),
        }
    }
}
