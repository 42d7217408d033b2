//! Budgets and ages, looked at between commits, in slices so small that no commit waits long for one.

use super::Writer;
use crate::ids::{EndpointUid, Seq};
use crate::spool::codec::{delivery_key, split_delivery_key, split_seq_key};
use crate::spool::record::{DeadRow, DedupRow, KeyAge};
use crate::spool::store::{Space, Store};
use crate::spool::{DeadReason, HistoryNote, settled};
use bytes::Bytes;
use std::sync::Arc;

/// Rows looked at in one slice; keys, where a row has many.
const SLICE: usize = 1000;
/// Rows that may rest in memory. In tests a segment ends long before so many.
const RESTING_ROWS: usize = if cfg!(test) { 64 } else { 4096 };

impl Writer {
    /// One slice of everything. True: there is more to do.
    pub(super) fn housekeep(&mut self) -> bool {
        let mut more = self.end_removed();
        more |= self.end_overflow();
        more |= self.expire_dedup();
        more |= self.expire_dead();
        more |= self.expire_history();
        self.commit();
        self.rest();
        self.look_at_disk();
        self.meters.pending_bytes.set(gauge(self.totals.pending));
        self.meters.dead_bytes.set(gauge(self.totals.dead_bytes));
        self.meters.history_bytes.set(gauge(self.totals.history_bytes));
        if let Some(Ok(bytes)) = self.store.as_ref().map(|store| store.disk_space()) {
            self.meters.disk_bytes.set(gauge(bytes));
        }
        self.publish_trouble();
        more && self.failing.is_none()
    }

    /// While nobody writes, what many rows take in memory is given back: they go into the database.
    fn rest(&mut self) {
        let Some(store) = self.store.clone().filter(|_| self.failing.is_none() && !self.disk_full) else {
            return;
        };
        let commits = store.commits();
        let quiet = std::mem::replace(&mut self.commits_seen, commits) == commits;
        if quiet && let Err(error) = store.fold(RESTING_ROWS) {
            self.fail("commit", &error);
        }
    }

    fn look_at_disk(&mut self) {
        let full = self.folder.is_full() || !self.folder.make_reserve();
        if full != self.disk_full {
            self.disk_full = full;
            if full {
                tracing::error!("the disk is full: no event is accepted until there is room");
            } else {
                tracing::info!("the disk has room again");
            }
        }
    }

    /// What is left of removed endpoints is dead.
    fn end_removed(&mut self) -> bool {
        let Some((&uid, &last)) = self.removing.iter().next() else { return false };
        let oldest = self.oldest(uid, last, SLICE);
        if oldest.is_empty() {
            self.removing.remove(&uid);
        }
        for seq in oldest {
            self.end(uid, seq, DeadReason::EndpointRemoved, "the endpoint was removed");
        }
        !self.removing.is_empty()
    }

    /// The oldest of what is too much for one endpoint is dead.
    fn end_overflow(&mut self) -> bool {
        let Some(&uid) = self.overflowing.iter().next() else { return false };
        let over = |writer: &Self| {
            writer.endpoints.get(&uid).is_some_and(|known| known.counts.bytes > writer.config.backlog)
        };
        let oldest = self.oldest(uid, Seq(u64::MAX), SLICE);
        let stuck = oldest.is_empty();
        for seq in oldest {
            if !over(self) {
                break;
            }
            self.end(uid, seq, DeadReason::Overflow, "more waited for this endpoint than backlog allows");
        }
        if stuck || !over(self) {
            self.overflowing.remove(&uid);
        }
        !self.overflowing.is_empty()
    }

    /// The oldest deliveries of an endpoint, parked ones included, as they were before this commit.
    fn oldest(&self, uid: EndpointUid, last: Seq, count: usize) -> Vec<Seq> {
        let (Some(store), Some(endpoint)) = (&self.store, self.endpoints.get(&uid)) else {
            return Vec::new();
        };
        let end = delivery_key(uid, last);
        let rows = |space: &Space, low: u64, count: usize| {
            let keys = store.range(space, delivery_key(uid, Seq(low))..=end);
            let keys = keys.take(count).filter_map(|row| row.ok()).map(|(key, _)| key);
            keys.filter_map(|key| split_delivery_key(&key)).map(|(_, seq)| seq).collect::<Vec<_>>()
        };
        let mut seqs = if endpoint.counts.parked > 0 { rows(&store.parked, 0, count) } else { Vec::new() };
        if endpoint.counts.ready > 0 {
            seqs.extend(rows(&store.deliveries, endpoint.counts.low, count));
        }
        seqs.sort_unstable();
        seqs.dedup();
        seqs.truncate(count);
        seqs
    }

    fn end(&mut self, uid: EndpointUid, seq: Seq, reason: DeadReason, text: &'static str) {
        let note = HistoryNote { ended_ms: self.now_ms(), reason: Arc::from(text), ..HistoryNote::default() };
        if self.settle(uid, seq, Err(reason), &note) {
            *self.cycle.died.entry((uid, reason)).or_default() += 1;
        }
    }

    /// Keys past the window are forgotten, those of one commit when the newest of them is, and the oldest of what is
    /// too many; those are counted.
    fn expire_dedup(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        let (now, window) = (self.now_ms(), self.dedup.window.as_millis());
        let mut seen = 0;
        for (place, row) in first(&store, &store.dedup_order, self.floors[0]) {
            // One that cannot be taken apart goes.
            let ages = KeyAge::decode(place, &row).unwrap_or_default();
            let newest = ages.iter().map(|age| age.accepted_ms).max().unwrap_or_default();
            let expired = u128::from(now.saturating_sub(newest)) >= window;
            let over = self.totals.dedup.saturating_sub(self.dedup.max);
            if !expired && over == 0 {
                return false;
            }
            let due = if expired { usize::MAX } else { usize::try_from(over).unwrap_or(usize::MAX) };
            let (gone, kept) = ages.split_at(due.min(SLICE - seen).min(ages.len()));
            if !expired {
                self.meters.dedup_forgotten.increment(gone.len() as u64);
            }
            if kept.is_empty() {
                self.remove(|store| &store.dedup_order, &place.to_be_bytes());
            } else {
                self.insert(|store| &store.dedup_order, &place.to_be_bytes(), KeyAge::encode(place, kept));
            }
            self.totals.dedup = self.totals.dedup.saturating_sub(gone.len() as u64);
            self.floors[0] = place;
            for age in gone {
                let known = self.read(|store| &store.dedup, &age.key).and_then(|row| DedupRow::decode(&row));
                if known.is_none_or(|known| known.order == age.order) {
                    self.remove(|store| &store.dedup, &age.key);
                }
            }
            seen += gone.len().max(1);
            if seen >= SLICE {
                return true;
            }
        }
        false
    }

    /// Dead letters past their time go, and the oldest of what is too much; all are counted.
    fn expire_dead(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        if self.totals.dead == 0 {
            return false;
        }
        let (now, keep) = (self.now_ms(), self.config.keep_dead.as_millis());
        let mut seen = 0;
        for (order, row) in first(&store, &store.dead_order, self.floors[1]) {
            seen += 1;
            let letter = split_delivery_key(&row)
                .zip(self.read(|store| &store.dead, &row).and_then(|row| DeadRow::decode(&row)));
            let Some(((uid, seq), dead)) = letter else {
                self.remove(|store| &store.dead_order, &order.to_be_bytes());
                continue;
            };
            let expired = u128::from(now.saturating_sub(dead.died_ms)) >= keep;
            if !expired && self.totals.dead_bytes <= self.config.dead_bytes {
                return false;
            }
            self.floors[1] = order;
            self.forget_dead(uid, seq, &dead);
            self.meters.dead_forgotten.increment(1);
        }
        seen == SLICE
    }

    /// Blocks of history past their time go, and the oldest of what is too much.
    fn expire_history(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        let (now, keep) = (self.now_ms(), self.config.keep_delivered.as_millis());
        let rows = store.range(&store.history, self.floors[2].to_be_bytes()..).take(SLICE / 10);
        let mut seen = 0;
        for row in rows {
            seen += 1;
            let Ok((key, block)) = row else { continue };
            let newest = settled::newest_ms(&block).unwrap_or_default();
            let expired = u128::from(now.saturating_sub(newest)) >= keep;
            if !expired && self.totals.history_bytes <= self.config.history_bytes {
                seen = 0;
                break;
            }
            self.remove(|store| &store.history, &key);
            self.totals.history_bytes = self.totals.history_bytes.saturating_sub(block.len() as u64);
            self.floors[2] = split_seq_key(&key).unwrap_or(self.floors[2]);
        }
        self.expire_index(self.floors[2]);
        seen == SLICE / 10
    }
}

/// The first rows of a keyspace that is read oldest first. Most often the very first is not due: no more are read then.
fn first(store: &Store, space: &Space, floor: u64) -> impl Iterator<Item = (u64, Bytes)> {
    let rows = store.range(space, floor.to_be_bytes()..).take(SLICE).filter_map(Result::ok);
    rows.filter_map(|(key, row)| Some((split_seq_key(&key)?, row)))
}

/// A gauge holds whole numbers up to 2^53 exactly.
#[expect(clippy::cast_precision_loss, reason = "bytes of a disk, for people")]
const fn gauge(bytes: u64) -> f64 {
    bytes as f64
}
