//! What happens when the store fails: nothing is answered with yes, what was said is kept, and the database is
//! opened again until it works.
//!
//! After a write or a sync that failed nobody knows what is on disk; reading it anew is the way out. A refused event may
//! still be found then (its commit reached the disk, the answer did not): it is delivered, and its dedup key is found with
//! it, so that the publisher's repeat is recognised.
//!
//! Where a read fails the store is as the last commit left it. It stays open, since for want of descriptors it could not
//! be opened again; the numbers are read back from it, and what was said is applied again, twice a second until all of
//! it can be read. A row that the disk does not yield (EIO) is no damage, however long that lasts: a disk that was away
//! may come back, and what was left out as damaged would be lost. So the spool goes on failing, in full view, until
//! the disk reads again or a person puts a copy in its place; where that has zeros for what could not be read, the
//! checksums tell, and it is repaired.

use super::walks::Walks;
use super::{Command, Cycle, Endpoint, RETRY, Writer};
use crate::ids::{EndpointUid, Seq};
use crate::spool::codec::{delivery_key, seq_key, split_delivery_key};
use crate::spool::folder::says_full;
use crate::spool::index::Index;
use crate::spool::names::Names;
use crate::spool::record::{Counts, Totals, decode_endpoint, decode_event};
use crate::spool::store::{Store, is_damage};
use crate::spool::{Committed, EndpointState, Refusal, SpoolError, SpoolEvent, StoredEvent, Wake};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

/// How long a reader may keep the old database open.
const READERS: Duration = Duration::from_secs(5);

impl Writer {
    /// Reads the numbers back from the store. Leases stay what they are.
    pub(super) fn load(&mut self) -> fjall::Result<()> {
        let Some(store) = self.store.clone() else { return Err(fjall::Error::Poisoned) };
        let number = |key: &[u8]| key.try_into().ok().map(|key| EndpointUid(u32::from_be_bytes(key)));
        self.cache.clear();
        // What a failed commit removed is still there.
        self.walks = Walks::default();
        self.endpoints.retain(|_, endpoint| {
            let Endpoint { epoch, unwritten, .. } = std::mem::take(endpoint);
            *endpoint = Endpoint { epoch, unwritten, ..Endpoint::default() };
            endpoint.unwritten.is_some() || epoch > 0
        });
        let mut names = Names::default();
        self.totals = match store.get(&store.meta, b"totals")? {
            Some(row) => Totals::decode(&row).ok_or(fjall::Error::Unrecoverable)?,
            None => Totals::default(),
        };
        for row in store.all(&store.endpoints) {
            let (key, row) = row?;
            let (Some(uid), Some((identity, state))) = (number(&key), decode_endpoint(&row)) else {
                self.meters.read_errors.increment(1);
                tracing::error!("the spool has a damaged row of an endpoint");
                continue;
            };
            if let Some(identity) = identity {
                names.insert(uid, identity);
            }
            if state != EndpointState::default() {
                self.endpoints.entry(uid).or_default().state = state;
            }
        }
        *self.shared.names() = names;
        for row in store.all(&store.counters) {
            let (key, row) = row?;
            let (Some(uid), Some(counts)) = (number(&key), Counts::decode(&row)) else {
                self.meters.read_errors.increment(1);
                tracing::error!("the spool has a damaged row of numbers");
                continue;
            };
            if counts.bytes > self.config.backlog {
                self.overflowing.insert(uid);
            }
            if counts != Counts::default() {
                self.endpoints.entry(uid).or_default().counts = counts;
            }
        }
        self.index = Index::after(self.totals.next_block);
        Ok(())
    }

    /// The store has failed: refuses what waits, keeps what was said.
    pub(super) fn fail(&mut self, operation: &'static str, error: &fjall::Error) {
        match operation {
            "sync" => self.meters.sync_errors.increment(1),
            "open" => self.meters.open_errors.increment(1),
            _ => self.meters.commit_errors.increment(1),
        }
        let full = says_full(error) || self.folder.is_full();
        if full {
            self.disk_full = true;
            self.folder.free_reserve();
        }
        self.poisoned |= !full && matches!(error, fjall::Error::Poisoned);
        let refusal = if full { Refusal::Full } else { Refusal::Failing(error.to_string()) };
        // Whoever hears that an event was refused may ask at once why.
        self.failing = Some(refusal.clone());
        self.publish_trouble();
        let cycle = std::mem::take(&mut self.cycle);
        for answer in cycle.answers {
            let _ = answer.reply.send(Err(refusal.clone()));
            drop(answer.permit);
        }
        for (reply, _) in cycle.numbers {
            let _ = reply.send(Err(SpoolError::Store(error.to_string())));
        }
        self.unread = None;
        self.unsure |= operation != "read";
        self.kept.extend(cycle.said);
        self.cycle = Cycle { leases: cycle.leases, ..Cycle::default() };
        tracing::error!(%error, operation, "the spool fails; nothing is accepted until it works again");
        if self.announced {
            self.retry_at = self.clock.now() + RETRY;
        } else {
            self.announced = true;
            self.retry_at = self.clock.now();
            (self.listener)(SpoolEvent::Failing(true));
        }
    }

    /// Opens the database again, if it has to be, and writes what was kept.
    pub(super) fn recover(&mut self) {
        let damaged = self.store.as_ref().is_some_and(|store| store.is_damaged());
        let opens = damaged || self.unsure || self.store.is_none();
        let ready = if opens { self.open_again(damaged) } else { self.load() };
        if let Err(error) = ready {
            if opens && is_damage(&error) {
                self.drop_store();
                self.mend();
            }
            // What is damaged is not as it was left.
            self.fail(if opens || is_damage(&error) { "open" } else { "read" }, &error);
            return;
        }
        self.failing = None;
        // What was said is counted as it is applied again.
        let Cycle { leases, .. } = std::mem::take(&mut self.cycle);
        let uids: Vec<EndpointUid> = leases.iter().map(|(_, lease)| lease.endpoint).collect();
        self.cycle.leases = leases;
        for uid in uids {
            self.touch(uid);
        }
        if opens && let Err(error) = self.recount().and_then(|()| self.write()) {
            self.fail("open", &error);
            return;
        }
        for said in std::mem::take(&mut self.kept) {
            self.hear(said);
        }
        self.publish_all();
        if let Err(error) = self.tell_found() {
            self.fail("read", &error);
            return;
        }
        self.commit();
        if self.failing.is_some() {
            return;
        }
        self.announced = false;
        self.unsynced_since.get_or_insert(self.clock.now());
        self.publish_trouble();
        tracing::info!("the spool works again");
        (self.listener)(SpoolEvent::Failing(false));
    }

    fn open_again(&mut self, damaged: bool) -> fjall::Result<()> {
        self.drop_store();
        let (store, log) = (self.folder.store(), self.folder.log());
        let poisoned = std::mem::take(&mut self.poisoned);
        if damaged || (poisoned && crate::spool::offline::is_damaged(&store, &log)) {
            self.mend();
        }
        let store = Store::open(&store, &log, &self.ways)?;
        // What a failed sync left behind may look written and not be: it is written again.
        store.settle_down()?;
        self.store = Some(Arc::new(store));
        self.unsure = false;
        self.load()
    }

    /// Makes the database anew from what is readable. It is tried again with the next opening if that fails.
    fn mend(&self) {
        if !self.folder.is_full() {
            self.meters.open_errors.increment(1);
            crate::spool::opening::mend(self.folder.path(), "it was read", self.now_ms());
        }
    }

    /// Tells of what a commit that failed has left behind after all: its events were refused, so nobody knows of these
    /// deliveries, and a repeat of such an event makes none.
    fn tell_found(&mut self) -> fjall::Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let first = Seq(self.untold);
        let known = self.endpoints.iter().filter(|(_, endpoint)| endpoint.counts.last >= first.0);
        let mut uids: Vec<EndpointUid> = known.map(|(uid, _)| *uid).collect();
        uids.sort_unstable();
        let mut wakes = Vec::with_capacity(uids.len());
        let mut events: HashMap<Seq, Option<Arc<StoredEvent>>> = HashMap::new();
        for endpoint in uids {
            let end = delivery_key(endpoint, Seq(u64::MAX));
            let mut found = Vec::new();
            for row in store.range(&store.deliveries, delivery_key(endpoint, first)..=end) {
                let Some((_, seq)) = split_delivery_key(&row?.0) else { continue };
                if let Entry::Vacant(new) = events.entry(seq) {
                    let record = store.get(&store.events, seq_key(seq))?;
                    new.insert(record.and_then(|record| decode_event(seq, &record)).map(Arc::new));
                }
                found.extend(events.get(&seq).cloned().flatten());
            }
            // What lies before them is not known here any more: whoever has not read them already is to look.
            wakes.push(Wake { endpoint, after: Some(first), events: found });
        }
        self.untold = self.totals.next_seq;
        if !wakes.is_empty() {
            (self.listener)(SpoolEvent::Committed(Committed { wakes }));
        }
        Ok(())
    }

    /// Closes the database, as soon as nobody reads from it any more.
    fn drop_store(&mut self) {
        self.shared.set_store(None);
        let Some(mut store) = self.store.take() else { return };
        let begun = self.clock.now();
        loop {
            match Arc::try_unwrap(store) {
                Ok(store) => return drop(store),
                Err(shared) if self.clock.now().saturating_duration_since(begun) < READERS => {
                    store = shared;
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Opening it will fail until the reader is done, and is tried again.
                Err(shared) => return drop(shared),
            }
        }
    }

    /// Writes and syncs all there is, and closes the store.
    pub(in crate::spool) fn close(mut self) {
        while let Ok(command) = self.commands.try_recv() {
            if !matches!(command, Command::Close { .. }) {
                self.take(command);
            }
        }
        self.commit();
        if self.failing.is_some() {
            self.recover();
        }
        let synced = match &self.store {
            Some(store) if self.failing.is_none() => store.end().map_err(|error| error.to_string()),
            _ => Err("it failed and could not be opened again".to_owned()),
        };
        self.drop_store();
        let closing = self.closing.take();
        // The folder's lock goes before the answer: whoever hears it may open the spool again.
        drop(self);
        if let Some(reply) = closing {
            let _ = reply.send(synced.map_err(SpoolError::Store));
        }
    }
}
