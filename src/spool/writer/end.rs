//! Deliveries that end by a budget or with their endpoint, oldest first.
//!
//! What could not be read is not ended, and is tried again a second later; where that lasts, those behind it are ended
//! meanwhile.

use super::walks::Walk;
use super::{HOUSEKEEPING, NEXT_SLICE, Writer};
use crate::ids::{EndpointUid, Seq};
use crate::spool::cache::Cache;
use crate::spool::codec::{delivery_key, split_delivery_key};
use crate::spool::record::Counts;
use crate::spool::store::{Space, Store};
use crate::spool::{DeadReason, HistoryNote};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Deliveries of one slice,
const ROWS: usize = 200;
/// and bytes of events that it may read: they stay in memory until the commit.
const BYTES: usize = 8 * 1024 * 1024;

/// What may still be done before the next commit.
pub(super) struct Slice {
    rows: usize,
    cached: usize,
}

impl Slice {
    pub(super) const fn of(cache: &Cache) -> Self {
        Self { rows: ROWS, cached: cache.bytes() + BYTES }
    }

    /// Whether one more is to wait for the next slice.
    pub(super) const fn is_over(&self, cache: &Cache) -> bool {
        self.rows == 0 || cache.bytes() >= self.cached
    }

    /// One more is looked at.
    pub(super) const fn take(&mut self) {
        self.rows = self.rows.saturating_sub(1);
    }
}

/// Nothing more of an endpoint is ended for a moment.
struct Rests;

impl Writer {
    /// What is left of removed endpoints is dead. They take turns. True: there is more to do.
    pub(super) fn end_removed(&mut self, slice: &mut Slice) -> bool {
        let after = self.removing.range((Bound::Excluded(self.turns[0]), Bound::Unbounded));
        let next = after.chain(self.removing.range(..=self.turns[0]));
        let next: Vec<(EndpointUid, Seq)> = next.map(|(uid, last)| (*uid, *last)).take(ROWS).collect();
        let (reason, text) = (DeadReason::EndpointRemoved, "the endpoint was removed");
        let unseen = next.len() < self.removing.len();
        let (mut more, mut gone) = (false, false);
        for (uid, last) in next {
            if slice.is_over(&self.cache) {
                return true;
            }
            self.turns[0] = uid;
            match self.end_oldest(uid, last, slice, (reason, text), |_| true) {
                Ok(0) if self.walks.steps_over(Walk::Waiting(uid)) => self.walks.rest(Walk::Waiting(uid)),
                // Those of the slice before are written by now.
                Ok(0) => {
                    self.removing.remove(&uid);
                    slice.take();
                    gone = true;
                }
                Ok(_) => more = true,
                Err(_) => {}
            }
        }
        more || (unseen && gone)
    }

    /// The oldest of what is too much for an endpoint is dead. Endpoints take turns, so that none waits for another that
    /// always has too much. How soon to go on, if any is left.
    pub(super) fn end_overflow(&mut self) -> Duration {
        let mut slice = Slice::of(&self.cache);
        let after = (Bound::Excluded(self.turns[1]), Bound::<EndpointUid>::Unbounded);
        let next = self.overflowing.range::<EndpointUid, _>(after);
        let next = next.chain(self.overflowing.range(..=self.turns[1]));
        let next: Vec<EndpointUid> = next.copied().take(ROWS).collect();
        let mut failed = 0;
        for &uid in &next {
            if slice.is_over(&self.cache) {
                break;
            }
            self.turns[1] = uid;
            let over = |writer: &Self| {
                writer.endpoints.get(&uid).is_some_and(|known| known.counts.bytes > writer.config.backlog)
            };
            let (reason, text) = (DeadReason::Overflow, "more waited for this endpoint than backlog allows");
            match self.end_oldest(uid, Seq(u64::MAX), &mut slice, (reason, text), over) {
                // Nothing else is left, for now.
                Ok(0) if over(self) && self.walks.steps_over(Walk::Waiting(uid)) => failed += 1,
                Ok(looked) if looked == 0 || !over(self) => {
                    self.overflowing.remove(&uid);
                }
                Ok(_) => {}
                Err(_) => failed += 1,
            }
        }
        if failed < next.len() { NEXT_SLICE } else { HOUSEKEEPING }
    }

    /// Ends the oldest deliveries of an endpoint, parked ones included, up to `last` and while `wanted` holds. How many
    /// were looked at. An error: one cannot be read, now or a moment ago.
    fn end_oldest(
        &mut self,
        uid: EndpointUid,
        last: Seq,
        slice: &mut Slice,
        (reason, text): (DeadReason, &'static str),
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<usize, Rests> {
        let (Some(store), Some(known)) = (self.store.clone(), self.endpoints.get(&uid)) else { return Ok(0) };
        let (walk, now, counts) = (Walk::Waiting(uid), self.clock.now(), known.counts);
        if self.walks.rests(walk, now) {
            return Err(Rests);
        }
        let mut from = self.walks.start(walk);
        let mut oldest = oldest(&store, counts, uid, from, last);
        let mut looked = 0;
        while wanted(self) && !slice.is_over(&self.cache) {
            let Some(seq) = oldest.next() else { break };
            let seq = match seq {
                Ok(seq) => seq,
                Err(error) => {
                    self.unreadable(&error);
                    let first = if counts.parked > 0 { from } else { from.max(counts.low) };
                    self.walks.failed_from(walk, first, &error, now);
                    return Err(Rests);
                }
            };
            let note =
                HistoryNote { ended_ms: self.now_ms(), reason: Arc::from(text), ..HistoryNote::default() };
            slice.take();
            looked += 1;
            from = seq.0.saturating_add(1);
            match self.settle(uid, seq, Err(reason), &note) {
                Ok(ended) => {
                    if ended {
                        *self.cycle.died.entry((uid, reason)).or_default() += 1;
                    }
                    // All up to this one were listed, ready or parked, and none of them waits any more: nobody needs to
                    // walk over what is left of them again.
                    if self.walks.reached(walk, seq.0) {
                        self.raise_low(uid, Seq(from));
                    }
                }
                Err(error) if self.walks.failed_at(walk, seq.0, &error, now) => {}
                Err(_) => return Err(Rests),
            }
        }
        Ok(looked)
    }
}

/// The deliveries of an endpoint in their order from `from` to `last`, as they were before this commit: those that are
/// ready from where there may be any, and those that are parked. A few rows are read at a time.
fn oldest(
    store: &Store,
    counts: Counts,
    uid: EndpointUid,
    from: u64,
    last: Seq,
) -> impl Iterator<Item = fjall::Result<Seq>> {
    let rows = move |space: &Space, some: bool, first: u64| {
        // Not a single one, then.
        let first = if some { first.max(from) } else { u64::MAX };
        let rows = store.range(space, delivery_key(uid, Seq(first))..=delivery_key(uid, last));
        rows.filter_map(|row| match row {
            Ok((key, _)) => split_delivery_key(&key).map(|(_, seq)| Ok(seq)),
            Err(error) => Some(Err(error)),
        })
    };
    let mut ready = rows(&store.deliveries, counts.ready > 0, counts.low).peekable();
    let mut parked = rows(&store.parked, counts.parked > 0, 0).peekable();
    std::iter::from_fn(move || {
        // An error comes at once.
        let place =
            |next: Option<&fjall::Result<Seq>>| next.map(|seq| seq.as_ref().copied().unwrap_or_default());
        match (place(ready.peek()), place(parked.peek())) {
            (Some(one), Some(other)) if one == other => {
                // Of a parked one both have a row.
                let _same = parked.next();
                ready.next()
            }
            (Some(one), Some(other)) if one < other => ready.next(),
            (Some(_), None) => ready.next(),
            _ => parked.next(),
        }
    })
}
