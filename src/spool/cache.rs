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
/// and so many bytes of bodies and deliveries: of an event that very many endpoints have, these are most of it.
const BYTES: usize = 16 * 1024 * 1024;
/// Bytes of what is known of a delivery.
const ROW: usize = size_of::<(EndpointUid, Option<DeliveryRow>)>();

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

    fn set_row(&mut self, endpoint: EndpointUid, row: Option<DeliveryRow>) {
        match self.rows.binary_search_by_key(&endpoint, |(uid, _)| *uid) {
            Ok(at) => {
                if let Some(known) = self.rows.get_mut(at) {
                    known.1 = row;
                }
            }
            Err(at) => self.rows.insert(at, (endpoint, row)),
        }
    }

    fn size(&self) -> usize {
        self.event.body.len() + self.rows.len() * ROW
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

    /// Notes what is known of a delivery, if its event is here.
    pub(super) fn set_row(&mut self, seq: Seq, endpoint: EndpointUid, row: Option<DeliveryRow>) {
        let Some(cached) = self.events.get_mut(&seq) else { return };
        let before = cached.size();
        cached.set_row(endpoint, row);
        self.bytes += cached.size() - before;
    }

    /// Bytes of bodies and deliveries.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
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
        self.bytes += cached.size();
        self.order.push_back(seq);
        if let Some(old) = self.events.insert(seq, cached) {
            self.bytes -= old.size();
        }
    }

    pub(super) fn remove(&mut self, seq: Seq) {
        if let Some(cached) = self.events.remove(&seq) {
            self.bytes -= cached.size();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EventId, Generation, MessageKey};
    use bytes::Bytes;

    const ROW_OF_ONE: DeliveryRow =
        DeliveryRow { key: MessageKey(1), length: 2, accepted_ms: 3, parked: None };

    fn event(seq: u64) -> Arc<StoredEvent> {
        Arc::new(StoredEvent {
            seq: Seq(seq),
            id: EventId([0; 16]),
            event: Arc::from("sent"),
            product: Arc::from("crm"),
            account: None,
            message_id: Arc::from("m"),
            body: Bytes::from_static(b"{}"),
            traceparent: None,
            generation: Generation(1),
            accepted_ms: 3,
            targets: 2_000,
        })
    }

    #[test]
    fn deliveries_count_as_bodies_do() {
        let mut cache = Cache::default();
        for seq in 0..300 {
            let rows = (0..2_000).map(|uid| (EndpointUid(uid), Some(ROW_OF_ONE)));
            cache.insert_new(event(seq), rows.collect());
            cache.trim();
            assert!(cache.bytes() <= BYTES);
        }
        assert!((100..140).contains(&cache.events.len()), "{} events", cache.events.len());
    }

    #[test]
    fn what_is_learned_of_an_event_goes_with_it() {
        let mut cache = Cache::default();
        cache.insert_read(event(1), RefsRow { live: 2_000, dead: 0 });
        let alone = cache.bytes();
        for uid in 0..50 {
            cache.set_row(Seq(1), EndpointUid(uid), Some(ROW_OF_ONE));
            cache.set_row(Seq(1), EndpointUid(uid), None);
        }
        assert_eq!(cache.bytes(), alone + 50 * ROW);
        cache.insert_read(event(1), RefsRow { live: 1, dead: 0 });
        assert_eq!(cache.bytes(), alone);
        cache.remove(Seq(1));
        assert_eq!(cache.bytes(), 0);
    }
}
