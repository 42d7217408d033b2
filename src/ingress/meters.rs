use crate::ids::Generation;
use crate::metrics::Metrics;
use crate::spool::{Accepted, NewEvent};
use crate::table::Table;
use arc_swap::ArcSwapOption;
use metrics::{Counter, Histogram};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

const RECEIVED: &str = "postrider_events_received_total";

/// The series of the ingress. Those of an event and a product are resolved once per table.
pub(super) struct Meters {
    metrics: Metrics,
    invalid: Counter,
    refused: Counter,
    duration: Histogram,
    received: ArcSwapOption<Received>,
}

/// The series of every event and product of one table.
pub(super) struct Received {
    generation: Generation,
    pairs: Vec<Pair>,
}

struct Pair {
    event: Arc<str>,
    product: Arc<str>,
    accepted: Counter,
    duplicate: Counter,
    unmatched: Counter,
}

impl Meters {
    pub(super) fn new(metrics: Metrics) -> Self {
        let unknown = |result| {
            metrics.counter(RECEIVED, &[("event", "unknown"), ("product", "unknown"), ("result", result)])
        };
        Self {
            invalid: unknown("invalid"),
            refused: unknown("refused"),
            duration: metrics.histogram("postrider_ingest_duration_seconds", &[]),
            received: ArcSwapOption::empty(),
            metrics,
        }
    }

    /// Events whose content was wrong.
    pub(super) fn invalid(&self, events: u64) {
        self.invalid.increment(events);
    }

    /// Events that were not taken, whatever their content.
    pub(super) fn refused(&self, events: u64) {
        self.refused.increment(events);
    }

    /// A request was taken, in so much time.
    pub(super) fn took(&self, time: Duration) {
        self.duration.record(time.as_secs_f64());
    }

    /// The series of this table.
    pub(super) fn received(&self, table: &Table) -> Arc<Received> {
        let before = self.received.load_full();
        if let Some(received) = before
            && received.generation == table.generation
        {
            return received;
        }
        let mut pairs = Vec::new();
        for event in &table.catalogue.events {
            for product in &table.catalogue.products {
                let counter = |result| {
                    self.metrics
                        .counter(RECEIVED, &[("event", event), ("product", product), ("result", result)])
                };
                pairs.push(Pair {
                    event: event.clone(),
                    product: product.clone(),
                    accepted: counter("accepted"),
                    duplicate: counter("duplicate"),
                    unmatched: self.metrics.counter(
                        crate::metrics::names::EVENTS_UNMATCHED,
                        &[("event", event), ("product", product)],
                    ),
                });
            }
        }
        let received = Arc::new(Received { generation: table.generation, pairs });
        self.received.store(Some(received.clone()));
        received
    }
}

impl Received {
    /// Which series these events belong to: to be asked before they are handed over.
    pub(super) fn slots(&self, events: &[NewEvent]) -> SmallVec<[usize; 4]> {
        let is = |one: &Arc<str>, other: &Arc<str>| Arc::ptr_eq(one, other) || one == other;
        let slot = |event: &NewEvent| {
            self.pairs
                .iter()
                .position(|pair| is(&pair.event, &event.event) && is(&pair.product, &event.product))
                .unwrap_or(usize::MAX)
        };
        events.iter().map(slot).collect()
    }

    /// Counts what became of them.
    pub(super) fn count(&self, slots: &[usize], receipts: &[Accepted]) {
        for (slot, receipt) in slots.iter().zip(receipts) {
            if let Some(pair) = self.pairs.get(*slot) {
                if receipt.duplicate { &pair.duplicate } else { &pair.accepted }.increment(1);
                if receipt.deliveries == 0 && !receipt.duplicate {
                    pair.unmatched.increment(1);
                }
            }
        }
    }
}
