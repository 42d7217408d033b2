//! One commit, and what is said after it.

use super::{Answer, Cycle, Writer};
use crate::ids::EndpointUid;
use crate::spool::record::{Counts, endpoint_key};
use crate::spool::{Committed, SpoolEvent, Trouble, Wake};

impl Writer {
    /// Writes what was applied since the last commit and answers who waits for it.
    pub(super) fn commit(&mut self) {
        if self.failing.is_some() {
            return;
        }
        // What was decided without knowing what is there reaches no disk: what was said is applied again.
        if let Some(error) = self.unread.take() {
            self.fail("read", &error);
            return;
        }
        self.write_events();
        self.write_ages();
        self.write_history();
        // A lease alone, or what an endpoint says of rows that are gone, changes nothing on disk.
        if !self.cycle.batch.is_empty() {
            let endpoints = std::mem::take(&mut self.cycle.endpoints);
            for uid in &endpoints {
                let Some(counts) = self.endpoints.get(uid).map(|endpoint| endpoint.counts) else { continue };
                // An endpoint that has never had a delivery has no numbers; very many may have none.
                if counts != Counts::default() {
                    self.insert(|store| &store.counters, &endpoint_key(*uid), counts.encode());
                }
            }
            self.cycle.endpoints = endpoints;
            self.insert(|store| &store.meta, b"totals", self.totals.encode());
        }
        match self.write() {
            Ok(()) => self.committed(),
            Err(error) => self.fail("commit", &error),
        }
    }

    pub(super) fn write(&mut self) -> fjall::Result<()> {
        if self.cycle.batch.is_empty() {
            return Ok(());
        }
        let Some(store) = self.store.clone() else { return Err(fjall::Error::Poisoned) };
        #[cfg(test)]
        crate::spool::faults::check(&self.config.path)?;
        let begun = self.clock.now();
        store.write(&mut self.cycle.batch)?;
        if self.cycle.durable {
            // A kill cannot undo settlements any more: their slots need not wait for the disk.
            self.release();
            store.sync()?;
            let now = self.clock.now();
            self.meters.sync.record(now.saturating_duration_since(begun).as_secs_f64());
            self.unsynced_since = None;
        } else {
            self.unsynced_since.get_or_insert(begun);
        }
        Ok(())
    }

    /// Gives back the slots of the settlements that were written, and tells who waits for that.
    fn release(&mut self) {
        let mut wakes = Vec::new();
        for uid in &self.cycle.endpoints {
            let Some(endpoint) = self.endpoints.get_mut(uid) else { continue };
            let written = std::mem::take(&mut endpoint.written);
            let waits = endpoint.unwritten.as_ref().filter(|_| written > 0);
            if waits.is_some_and(|unwritten| unwritten.written(written)) {
                wakes.push(Wake { endpoint: *uid, after: None, events: Vec::new() });
            }
        }
        if !wakes.is_empty() {
            (self.listener)(SpoolEvent::Committed(Committed { wakes }));
        }
    }

    /// Syncs what was written without.
    pub(super) fn sync(&mut self) {
        let Some(store) = &self.store else { return };
        let begun = self.clock.now();
        match store.sync() {
            Ok(()) => {
                self.unsynced_since = None;
                self.meters.sync.record(self.clock.now().saturating_duration_since(begun).as_secs_f64());
            }
            Err(error) => self.fail("sync", &error),
        }
    }

    fn committed(&mut self) {
        let mut cycle = std::mem::take(&mut self.cycle);
        self.publish(&cycle.endpoints);
        self.untold = self.totals.next_seq;
        for (unwritten, count) in cycle.older.drain(..) {
            unwritten.written(count);
        }
        let mut wakes = Vec::new();
        for uid in &cycle.endpoints {
            let Some(endpoint) = self.endpoints.get_mut(uid) else { continue };
            endpoint.touched = false;
            let written = std::mem::take(&mut endpoint.written);
            let heard = written > 0
                && endpoint.unwritten.as_ref().is_some_and(|unwritten| unwritten.written(written));
            let events = std::mem::take(&mut endpoint.fresh);
            if events.is_empty() && !heard {
                if endpoint.is_blank() {
                    self.endpoints.remove(uid);
                }
                continue;
            }
            let after = endpoint.after.take();
            wakes.push(Wake { endpoint: *uid, after, events });
        }
        for (reply, lease) in cycle.leases.drain(..) {
            let _ = reply.send(Ok(lease));
        }
        for (reply, numbers) in cycle.numbers.drain(..) {
            let _ = reply.send(Ok(numbers));
        }
        for (reply, amended) in cycle.amendments.drain(..) {
            let _ = reply.send(Ok(amended));
        }
        if !wakes.is_empty() {
            (self.listener)(SpoolEvent::Committed(Committed { wakes }));
        }
        // After the deliveries: else those of a large commit would begin when the last of its answers is written.
        self.answer(std::mem::take(&mut cycle.answers));
        for (endpoint, seqs) in std::mem::take(&mut cycle.erased) {
            (self.listener)(SpoolEvent::Erased { endpoint, seqs });
        }
        for ((endpoint, reason), count) in std::mem::take(&mut cycle.died) {
            (self.listener)(SpoolEvent::Died { endpoint, reason, count });
        }
        self.cache.trim();
        self.cycle = recycled(cycle);
    }

    /// Tells those who posted. A reply sent from here wakes its request across threads, which costs more than all
    /// else about it: so the runtime is woken once, and hands the replies out on its own threads.
    fn answer(&self, answers: Vec<Answer>) {
        let tell = |answers: Vec<Answer>| {
            for answer in answers {
                let _ = answer.reply.send(Ok(answer.accepted));
                drop(answer.permit);
            }
        };
        match &self.runtime {
            Some(runtime) if answers.len() > 1 => drop(runtime.spawn(async move { tell(answers) })),
            _ => tell(answers),
        }
    }

    /// Shows everybody the numbers of these endpoints.
    fn publish(&self, endpoints: &[EndpointUid]) {
        self.shared.set_pending(self.totals.pending);
        if endpoints.is_empty() {
            return;
        }
        let seen = |uid: &EndpointUid| {
            let endpoint = self.endpoints.get(uid)?;
            Some((*uid, endpoint.epoch, endpoint.counts))
        };
        self.shared.see(endpoints.iter().filter_map(seen));
    }

    /// Shows everybody all numbers, and the store they come from.
    pub(super) fn publish_all(&self) {
        self.shared.set_pending(self.totals.pending);
        let seen = self.endpoints.iter();
        self.shared.see_all(seen.map(|(uid, endpoint)| (*uid, endpoint.epoch, endpoint.counts)));
        self.shared.set_store(self.store.clone());
    }

    /// Says why events cannot be taken, if that is so.
    pub(super) fn publish_trouble(&self) {
        let (reason, full) = match &self.failing {
            Some(refusal) => (refusal.to_string(), false),
            None if self.disk_full => ("the disk is full".to_owned(), false),
            None if self.totals.pending >= self.config.max_bytes => {
                ("max_bytes of undelivered work wait".to_owned(), true)
            }
            None => return self.shared.set_trouble(None),
        };
        self.shared.set_trouble(Some(Trouble { reason, full }));
    }
}

/// The buffers of a finished commit, empty, for the next one.
fn recycled(mut done: Cycle) -> Cycle {
    done.keys.clear();
    done.amended.clear();
    done.aside.clear();
    done.events.clear();
    done.endpoints.clear();
    done.said.clear();
    Cycle { durable: false, ..done }
}
