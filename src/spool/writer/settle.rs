//! How deliveries end or wait.
//!
//! Whatever fails here fails because something could not be read, and has changed nothing: that a row is not there is
//! only believed where the store says so.

use super::Writer;
use crate::ids::{EndpointUid, MessageKey, Seq};
use crate::spool::codec::{delivery_key, seq_key};
use crate::spool::record::{DeadRow, DeliveryRow, LastAttempt, ParkedRow, RefsRow, decode_event};
use crate::spool::{DeadReason, HistoryNote, Parked, StoredEvent};
use std::sync::Arc;

impl Writer {
    /// Ends a delivery, unless it has ended already. True: it had not.
    pub(super) fn settle(
        &mut self,
        uid: EndpointUid,
        seq: Seq,
        result: Result<(), DeadReason>,
        note: &HistoryNote,
    ) -> fjall::Result<bool> {
        let Some((row, event)) = self.take_off(uid, seq, result.is_err())? else { return Ok(false) };
        let key = delivery_key(uid, seq);
        self.cycle.block.settled(uid, &event, row.key, result, note);
        if let Err(reason) = result {
            let dead = DeadRow {
                reason,
                order: self.totals.next_dead,
                died_ms: note.ended_ms,
                attempts: note.attempts,
                status: note.status,
                length: row.length,
                accepted_ms: row.accepted_ms,
                note: Arc::clone(&note.reason),
            };
            self.totals.next_dead += 1;
            self.totals.dead += 1;
            self.totals.dead_bytes += u64::from(row.length);
            self.touch(uid).counts.dead += 1;
            self.insert(|store| &store.dead_order, &dead.order.to_be_bytes(), key.to_vec());
            self.insert(|store| &store.dead, &key, dead.encode());
        }
        Ok(true)
    }

    /// Takes a delivery from what waits, unless it has ended already; its event stays for as long as somebody else
    /// waits for it, or a dead letter keeps it.
    pub(super) fn take_off(
        &mut self,
        uid: EndpointUid,
        seq: Seq,
        dies: bool,
    ) -> fjall::Result<Option<(DeliveryRow, Arc<StoredEvent>)>> {
        let Some(row) = self.live(uid, seq)? else { return Ok(None) };
        self.drop_delivery(uid, seq, &row);
        self.cache.set_row(seq, uid, None);
        let Some(cached) = self.cache.get_mut(seq) else { return Ok(None) };
        cached.refs.live = cached.refs.live.saturating_sub(1);
        cached.refs.dead += u32::from(dies);
        let unwanted = cached.refs.live == 0;
        let event = Arc::clone(&cached.event);
        self.touch_event(seq);
        if unwanted {
            self.totals.pending = self.totals.pending.saturating_sub(u64::from(row.length));
        }
        Ok(Some((row, event)))
    }

    /// Notes an attempt of a delivery that has not ended.
    pub(super) fn tried(&mut self, uid: EndpointUid, seq: Seq, note: &HistoryNote) -> fjall::Result<()> {
        if self.live(uid, seq)?.is_some()
            && let Some(event) = self.cache.get_mut(seq).map(|cached| Arc::clone(&cached.event))
        {
            self.cycle.block.tried(uid, &event, note);
        }
        Ok(())
    }

    /// Notes an attempt of a delivery that spends none of its attempts: its row says what the last one came to.
    pub(super) fn probed(&mut self, uid: EndpointUid, seq: Seq, note: &HistoryNote) -> fjall::Result<()> {
        self.tried(uid, seq, note)?;
        let Some(mut row) = self.live(uid, seq)? else { return Ok(()) };
        if let Some(parked) = &mut row.parked {
            parked.last = Some(LastAttempt { status: note.status, block: self.totals.next_block });
            self.set_parked(uid, seq, row);
        }
        Ok(())
    }

    pub(super) fn park(
        &mut self,
        uid: EndpointUid,
        parked: &Parked,
        note: &HistoryNote,
    ) -> fjall::Result<()> {
        let Some(mut row) = self.live(uid, parked.seq)? else { return Ok(()) };
        self.tried(uid, parked.seq, note)?;
        if row.parked.is_none() {
            let counts = &mut self.touch(uid).counts;
            counts.ready = counts.ready.saturating_sub(1);
            counts.parked += 1;
        }
        let Parked { due_ms, wait_ms, attempts, .. } = *parked;
        // What was tried is part of this commit's block.
        let last = Some(LastAttempt { status: note.status, block: self.totals.next_block });
        row.parked = Some(ParkedRow { due_ms, wait_ms, attempts, last });
        self.set_parked(uid, parked.seq, row);
        Ok(())
    }

    fn set_parked(&mut self, uid: EndpointUid, seq: Seq, row: DeliveryRow) {
        self.cache.set_row(seq, uid, Some(row));
        let key = delivery_key(uid, seq);
        self.insert(|store| &store.deliveries, &key, row.encode());
        self.insert(|store| &store.parked, &key, row.encode());
    }

    /// Nothing ready lies before `low`.
    pub(super) fn raise_low(&mut self, uid: EndpointUid, low: Seq) {
        let counts = &mut self.touch(uid).counts;
        counts.low = counts.low.max(low.0.min(counts.last + 1));
    }

    /// A delivery that has not ended, with its event in the cache.
    pub(super) fn live(&mut self, uid: EndpointUid, seq: Seq) -> fjall::Result<Option<DeliveryRow>> {
        if let Some(known) = self.cache.get_mut(seq).and_then(|cached| cached.row(uid)) {
            return Ok(known);
        }
        let row = self.read(|store| &store.deliveries, &delivery_key(uid, seq))?;
        let Some(row) = row else { return Ok(None) };
        let row = DeliveryRow::decode(&row);
        if row.is_none() || !self.load_event(seq, RefsRow { live: 1, dead: 0 })? {
            self.set_aside(uid, seq)?;
            return Ok(None);
        }
        self.cache.set_row(seq, uid, row);
        Ok(row)
    }

    /// Brings an event into the cache; false if it is not there or damaged. Without a row of `refs` it has one
    /// target, whose state the caller knows.
    pub(super) fn load_event(&mut self, seq: Seq, single: RefsRow) -> fjall::Result<bool> {
        if self.cache.get_mut(seq).is_some() {
            return Ok(true);
        }
        let Some(record) = self.read(|store| &store.events, &seq_key(seq))? else { return Ok(false) };
        let Some(event) = decode_event(seq, &record) else { return Ok(false) };
        let refs = if event.targets > 1 {
            self.read(|store| &store.refs, &seq_key(seq))?.and_then(|row| RefsRow::decode(&row))
        } else {
            None
        };
        self.cache.insert_read(Arc::new(event), refs.unwrap_or(single));
        Ok(true)
    }

    fn touch_event(&mut self, seq: Seq) {
        if let Some(cached) = self.cache.get_mut(seq).filter(|cached| !cached.touched) {
            cached.touched = true;
            self.cycle.events.push(seq);
        }
    }

    /// Takes a delivery's rows and numbers away.
    fn drop_delivery(&mut self, uid: EndpointUid, seq: Seq, row: &DeliveryRow) {
        let key = delivery_key(uid, seq);
        self.remove(|store| &store.deliveries, &key);
        if row.parked.is_some() {
            self.remove(|store| &store.parked, &key);
        }
        let counts = &mut self.touch(uid).counts;
        if row.parked.is_some() {
            counts.parked = counts.parked.saturating_sub(1);
        } else {
            counts.ready = counts.ready.saturating_sub(1);
        }
        counts.bytes = counts.bytes.saturating_sub(u64::from(row.length));
    }

    /// Writes what is left of the events that this commit changed.
    pub(super) fn write_events(&mut self) {
        for seq in std::mem::take(&mut self.cycle.events) {
            let Some(cached) = self.cache.get_mut(seq) else { continue };
            cached.touched = false;
            let (refs, shared, finished) = (cached.refs, cached.event.targets > 1, cached.is_finished());
            match (finished, shared) {
                (true, shared) => {
                    self.remove(|store| &store.events, &seq_key(seq));
                    if shared {
                        self.remove(|store| &store.refs, &seq_key(seq));
                    }
                    self.cache.remove(seq);
                }
                (false, true) => self.insert(|store| &store.refs, &seq_key(seq), refs.encode()),
                (false, false) => {}
            }
        }
    }

    /// Lets a dead letter go.
    pub(super) fn forget_dead(&mut self, uid: EndpointUid, seq: Seq, dead: &DeadRow) -> fjall::Result<()> {
        let stored = self.load_event(seq, RefsRow { live: 0, dead: 1 })?;
        self.remove(|store| &store.dead, &delivery_key(uid, seq));
        self.remove(|store| &store.dead_order, &dead.order.to_be_bytes());
        self.totals.dead = self.totals.dead.saturating_sub(1);
        self.totals.dead_bytes = self.totals.dead_bytes.saturating_sub(u64::from(dead.length));
        let counts = &mut self.touch(uid).counts;
        counts.dead = counts.dead.saturating_sub(1);
        if stored {
            if let Some(cached) = self.cache.get_mut(seq) {
                cached.refs.dead = cached.refs.dead.saturating_sub(1);
            }
            self.touch_event(seq);
        }
        Ok(())
    }

    /// A record of which a byte is wrong is never delivered: it is kept apart as it is, and its delivery is let go.
    pub(super) fn set_aside(&mut self, uid: EndpointUid, seq: Seq) -> fjall::Result<()> {
        let key = delivery_key(uid, seq);
        let Some(row) = self.read(|store| &store.deliveries, &key)? else { return Ok(()) };
        let record = self.read(|store| &store.events, &seq_key(seq))?;
        let whole = record.as_ref().is_some_and(|record| decode_event(seq, record).is_some());
        let row = DeliveryRow::decode(&row);
        if whole && row.is_some() {
            return Ok(());
        }
        // The numbers of a damaged row are lost with it; whether it was parked shows in the other keyspace.
        let parked = self.read(|store| &store.parked, &key)?.map(|_| ParkedRow::default());
        let of_event = (seq, EndpointUid(0))..=(seq, EndpointUid(u32::MAX));
        let mut others = self.cycle.aside.range(of_event).map(|(_, counted)| *counted).peekable();
        let (first, counted) = (others.peek().is_none(), others.any(|counted| counted));
        if self.cycle.aside.insert((seq, uid), row.is_some()).is_some() {
            return Ok(());
        }
        let row = row.unwrap_or(DeliveryRow { key: MessageKey(0), length: 0, accepted_ms: 0, parked });
        self.meters.read_errors.increment(1);
        tracing::error!(
            endpoint = uid.0,
            seq = seq.0,
            "a stored event is damaged: it is set aside, not delivered"
        );
        self.drop_delivery(uid, seq, &row);
        if record.is_some() && !counted {
            self.totals.pending = self.totals.pending.saturating_sub(u64::from(row.length));
        }
        if let Some(record) = record.filter(|_| first) {
            self.insert(|store| &store.damaged, &seq_key(seq), record.to_vec());
            self.remove(|store| &store.events, &seq_key(seq));
            self.remove(|store| &store.refs, &seq_key(seq));
        }
        self.cache.remove(seq);
        Ok(())
    }
}
