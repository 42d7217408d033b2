//! Budgets and ages, looked at between commits, in slices so small that no commit waits long for one.
//!
//! A row that cannot be read ends the slice of its kind, and nothing is concluded from it. Where that lasts, those
//! behind it go meanwhile.

use super::Writer;
use super::end::Slice;
use super::walks::Walk;
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
        self.walks.try_again(self.clock.now());
        let mut slice = Slice::of(&self.cache);
        let mut more = self.end_removed(&mut slice);
        more |= self.expire_dedup();
        more |= self.expire_dead(&mut slice);
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

    /// Keys past the window are forgotten, those of one commit when the newest of them is, and the oldest of what is
    /// too many; those are counted. True, here and below: there is more to do.
    fn expire_dedup(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        let (now_ms, window) = (self.now_ms(), self.dedup.window.as_millis());
        let mut seen = 0;
        for row in self.oldest_first(&store, Walk::Dedup, &store.dedup_order) {
            let Some((place, row)) = self.met(Walk::Dedup, row) else { return false };
            // One that cannot be taken apart goes.
            let ages = KeyAge::decode(place, &row).unwrap_or_default();
            let newest = ages.iter().map(|age| age.accepted_ms).max().unwrap_or_default();
            let expired = u128::from(now_ms.saturating_sub(newest)) >= window;
            let over = self.totals.dedup.saturating_sub(self.dedup.max);
            if !expired && over == 0 {
                return false;
            }
            let due = if expired { usize::MAX } else { usize::try_from(over).unwrap_or(usize::MAX) };
            let (gone, kept) = ages.split_at(due.min(SLICE - seen).min(ages.len()));
            let (mut keys, mut left) = (Vec::with_capacity(gone.len()), Vec::new());
            for age in gone {
                match self.read(|store| &store.dedup, &age.key) {
                    Ok(row) => {
                        let known = row.and_then(|row| DedupRow::decode(&row));
                        if known.is_none_or(|known| known.order == age.order) {
                            keys.push(age.key);
                        }
                    }
                    Err(error) if self.walks.failed_at(Walk::Dedup, place, &error, self.clock.now()) => {
                        left.push(*age);
                    }
                    Err(_) => return false,
                }
            }
            let forgotten = gone.len().saturating_sub(left.len()) as u64;
            if !expired {
                self.meters.dedup_forgotten.increment(forgotten);
            }
            left.extend_from_slice(kept);
            if left.is_empty() {
                self.remove(|store| &store.dedup_order, &place.to_be_bytes());
                self.walks.reached(Walk::Dedup, place);
            } else {
                self.insert(|store| &store.dedup_order, &place.to_be_bytes(), KeyAge::encode(place, &left));
            }
            self.totals.dedup = self.totals.dedup.saturating_sub(forgotten);
            for key in keys {
                self.remove(|store| &store.dedup, &key);
            }
            seen += gone.len().max(1);
            if seen >= SLICE {
                return true;
            }
        }
        false
    }

    /// Dead letters past their time go, and the oldest of what is too much; all are counted.
    fn expire_dead(&mut self, slice: &mut Slice) -> bool {
        let Some(store) = self.store.clone().filter(|_| self.totals.dead > 0) else { return false };
        for row in self.oldest_first(&store, Walk::Dead, &store.dead_order) {
            let Some((order, row)) = self.met(Walk::Dead, row) else { return false };
            if slice.is_over(&self.cache) {
                return true;
            }
            slice.take();
            match self.let_go(order, &row) {
                Ok(true) => {
                    self.walks.reached(Walk::Dead, order);
                }
                Ok(false) => return false,
                Err(error) if self.walks.failed_at(Walk::Dead, order, &error, self.clock.now()) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Lets a dead letter go, if it is due. An error has changed nothing.
    fn let_go(&mut self, order: u64, key: &[u8]) -> fjall::Result<bool> {
        let dead = self.read(|store| &store.dead, key)?.and_then(|row| DeadRow::decode(&row));
        let Some(((uid, seq), dead)) = split_delivery_key(key).zip(dead) else {
            self.remove(|store| &store.dead_order, &order.to_be_bytes());
            return Ok(true);
        };
        let age = self.now_ms().saturating_sub(dead.died_ms);
        let expired = u128::from(age) >= self.config.keep_dead.as_millis();
        if !expired && self.totals.dead_bytes <= self.config.dead_bytes {
            return Ok(false);
        }
        self.forget_dead(uid, seq, &dead)?;
        self.meters.dead_forgotten.increment(1);
        Ok(true)
    }

    /// Blocks of history past their time go, and the oldest of what is too much.
    fn expire_history(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        let (now_ms, keep) = (self.now_ms(), self.config.keep_delivered.as_millis());
        let mut seen = 0;
        for row in self.oldest_first(&store, Walk::History, &store.history).take(SLICE / 10) {
            seen += 1;
            let Some((number, block)) = self.met(Walk::History, row) else { break };
            let newest = settled::newest_ms(&block).unwrap_or_default();
            let expired = u128::from(now_ms.saturating_sub(newest)) >= keep;
            if !expired && self.totals.history_bytes <= self.config.history_bytes {
                seen = 0;
                break;
            }
            self.remove(|store| &store.history, &number.to_be_bytes());
            self.totals.history_bytes = self.totals.history_bytes.saturating_sub(block.len() as u64);
            self.walks.reached(Walk::History, number);
        }
        self.expire_index(self.walks.floor(Walk::History), self.walks.start(Walk::History));
        seen == SLICE / 10
    }

    /// The first rows of a keyspace that is read oldest first, none if it rests. Most often the very first is not due: no
    /// more are read then.
    fn oldest_first<'a>(
        &self,
        store: &'a Store,
        walk: Walk,
        space: &Space,
    ) -> impl Iterator<Item = fjall::Result<(u64, Bytes)>> + use<'a> {
        let most = if self.walks.rests(walk, self.clock.now()) { 0 } else { SLICE };
        let rows = store.range(space, self.walks.start(walk).to_be_bytes()..).take(most);
        rows.filter_map(|row| match row {
            Ok((key, row)) => Some(Ok((split_seq_key(&key)?, row))),
            Err(error) => Some(Err(error)),
        })
    }

    /// What a walk has met; nothing, if that cannot be read.
    fn met(&mut self, walk: Walk, row: fjall::Result<(u64, Bytes)>) -> Option<(u64, Bytes)> {
        #[cfg(test)]
        let row = row.and_then(|(place, row)| {
            let rows = if walk == Walk::History { "history" } else { "" };
            crate::spool::faults::check_read(&self.config.path, rows, &place.to_be_bytes())?;
            Ok((place, row))
        });
        let error = match row {
            Ok(row) => return Some(row),
            Err(error) => error,
        };
        self.unreadable(&error);
        self.walks.failed_from(walk, self.walks.start(walk), &error, self.clock.now());
        None
    }
}

/// A gauge holds whole numbers up to 2^53 exactly.
#[expect(clippy::cast_precision_loss, reason = "bytes of a disk, for people")]
const fn gauge(bytes: u64) -> f64 {
    bytes as f64
}
