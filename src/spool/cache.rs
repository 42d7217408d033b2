//! The events the writer has lately seen, so that settling one reads nothing, and so that what one commit changes
//! is seen by the next command of the same commit.

use super::StoredEvent;
use super::record::{DeliveryRow, RefsRow};
use crate::ids::{EndpointUid, Seq};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// At most so many events,
const EVENTS: usize = 8 * 1024;
/// and so many bytes of bodies.
const BYTES: usize = 8 * 1024 * 1024;

/// An event and what is known of its deliveries.
pub(super) struct Cached {
    pub(super) event: Arc<StoredEvent>,
    pub(super) refs: RefsRow,
    /// By endpoint, sorted. `None`: that delivery is settled.
    rows: Vec<(EndpointUid, Option<DeliveryRow>)>,
    /// `rows` has every delivery that is not settled.
    complete: bool,
    /// Its rows must be written again at the end of the commit.
    pub(super) touched: bool,
}

impl Cached {
    /// What is known of a delivery: `None` if nothing is, `Some(None)` if it is settled.
    pub(super) fn row(&self, endpoint: EndpointUid) -> Option<Option<DeliveryRow>> {
        match self.rows.binary_search_by_key(&endpoint, |(uid, _)| *uid) {
            Ok(at) => self.rows.get(at).map(|(_, row)| *row),
            Err(_) => self.complete.then_some(None),
        }
    }

    pub(super) fn set_row(&mut self, endpoint: EndpointUid, row: Option<DeliveryRow>) {
        match self.rows.binary_search_by_key(&endpoint, |(uid, _)| *uid) {
            Ok(at) => {
                if let Some(known) = self.rows.get_mut(at) {
                    known.1 = row;
                }
            }
            Err(at) => self.rows.insert(at, (endpoint, row)),
        }
    }

    /// Nobody waits for it and no dead letter keeps it.
    pub(super) const fn is_finished(&self) -> bool {
        self.refs.live == 0 && self.refs.dead == 0
    }
}

/// Oldest out first, and only between two commits.
#[derive(Default)]
pub(super) struct Cache {
    events: FxHashMap<Seq, Cached>,
    order: VecDeque<Seq>,
    bytes: usize,
}

impl Cache {
    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Cached> {
        self.events.get_mut(&seq)
    }

    /// An event that has just been numbered; `rows` is sorted and complete.
    pub(super) fn insert_new(
        &mut self,
        event: Arc<StoredEvent>,
        rows: Vec<(EndpointUid, Option<DeliveryRow>)>,
    ) {
        let refs = RefsRow { live: u32::try_from(rows.len()).unwrap_or(u32::MAX), dead: 0 };
        self.insert(Cached { event, refs, rows, complete: true, touched: false });
    }

    /// An event that was read back.
    pub(super) fn insert_read(&mut self, event: Arc<StoredEvent>, refs: RefsRow) {
        self.insert(Cached { event, refs, rows: Vec::new(), complete: false, touched: false });
    }

    fn insert(&mut self, cached: Cached) {
        let seq = cached.event.seq;
        self.bytes += cached.event.body.len();
        self.order.push_back(seq);
        if let Some(old) = self.events.insert(seq, cached) {
            self.bytes -= old.event.body.len();
        }
    }

    pub(super) fn remove(&mut self, seq: Seq) {
        if let Some(cached) = self.events.remove(&seq) {
            self.bytes -= cached.event.body.len();
        }
    }

    /// Lets the oldest go. Only when everything in here is written.
    pub(super) fn trim(&mut self) {
        while self.order.len() > EVENTS || self.bytes > BYTES {
            let Some(seq) = self.order.pop_front() else { break };
            self.remove(seq);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
