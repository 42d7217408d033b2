//! What people change by hand: dead letters that become deliveries again or are deleted, and what is erased.
//!
//! Each amendment is part of one commit: a letter is a dead letter or a delivery again, never both and never neither.

use super::{Reply, Writer};
use crate::ids::{EndpointUid, Seq};
use crate::spool::codec::delivery_key;
use crate::spool::record::{DeadRow, RefsRow};
use crate::spool::settled::{Block, decode_rows, newest_ms};
use crate::spool::{Entry, Replayed, SpoolError, StoredEvent};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is to be changed. Deliveries are named by endpoint and sequence.
pub(crate) enum Amendment {
    /// These dead letters become deliveries again: with new sequences, attempts and ages, and the events' ids.
    Replay(Vec<(EndpointUid, Seq)>),
    /// These dead letters are deleted.
    Delete(Vec<(EndpointUid, Seq)>),
    /// These deliveries, which wait, are gone.
    Erase(Vec<(EndpointUid, Seq)>),
    /// The rows of these blocks of history that are to go.
    Scrub(Vec<u64>, Box<dyn Fn(&Entry) -> bool + Send>),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Amended {
    /// Each letter's new sequence, or why it stays what it is.
    Replayed(Vec<Result<Seq, Refused>>),
    /// How many were changed.
    Count(u64),
}

/// Why a letter was not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no dead letter (any more).
    Gone,
    /// A byte of its event is wrong.
    Damaged,
    /// As much as is allowed waits already, or the disk is full: later.
    Full,
}

impl Writer {
    pub(super) fn amend(&mut self, amendment: Amendment, reply: Reply<Amended>) {
        if let Some(refusal) = &self.failing {
            let _ = reply.send(Err(SpoolError::Store(refusal.to_string())));
            return;
        }
        if let Err(error) = self.prepare(&amendment) {
            let _ = reply.send(Err(SpoolError::Store(error.to_string())));
            return;
        }
        let replays = matches!(amendment, Amendment::Replay(_));
        let amended = match self.amended(amendment) {
            Ok(amended) => amended,
            Err(error) => {
                let _ = reply.send(Err(SpoolError::Store(error.to_string())));
                // Part of it may be done already, and may not be written without the rest.
                self.unread.get_or_insert(error);
                return;
            }
        };
        // A replay is synced with the next commit that is, as a settlement: a power cut before that leaves the letter a
        // letter, and live events do not wait for syncs of its own.
        self.cycle.durable |= !replays;
        self.cycle.amendments.push((reply, amended));
    }

    /// Reads all that is needed: what cannot be done for want of that is not begun, and the rest of the commit is written.
    fn prepare(&mut self, amendment: &Amendment) -> fjall::Result<()> {
        match amendment {
            Amendment::Replay(letters) | Amendment::Delete(letters) => {
                for &(uid, seq) in letters {
                    if self.letter(uid, seq)?.is_some() {
                        self.load_event(seq, RefsRow { live: 0, dead: 1 })?;
                    }
                }
            }
            Amendment::Erase(deliveries) => {
                for &(uid, seq) in deliveries {
                    self.live(uid, seq)?;
                }
            }
            Amendment::Scrub(blocks, _) => {
                for block in blocks {
                    self.read(|store| &store.history, &block.to_be_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn amended(&mut self, amendment: Amendment) -> fjall::Result<Amended> {
        let mut count = 0;
        match amendment {
            Amendment::Replay(letters) => return Ok(Amended::Replayed(self.replay_all(letters)?)),
            Amendment::Delete(letters) => {
                for (uid, seq) in letters {
                    count += u64::from(self.delete(uid, seq)?);
                }
            }
            Amendment::Erase(deliveries) => {
                for (uid, seq) in deliveries {
                    count += u64::from(self.erase(uid, seq)?);
                }
            }
            Amendment::Scrub(blocks, goes) => {
                for block in blocks {
                    count += self.scrub(block, &*goes)?;
                }
            }
        }
        Ok(Amended::Count(count))
    }

    /// The row of a dead letter that this commit has not touched yet.
    fn letter(&self, uid: EndpointUid, seq: Seq) -> fjall::Result<Option<DeadRow>> {
        if self.cycle.amended.contains(&(uid, seq)) {
            return Ok(None);
        }
        let row = self.read(|store| &store.dead, &delivery_key(uid, seq))?;
        Ok(row.and_then(|row| DeadRow::decode(&row)))
    }

    /// Where one does not fit, none after it of that endpoint is taken either: they keep their order.
    fn replay_all(&mut self, letters: Vec<(EndpointUid, Seq)>) -> fjall::Result<Vec<Result<Seq, Refused>>> {
        let (mut full, mut all) = (BTreeSet::new(), Vec::with_capacity(letters.len()));
        for (uid, seq) in letters {
            let done = if full.contains(&uid) { Err(Refused::Full) } else { self.replay(uid, seq)? };
            if done == Err(Refused::Full) {
                full.insert(uid);
            }
            all.push(done);
        }
        Ok(all)
    }

    fn replay(&mut self, uid: EndpointUid, seq: Seq) -> fjall::Result<Result<Seq, Refused>> {
        let Some(dead) = self.letter(uid, seq)? else { return Ok(Err(Refused::Gone)) };
        let length = u64::from(dead.length);
        let waits = self.endpoints.get(&uid).map_or(0, |endpoint| endpoint.counts.bytes);
        if self.disk_full
            || self.totals.pending.saturating_add(length) > self.config.max_bytes
            || (waits > 0 && waits.saturating_add(length) > self.config.backlog)
        {
            return Ok(Err(Refused::Full));
        }
        let stored = self.load_event(seq, RefsRow { live: 0, dead: 1 })?;
        let event = self.cache.get_mut(seq).filter(|_| stored).map(|cached| Arc::clone(&cached.event));
        let Some(event) = event else { return Ok(Err(Refused::Damaged)) };
        let now_ms = self.now_ms();
        let to = Seq(self.totals.next_seq);
        self.totals.next_seq += 1;
        let again = StoredEvent { seq: to, targets: 1, accepted_ms: now_ms, ..StoredEvent::clone(&event) };
        self.cycle.amended.insert((uid, seq));
        self.forget_dead(uid, seq, &dead)?;
        self.enqueue(Arc::new(again), vec![uid]);
        self.cycle.block.replayed(&Replayed { endpoint: uid, from: seq, to, id: event.id }, now_ms);
        Ok(Ok(to))
    }

    fn delete(&mut self, uid: EndpointUid, seq: Seq) -> fjall::Result<bool> {
        let Some(dead) = self.letter(uid, seq)? else { return Ok(false) };
        self.cycle.amended.insert((uid, seq));
        self.forget_dead(uid, seq, &dead)?;
        Ok(true)
    }

    fn erase(&mut self, uid: EndpointUid, seq: Seq) -> fjall::Result<bool> {
        if self.take_off(uid, seq, false)?.is_none() {
            return Ok(false);
        }
        self.cycle.erased.entry(uid).or_default().push(seq);
        Ok(true)
    }

    /// Writes a block of history again without some of its rows; how many those were.
    fn scrub(&mut self, number: u64, goes: &dyn Fn(&Entry) -> bool) -> fjall::Result<u64> {
        let Some(block) = self.read(|store| &store.history, &number.to_be_bytes())? else { return Ok(0) };
        let Some(rows) = decode_rows(&block) else { return Ok(0) };
        let (mut kept, mut gone) = (Block::default(), 0);
        for (entry, bytes) in rows {
            if goes(&entry) {
                gone += 1;
            } else if let Some(row) = block.get(bytes) {
                kept.again(row, newest_ms(&block).unwrap_or_default());
            }
        }
        if gone == 0 {
            return Ok(0);
        }
        self.totals.history_bytes = self.totals.history_bytes.saturating_sub(block.len() as u64);
        match kept.take() {
            Some((row, _)) => {
                self.totals.history_bytes += row.len() as u64;
                self.insert(|store| &store.history, &number.to_be_bytes(), row);
            }
            None => self.remove(|store| &store.history, &number.to_be_bytes()),
        }
        Ok(gone)
    }
}
