//! What an endpoint takes in from its mailbox and from the spool, and which bodies it holds.
//!
//! - It reads while its window has room and it holds less than [`MOST_BYTES`] of bodies. What waits for a retry, its own
//!   or that of one before it, takes no room, and of the bytes [`MOST_WAITING`]: it never keeps others from being read.
//! - What is parked lets its body go at once. What is behind it keeps its own as far as they fit; of those that do not,
//!   the last go first. While nothing can be sent none has to go: the oldest is there to probe with, and would only be
//!   fetched again.
//! - A body that was let go is fetched when its turn comes. If it was never attempted, something before it has just gone
//!   through, and it brings the next few behind it along. What has failed comes alone: it may fail again.
//! - With the order of the whole endpoint, what has failed and is not through stops all. Nothing is taken in behind it.
//!
//! So memory is bounded by twice [`MOST_BYTES`], as a read may bring as much again, and a few bodies that were fetched.

use super::actor::{EndpointMessage, EndpointState, Held};
use super::hold::{Gate, Hold};
use crate::ids::Seq;
use crate::policy::Room;
use crate::spool::{Lease, Parked, Pending, ReadLimit, SpoolError, StoredEvent, Wake};
use ractor::ActorRef;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Deliveries in the window for every slot: enough to keep the slots busy while the next are read.
const DEPTH: usize = 16;
/// Never fewer than these.
const SHALLOWEST: usize = 256;
/// Bytes of bodies one endpoint holds, beyond the first.
const MOST_BYTES: usize = 1 << 20;
/// How many of these may be bodies of what waits for a retry.
const MOST_WAITING: usize = MOST_BYTES / 2;
/// Bodies that are fetched with that of the one before them.
const AHEAD: usize = 16;

impl EndpointState {
    /// The lease is here: the parked ones first, since they decide what may not pass.
    pub(super) fn on_booted(&mut self, (lease, parked): (Lease, Vec<Parked>)) {
        self.lease = Some(lease);
        let longest = self.args.spec.delivery.retry.schedule.iter().max().copied().unwrap_or_default() * 2;
        for Parked { seq, key, due_ms, wait_ms, attempts } in parked {
            // Never longer than was said, nor than the schedule or the destination could have said, whatever the clock
            // did in between.
            let left = Duration::from_millis(due_ms.saturating_sub(self.now_ms).min(wait_ms))
                .min(longest.max(Hold::LONGEST_WAIT));
            self.window.add(seq, key, Some(self.now + left));
            self.held.insert(seq, Held { event: None, attempts });
            self.bodiless += 1;
        }
    }

    /// Whether nothing waits in the spool beyond what was taken in.
    pub(super) fn caught_up(&self) -> bool {
        let missed = self.args.shared.missed();
        !self.more_stored && missed.is_none_or(|missed| self.cursor.is_some_and(|cursor| cursor >= missed))
    }

    pub(super) fn on_wake(&mut self, wake: Wake) {
        self.seen += 1;
        let Some(last) = wake.events.last().map(|event| event.seq) else { return };
        self.args.shared.mailbox().fetch_sub(wake.events.len(), Ordering::SeqCst);
        let gapless = self.lease.is_some()
            && !self.reading
            && self.caught_up()
            && wake.after.is_none_or(|after| self.cursor >= Some(after));
        let wanted = gapless
            && self.hold.gate(self.now) == Gate::Open
            && self.breaker.is_closed()
            && self.has_room(wake.events.len());
        if !wanted {
            self.args.shared.miss(last);
            return;
        }
        for event in wake.events {
            // A read sees a commit before it is announced: this one may have come and gone already.
            if self.cursor < Some(event.seq) {
                self.take_in(event);
            }
        }
    }

    pub(super) fn on_read(
        &mut self,
        target: Option<Seq>,
        asked: usize,
        result: Result<Vec<Pending>, SpoolError>,
    ) -> Result<(), SpoolError> {
        self.reading = false;
        let Some(read) = self.unless_failing(result)? else { return Ok(()) };
        let complete = read.len() < asked;
        self.more_stored = !complete;
        for pending in read {
            if self.erased.contains(&pending.event.seq) {
                self.cursor = self.cursor.max(Some(pending.event.seq));
                continue;
            }
            match pending.parked {
                Some(_) => self.cursor = self.cursor.max(Some(pending.event.seq)),
                None => self.take_in(pending.event),
            }
        }
        self.erased.clear();
        if complete {
            // There is nothing more up to what was missed by then.
            self.cursor = self.cursor.max(target);
        }
        Ok(())
    }

    pub(super) fn on_fetched(
        &mut self,
        asked: &[Seq],
        result: Result<Vec<Pending>, SpoolError>,
    ) -> Result<(), SpoolError> {
        self.fetching = false;
        let Some(fetched) = self.unless_failing(result)? else { return Ok(()) };
        for pending in &fetched {
            if let Some(held) = self.held.get_mut(&pending.event.seq)
                && held.event.replace(Arc::clone(&pending.event)).is_none()
            {
                self.window.weigh(pending.event.seq, pending.event.body.len());
                self.bodiless = self.bodiless.saturating_sub(1);
            }
        }
        for seq in asked {
            if !fetched.iter().any(|pending| pending.event.seq == *seq) {
                // It was settled without us: by a budget, or it could not be read any more.
                self.let_go(*seq);
                self.window.settle(*seq);
            }
        }
        Ok(())
    }

    /// Reads more when there is room, and the bodies that are wanted next.
    pub(super) fn feed(&mut self, myself: &ActorRef<EndpointMessage>, now: Instant) {
        if self.window.waiting_bytes() > MOST_WAITING && self.sends() {
            self.drop_waiting();
        }
        let Some(lease) = &self.lease else { return };
        if self.hold.read_again.is_some_and(|again| again > now) || self.hold.draining {
            return;
        }
        let probing = !self.breaker.is_closed();
        // Half a window at a time: a read of a few costs as much as one of many. What takes the other half is attempted,
        // and then it is settled or parked: so it comes to that, however many are parked.
        let Room { slots: room, most } = self.window.room(self.slots_held());
        let room = if room * 2 >= most { room } else { 0 };
        // While it may not send, one delivery is enough to probe with.
        let wanted = if probing && !self.window.is_empty() { 0 } else { room };
        if let Some(count) = NonZeroUsize::new(wanted)
            .filter(|_| !self.reading && !self.caught_up() && self.takes_more() && self.may_be_wanted())
        {
            self.reading = true;
            let target = self.args.shared.missed();
            let limit = ReadLimit { count, bytes: MOST_BYTES };
            let read = self.args.spool.read(lease, self.cursor, limit);
            let myself = myself.clone();
            self.tasks.spawn(async move {
                let result = read.await;
                // A read that ended by its bytes says nothing about what comes after.
                let bytes: usize = result.iter().flatten().map(|pending| pending.event.body.len()).sum();
                let asked = if bytes >= MOST_BYTES { 0 } else { count.get() };
                drop(myself.cast(EndpointMessage::ReadFinished { target, asked, result }));
            });
        }
        let missing = if self.fetching { Vec::new() } else { self.missing() };
        if !missing.is_empty() {
            self.fetching = true;
            let fetch = self.args.spool.fetch(lease, missing.clone());
            let myself = myself.clone();
            self.tasks.spawn(async move {
                let result = fetch.await;
                drop(myself.cast(EndpointMessage::Fetched { asked: missing, result }));
            });
        }
    }

    /// Lets the body go; it is read again when it is wanted.
    pub(super) fn drop_body(&mut self, seq: Seq) {
        if self.held.get_mut(&seq).is_some_and(|held| held.event.take().is_some()) {
            self.window.weigh(seq, 0);
            self.bodiless += 1;
        }
    }

    /// Lets bodies of what waits go, so many that the next few which begin to wait are no reason to look for more.
    fn drop_waiting(&mut self) {
        let waiting: Vec<Seq> = self.window.waiting_bodies().collect();
        for seq in waiting {
            if self.window.waiting_bytes() <= MOST_WAITING / 2 {
                break;
            }
            self.drop_body(seq);
        }
    }

    /// These are gone: what is not in flight is not attempted any more, and what is leaves no trace.
    pub(super) fn forget(&mut self, seqs: Vec<Seq>) {
        let flying: HashSet<Seq> = self.window.flying().collect();
        for seq in seqs {
            if self.reading {
                self.erased.insert(seq);
            }
            if !flying.contains(&seq) {
                self.window.settle(seq);
                self.let_go(seq);
            }
        }
    }

    /// Forgets a delivery. Its body goes out of the count as the window settles it.
    pub(super) fn let_go(&mut self, seq: Seq) -> Option<Held> {
        let held = self.held.remove(&seq)?;
        if held.event.is_none() {
            self.bodiless = self.bodiless.saturating_sub(1);
        }
        Some(held)
    }

    fn take_in(&mut self, event: Arc<StoredEvent>) {
        let seq = event.seq;
        self.cursor = self.cursor.max(Some(seq));
        if self.window.add_with_body(seq, event.key(), event.body.len()) {
            self.held.insert(seq, Held { event: Some(event), attempts: 0 });
            if self.window.waiting_bytes() > MOST_WAITING && self.window.is_blocked(seq) {
                self.drop_body(seq);
            }
        }
    }

    /// The deliveries to attempt next whose bodies are not here.
    fn missing(&self) -> Vec<Seq> {
        if self.bodiless == 0 {
            return Vec::new();
        }
        if !self.sends() {
            return self.probe_body();
        }
        let slots = self.args.spec.delivery.concurrency.get();
        let lacking = |seq: &Seq| self.held.get(seq).is_some_and(|held| held.event.is_none());
        let mut missing: Vec<Seq> =
            self.window.upcoming().take(slots * 2).filter(lacking).take(slots).collect();
        if self.window.bytes() < MOST_BYTES {
            let untried = |seq: &Seq| self.held.get(seq).is_some_and(|held| held.attempts == 0);
            let firsts = missing.iter().copied().filter(untried);
            let next = firsts.flat_map(|seq| self.window.behind(seq).take(AHEAD));
            let next: Vec<Seq> = next.filter(lacking).take(AHEAD).collect();
            missing.extend(next);
        }
        missing
    }

    fn probe_body(&self) -> Vec<Seq> {
        let oldest = self.window.oldest().filter(|_| self.may_be_wanted());
        oldest.filter(|seq| self.held.get(seq).is_some_and(|held| held.event.is_none())).into_iter().collect()
    }

    /// Whether deliveries are sent, each in its turn. With the gate open for one, that one is the next, as with an open
    /// gate.
    fn sends(&self) -> bool {
        let shut = matches!(self.hold.gate(self.now), Gate::Shut(_));
        self.sink.is_some() && !shut && self.breaker.is_closed()
    }

    /// Whether something may be done with a delivery as things stand: sent, or buried.
    fn may_be_wanted(&self) -> bool {
        self.hold.gate(self.now) != Gate::Shut(None) || self.overdue()
    }

    fn slots_held(&self) -> usize {
        (self.args.spec.delivery.concurrency.get() * DEPTH).max(SHALLOWEST)
    }

    fn has_room(&self, count: usize) -> bool {
        self.window.room(self.slots_held()).slots >= count && self.takes_more()
    }

    /// Whether it may hold more bodies, and what is taken in now need not wait for one that has failed.
    fn takes_more(&self) -> bool {
        self.window.bytes() < MOST_BYTES && !self.stopped()
    }

    /// Whether all that is not taken in yet could only wait for the first, which has failed. Not so before what was
    /// parked at the start is reached: what lies between comes first.
    fn stopped(&self) -> bool {
        let failed = |seq: Seq| self.held.get(&seq).is_some_and(|held| held.attempts > 0);
        let in_order = self.args.spec.delivery.ordering == crate::policy::Ordering::Endpoint;
        in_order && self.window.span().is_some_and(|(first, last)| self.cursor >= Some(last) && failed(first))
    }

    /// A store that fails is asked again a second later; a lease that was taken over ends this actor.
    fn unless_failing<T>(&mut self, result: Result<T, SpoolError>) -> Result<Option<T>, SpoolError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(SpoolError::Store(reason)) => {
                tracing::warn!(endpoint = %self.args.spec.identity.name, %reason, "cannot read the spool");
                self.hold.read_again = Some(self.now + Duration::from_secs(1));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
