//! Budgets and ages, looked at between commits, in slices so small that no commit waits long for one.
//!
//! A row that cannot be read ends the slice of its kind, and nothing is concluded from it.

use super::Writer;
use super::end::Slice;
use crate::spool::codec::{split_delivery_key, split_seq_key};
use crate::spool::record::{DeadRow, DedupRow, KeyAge};
use crate::spool::settled;
use crate::spool::store::{Space, Store};
use bytes::Bytes;

/// Rows looked at in one slice; keys, where a row has many.
const SLICE: usize = 1000;
/// Rows that may rest in memory. In tests a segment ends long before so many.
const RESTING_ROWS: usize = if cfg!(test) { 64 } else { 4096 };

impl Writer {
    /// One slice of everything. True: there is more to do.
    pub(super) fn housekeep(&mut self) -> bool {
        let mut slice = Slice::of(&self.cache);
        let mut more = self.end_removed(&mut slice);
        more |= self.expire_dedup().unwrap_or_default();
        more |= self.expire_dead(&mut slice).unwrap_or_default();
        more |= self.expire_history().unwrap_or_default();
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

    /// Keys past the window are forgotten, those of one commit when the newest of them is, and the oldest of what is
    /// too many; those are counted.
    fn expire_dedup(&mut self) -> fjall::Result<bool> {
        let Some(store) = self.store.clone() else { return Ok(false) };
        let (now, window) = (self.now_ms(), self.dedup.window.as_millis());
        let mut seen = 0;
        for row in first(&store, &store.dedup_order, self.floors[0]) {
            let (place, row) = row.inspect_err(|error| self.unreadable(error))?;
            // One that cannot be taken apart goes.
            let ages = KeyAge::decode(place, &row).unwrap_or_default();
            let newest = ages.iter().map(|age| age.accepted_ms).max().unwrap_or_default();
            let expired = u128::from(now.saturating_sub(newest)) >= window;
            let over = self.totals.dedup.saturating_sub(self.dedup.max);
            if !expired && over == 0 {
                return Ok(false);
            }
            let due = if expired { usize::MAX } else { usize::try_from(over).unwrap_or(usize::MAX) };
            let (gone, kept) = ages.split_at(due.min(SLICE - seen).min(ages.len()));
            let mut keys = Vec::with_capacity(gone.len());
            for age in gone {
                let known = self.read(|store| &store.dedup, &age.key)?.and_then(|row| DedupRow::decode(&row));
                if known.is_none_or(|known| known.order == age.order) {
                    keys.push(age.key);
                }
            }
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
            for key in keys {
                self.remove(|store| &store.dedup, &key);
            }
            seen += gone.len().max(1);
            if seen >= SLICE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Dead letters past their time go, and the oldest of what is too much; all are counted.
    fn expire_dead(&mut self, slice: &mut Slice) -> fjall::Result<bool> {
        let Some(store) = self.store.clone() else { return Ok(false) };
        if self.totals.dead == 0 {
            return Ok(false);
        }
        let (now, keep) = (self.now_ms(), self.config.keep_dead.as_millis());
        for row in first(&store, &store.dead_order, self.floors[1]) {
            let (order, row) = row.inspect_err(|error| self.unreadable(error))?;
            if slice.is_over(&self.cache) {
                return Ok(true);
            }
            slice.take();
            let dead = self.read(|store| &store.dead, &row)?.and_then(|row| DeadRow::decode(&row));
            let Some(((uid, seq), dead)) = split_delivery_key(&row).zip(dead) else {
                self.remove(|store| &store.dead_order, &order.to_be_bytes());
                continue;
            };
            let expired = u128::from(now.saturating_sub(dead.died_ms)) >= keep;
            if !expired && self.totals.dead_bytes <= self.config.dead_bytes {
                return Ok(false);
            }
            self.floors[1] = order;
            self.forget_dead(uid, seq, &dead)?;
            self.meters.dead_forgotten.increment(1);
        }
        Ok(false)
    }

    /// Blocks of history past their time go, and the oldest of what is too much.
    fn expire_history(&mut self) -> fjall::Result<bool> {
        let Some(store) = self.store.clone() else { return Ok(false) };
        let (now, keep) = (self.now_ms(), self.config.keep_delivered.as_millis());
        let rows = store.range(&store.history, self.floors[2].to_be_bytes()..).take(SLICE / 10);
        let mut seen = 0;
        for row in rows {
            seen += 1;
            let (key, block) = row.inspect_err(|error| self.unreadable(error))?;
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
        Ok(seen == SLICE / 10)
    }
}

/// The first rows of a keyspace that is read oldest first. Most often the very first is not due: no more are read then.
fn first(store: &Store, space: &Space, floor: u64) -> impl Iterator<Item = fjall::Result<(u64, Bytes)>> {
    let rows = store.range(space, floor.to_be_bytes()..).take(SLICE);
    rows.filter_map(|row| match row {
        Ok((key, row)) => Some(Ok((split_seq_key(&key)?, row))),
        Err(error) => Some(Err(error)),
    })
}

/// A gauge holds whole numbers up to 2^53 exactly.
#[expect(clippy::cast_precision_loss, reason = "bytes of a disk, for people")]
const fn gauge(bytes: u64) -> f64 {
    bytes as f64
}
