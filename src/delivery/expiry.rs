use super::actor::EndpointState;
use super::hold::Gate;
use crate::ids::Seq;
use crate::spool::DeadReason;
use crate::table::Lifecycle;
use std::time::{Duration, Instant};

/// Settlements are written within 100 ms.
const SOON: Duration = Duration::from_millis(200);

/// When something that is held grows too old.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// Not before this time. What is accepted later is younger, so it stays true whatever comes and goes.
    not_before: Option<Instant>,
    /// Something in the spool seems to be too old: it must be read, to be buried.
    overdue: bool,
}

impl EndpointState {
    /// What is held grows too old as well, except while a person has paused it, or its file may come back or be
    /// corrected. Returns when to look again.
    pub(super) fn expire_held(&mut self, now: Instant) -> Option<Instant> {
        let held = self.lease.is_some()
            && !self.hold.draining
            && self.hold.absent.is_none()
            && self.hold.lifecycle != Lifecycle::Paused;
        if !held || self.flows(now) {
            self.expiry.overdue = false;
            return None;
        }
        if let Some(at) = self.expiry.not_before.filter(|at| *at > now) {
            return Some(at);
        }
        while self.window.oldest().is_some_and(|seq| self.expire(seq)) {}
        // A settlement that is not written yet shows as one that waits, and what is overdue may have to be read first.
        let oldest = self.args.spool.backlog(self.args.uid).and_then(|backlog| backlog.oldest_ms);
        let age = oldest.map_or(Duration::ZERO, |accepted_ms| self.age(accepted_ms));
        let left = self.args.spec.delivery.retry.max_age.checked_sub(age);
        self.expiry.overdue = left.is_none();
        self.expiry.not_before = left.map(|left| now + left + Duration::from_millis(1));
        self.expiry.not_before.or(Some(now + SOON))
    }

    /// Whether something that is held must be read because it may be too old.
    pub(super) const fn overdue(&self) -> bool {
        self.expiry.overdue
    }

    /// Other settings, other times.
    pub(super) fn look_for_old(&mut self) {
        self.expiry = Expiry::default();
    }

    /// Whether nothing but their turn and their schedule keeps its deliveries.
    fn flows(&self, now: Instant) -> bool {
        self.sink.is_some() && self.hold.gate(now) == Gate::Open && self.breaker.is_closed()
    }

    /// A delivery older than `max_age` is dead.
    pub(super) fn expire(&mut self, seq: Seq) -> bool {
        let Some(held) = self.held.get(&seq) else { return false };
        let Some(event) = &held.event else { return false };
        if self.age(event.accepted_ms) <= self.args.spec.delivery.retry.max_age {
            return false;
        }
        self.window.start(seq);
        self.bury(seq, DeadReason::Expired, "older than max_age", None);
        true
    }
}
