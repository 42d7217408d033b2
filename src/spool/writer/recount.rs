//! Counts what is there, when the numbers that were kept may be wrong: some commits of a damaged log are missing,
//! the rows and numbers of the others are whole.

use super::Writer;
use crate::ids::{EndpointUid, Seq};
use crate::spool::codec::{seq_key, split_delivery_key, split_seq_key};
use crate::spool::index::Index;
use crate::spool::record::{Counts, DeadRow, DeliveryRow, KeyAge, RefsRow, Totals, endpoint_key};
use crate::spool::store::{RECOUNT, Space, Store};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

impl Writer {
    /// Makes all numbers agree with the rows, if they may not. They are in the batch then, which is to be written before
    /// anything else is done: what is done reads them.
    pub(super) fn recount(&mut self) -> fjall::Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let store = &*store;
        self.meters.read_errors.increment(store.lost);
        if !store.uncounted {
            if store.lost > 0 {
                tracing::error!("the last commit of the spool's log is not whole: what it changed is lost");
            }
            return Ok(());
        }
        tracing::error!(lost_commits = store.lost, "the spool was damaged; what is left is counted again");
        for endpoint in self.endpoints.values_mut() {
            endpoint.counts = Counts { last: endpoint.counts.last, ..Counts::default() };
        }
        let known = Totals { dedup: 0, pending: 0, dead: 0, dead_bytes: 0, history_bytes: 0, ..self.totals };
        self.totals = known;
        let mut refs = HashMap::new();
        self.count_waiting(store, &mut refs)?;
        self.count_dead(store, &mut refs)?;
        self.correct_refs(store, &refs)?;
        let mut after_keys = 0;
        for row in store.all(&store.dedup_order) {
            let (key, row) = row?;
            let Some(place) = split_seq_key(&key) else { continue };
            // What a damaged one listed is not known.
            let ages = KeyAge::decode(place, &row).unwrap_or_default();
            self.totals.dedup += ages.len() as u64;
            let last = ages.iter().map(|age| age.order).fold(place, u64::max);
            after_keys = after_keys.max(last.saturating_add(1));
        }
        for row in store.all(&store.history) {
            self.totals.history_bytes += row?.1.len() as u64;
        }
        for row in store.all(&store.history_index) {
            self.totals.history_bytes += row?.1.len() as u64;
        }
        let after = |space: &Space| -> fjall::Result<u64> {
            let last = store.range_back::<&[u8]>(space, ..).next().transpose()?;
            Ok(last.and_then(|(key, _)| split_seq_key(&key)).map_or(0, |last| last + 1))
        };
        let last = self.endpoints.values().map(|endpoint| endpoint.counts.last + 1).max().unwrap_or_default();
        let next_seq = [last, after(&store.events)?, after_keys];
        self.totals.next_seq = next_seq.into_iter().fold(self.totals.next_seq, u64::max);
        self.totals.next_block = self.totals.next_block.max(after(&store.history)?);
        self.totals.next_dead = self.totals.next_dead.max(after(&store.dead_order)?);
        let uids: Vec<EndpointUid> = self.endpoints.keys().copied().collect();
        let named = self.shared.names().iter().map(|(uid, _)| uid).max();
        let last = uids.iter().copied().max().max(named);
        let next_uid = last.map_or(0, |uid| uid.0.saturating_add(1));
        self.totals.next_uid = self.totals.next_uid.max(next_uid);
        for uid in uids {
            let counts = self.endpoints.get(&uid).map(|endpoint| endpoint.counts).unwrap_or_default();
            self.insert(|store| &store.counters, &endpoint_key(uid), counts.encode());
        }
        self.index = Index::after(self.totals.next_block);
        self.insert(|store| &store.meta, b"totals", self.totals.encode());
        self.remove(|store| &store.meta, RECOUNT);
        Ok(())
    }

    fn count_waiting(&mut self, store: &Store, refs: &mut Refs) -> fjall::Result<()> {
        for row in store.all(&store.deliveries) {
            let (key, row) = row?;
            let Some((uid, seq)) = split_delivery_key(&key) else { continue };
            let counts = &mut self.endpoints.entry(uid).or_default().counts;
            counts.last = counts.last.max(seq.0);
            // A damaged one is set aside when it is read.
            let row = DeliveryRow::decode(&row);
            if row.is_some_and(|row| row.parked.is_some()) {
                counts.parked += 1;
            } else {
                counts.ready += 1;
            }
            let length = row.map_or(0, |row| u64::from(row.length));
            counts.bytes += length;
            let known = refs_of(store, refs, seq)?;
            let first = known.as_ref().is_none_or(|refs| refs.live == 0);
            self.totals.pending += if first { length } else { 0 };
            known.into_iter().for_each(|refs| refs.live += 1);
        }
        Ok(())
    }

    fn count_dead(&mut self, store: &Store, refs: &mut Refs) -> fjall::Result<()> {
        for row in store.all(&store.dead) {
            let (key, row) = row?;
            let Some((uid, seq)) = split_delivery_key(&key) else { continue };
            self.endpoints.entry(uid).or_default().counts.dead += 1;
            self.totals.dead += 1;
            self.totals.dead_bytes += DeadRow::decode(&row).map_or(0, |dead| u64::from(dead.length));
            refs_of(store, refs, seq)?.into_iter().for_each(|refs| refs.dead += 1);
        }
        Ok(())
    }

    /// A commit says how many still need an event, those before it taken into account. Where one of these is missing,
    /// that is too few, and the event would go before its last delivery.
    fn correct_refs(&mut self, store: &Store, refs: &Refs) -> fjall::Result<()> {
        for row in store.all(&store.refs) {
            let (key, row) = row?;
            let needed = split_seq_key(&key).and_then(|seq| refs.get(&Seq(seq)));
            match needed {
                Some(needed) if RefsRow::decode(&row) == Some(*needed) => {}
                Some(needed) => self.insert(|store| &store.refs, &key, needed.encode()),
                None => {
                    self.remove(|store| &store.refs, &key);
                    self.remove(|store| &store.events, &key);
                }
            }
        }
        Ok(())
    }
}

/// Who needs the events that several have, as far as they were counted.
type Refs = HashMap<Seq, RefsRow>;

/// What was counted of an event, if several have it.
fn refs_of<'a>(store: &Store, refs: &'a mut Refs, seq: Seq) -> fjall::Result<Option<&'a mut RefsRow>> {
    let counted = match refs.entry(seq) {
        Entry::Occupied(counted) => counted.into_mut(),
        Entry::Vacant(_) if store.get(&store.refs, seq_key(seq))?.is_none() => return Ok(None),
        Entry::Vacant(new) => new.insert(RefsRow { live: 0, dead: 0 }),
    };
    Ok(Some(counted))
}
