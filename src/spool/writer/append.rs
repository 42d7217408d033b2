//! Events in, leases out, endpoints numbered.

use super::{Answer, Reply, Writer};
use crate::ids::{EndpointUid, EventId, Identity, MessageKey, Seq};
use crate::spool::codec::{delivery_key, seq_key};
use crate::spool::record::{DedupRow, DeliveryRow, KeyAge, RefsRow, stored};
use crate::spool::{
    Accepted, Append, DedupKey, EndpointState, Lease, NewEvent, Refusal, SpoolError, StoredEvent, Unwritten,
};
use std::sync::Arc;

/// What is to be done with one event.
enum Plan {
    Store(EventId),
    Repeat(Accepted),
}

impl Writer {
    pub(super) fn append(&mut self, append: Append) {
        let Append { mut events, reply, permit } = append;
        for event in &mut events {
            event.targets.sort_unstable();
            event.targets.dedup();
        }
        let plans = match self.plan(&events) {
            Ok(plans) => plans,
            Err(refusal) => {
                drop(permit);
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        let accepted = events.into_iter().zip(plans).map(|(event, plan)| match plan {
            Plan::Store(id) => self.store_event(event, id),
            Plan::Repeat(first) => first,
        });
        let accepted = accepted.collect();
        self.cycle.answers.push(Answer { reply, accepted, permit });
    }

    /// Looks at all of it before anything is written.
    fn plan(&mut self, events: &[NewEvent]) -> Result<Vec<Plan>, Refusal> {
        if let Some(refusal) = &self.failing {
            return Err(refusal.clone());
        }
        let mut plans = Vec::with_capacity(events.len());
        let mut fresh_keys = Vec::new();
        let mut bytes = 0;
        let mut seq = self.totals.next_seq;
        let mut refusal = None;
        for (index, event) in events.iter().enumerate() {
            let deliveries = u32::try_from(event.targets.len()).unwrap_or(u32::MAX);
            if let Some(dedup) = event.dedup {
                match self.first_of(&dedup, event.accepted_ms) {
                    Ok(None) => {}
                    Ok(Some(first)) if first.content != dedup.content => {
                        refusal = Some(Refusal::Conflict { index });
                        break;
                    }
                    Ok(Some(DedupRow { id, deliveries, .. })) => {
                        plans.push(Plan::Repeat(Accepted { id, deliveries, duplicate: true }));
                        continue;
                    }
                    // Whether it repeats another cannot be told now.
                    Err(error) => {
                        refusal = Some(Refusal::Failing(error.to_string()));
                        break;
                    }
                }
            }
            let id = EventId::at(event.accepted_ms, &*self.chance);
            if let Some(DedupKey { key, content }) = event.dedup {
                let accepted_ms = event.accepted_ms;
                let row = DedupRow { content, id, deliveries, accepted_ms, order: seq };
                self.cycle.keys.insert(key, row);
                fresh_keys.push(key);
            }
            if deliveries > 0 {
                bytes += event.body.len() as u64;
            }
            seq += 1;
            plans.push(Plan::Store(id));
        }
        let full = self.disk_full || self.totals.pending.saturating_add(bytes) > self.config.max_bytes;
        if refusal.is_none() && full && seq > self.totals.next_seq {
            refusal = Some(Refusal::Full);
        }
        let Some(refusal) = refusal else { return Ok(plans) };
        for key in fresh_keys {
            self.cycle.keys.remove(&key);
        }
        Err(refusal)
    }

    /// The event that had this key before, within the window.
    fn first_of(&self, dedup: &DedupKey, now_ms: u64) -> fjall::Result<Option<DedupRow>> {
        let first = match self.cycle.keys.get(&dedup.key) {
            Some(known) => Some(*known),
            None => {
                let row = self.read(|store| &store.dedup, &dedup.key)?;
                row.and_then(|row| DedupRow::decode(&row))
            }
        };
        let Some(first) = first else { return Ok(None) };
        let age = u128::from(now_ms.saturating_sub(first.accepted_ms));
        Ok((age < self.dedup.window.as_millis()).then_some(first))
    }

    fn store_event(&mut self, mut new: NewEvent, id: EventId) -> Accepted {
        let seq = Seq(self.totals.next_seq);
        self.totals.next_seq += 1;
        self.cycle.durable = true;
        if let Some(DedupKey { key, .. }) = new.dedup
            && let Some(row) = self.cycle.keys.get(&key).map(DedupRow::encode)
        {
            self.insert(|store| &store.dedup, &key, row);
            self.cycle.ages.push(KeyAge { key, accepted_ms: new.accepted_ms, order: seq.0 });
            self.totals.dedup += 1;
        }
        let targets = std::mem::take(&mut new.targets);
        let deliveries = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let accepted = Accepted { id, deliveries, duplicate: false };
        if targets.is_empty() {
            return accepted;
        }
        let mut event = stored(new, seq, id);
        event.targets = deliveries;
        self.enqueue(Arc::new(event), targets);
        accepted
    }

    /// Writes the ages of the keys that this commit stored.
    pub(super) fn write_ages(&mut self) {
        let mut ages = std::mem::take(&mut self.cycle.ages);
        for ages in ages.chunks(KeyAge::MOST) {
            let Some(first) = ages.first() else { continue };
            let row = KeyAge::encode(first.order, ages);
            self.create(|store| &store.dedup_order, &seq_key(Seq(first.order)), row);
        }
        ages.clear();
        self.cycle.ages = ages;
    }

    /// Stores a new event with a delivery for each target; these are sorted.
    pub(super) fn enqueue(&mut self, event: Arc<StoredEvent>, targets: Vec<EndpointUid>) {
        let seq = event.seq;
        let row = DeliveryRow {
            key: MessageKey::of(&event.message_id),
            length: u32::try_from(event.body.len()).unwrap_or(u32::MAX),
            accepted_ms: event.accepted_ms,
            parked: None,
        };
        let encoded = row.encode();
        if let Some(store) = &self.store {
            self.cycle.batch.create_event(store.events, Arc::clone(&event));
        }
        if event.targets > 1 {
            let refs = RefsRow { live: event.targets, dead: 0 };
            self.create(|store| &store.refs, &seq_key(seq), refs.encode());
        }
        for &target in &targets {
            self.create(|store| &store.deliveries, &delivery_key(target, seq), encoded.clone());
            let endpoint = self.touch(target);
            if endpoint.fresh.is_empty() {
                endpoint.after = Some(Seq(endpoint.counts.last)).filter(|seq| seq.0 > 0);
            }
            endpoint.counts.last = seq.0;
            endpoint.counts.ready += 1;
            endpoint.counts.bytes += u64::from(row.length);
            endpoint.fresh.push(Arc::clone(&event));
            if endpoint.counts.bytes > self.config.backlog {
                if self.overflowing.is_empty() {
                    self.overflow_at = self.clock.now();
                }
                self.overflowing.insert(target);
            }
        }
        self.totals.pending += u64::from(row.length);
        self.cache.insert_new(event, targets.into_iter().map(|target| (target, Some(row))).collect());
    }

    pub(super) fn acquire(&mut self, uid: EndpointUid, reply: Reply<Lease>) {
        let endpoint = self.touch(uid);
        endpoint.epoch += 1;
        let older = endpoint.unwritten.take().map(|older| (older, std::mem::take(&mut endpoint.written)));
        let unwritten = Arc::new(Unwritten::default());
        endpoint.unwritten = Some(Arc::clone(&unwritten));
        let lease = Lease { endpoint: uid, epoch: endpoint.epoch, unwritten };
        self.cycle.older.extend(older);
        self.cycle.leases.push((reply, lease));
    }

    pub(super) fn register(&mut self, identities: Vec<Identity>, reply: Reply<Vec<EndpointUid>>) {
        if let Some(refusal) = &self.failing {
            let _ = reply.send(Err(SpoolError::Store(refusal.to_string())));
            return;
        }
        let mut numbers = Vec::with_capacity(identities.len());
        for identity in identities {
            let mut names = self.shared.names();
            if let Some(uid) = names.number(&identity) {
                numbers.push(uid);
                // What was read from the spool shares its text with what the configuration says.
                names.insert(uid, identity);
                continue;
            }
            drop(names);
            let uid = EndpointUid(self.totals.next_uid);
            self.totals.next_uid += 1;
            self.shared.names().insert(uid, identity);
            self.write_endpoint(uid, EndpointState::default());
            self.cycle.durable = true;
            numbers.push(uid);
        }
        self.cycle.numbers.push((reply, numbers));
    }

    pub(super) fn put_state(&mut self, uid: EndpointUid, state: EndpointState) {
        self.touch(uid).state = state;
        self.write_endpoint(uid, state);
    }

    fn write_endpoint(&mut self, uid: EndpointUid, state: EndpointState) {
        let identity = self.shared.names().identity(uid).cloned();
        let row = crate::spool::record::encode_endpoint(identity.as_ref(), state);
        self.insert(|store| &store.endpoints, &crate::spool::record::endpoint_key(uid), row);
    }
}
