use super::AttemptPermit;
use super::actor::{EndpointMessage, EndpointState};
use super::attempt::{attempt, delivery};
use super::hold::Gate;
use crate::ids::Seq;
use crate::policy::Admission;
use ractor::ActorRef;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl EndpointState {
    /// Starts what may start, asks for what is missing, and arms the timer for what is due next. Called after every
    /// message: whatever changed, this is the one place that acts on it.
    pub(super) fn pump(&mut self, myself: &ActorRef<EndpointMessage>) {
        let now = self.now;
        self.window.wake_due(now);
        let blocked = self.start_attempts(myself, now);
        let expired = self.expire_held(now);
        self.feed(myself, now);
        if self.hold.draining && self.window.in_flight() == 0 {
            myself.stop(Some("drained".to_owned()));
        }
        let again = [self.window.next_due(), self.hold.invalid_until, self.hold.read_again];
        let again = again.into_iter().flatten().filter(|at| *at > now).min();
        let idle = self.retire_when_idle(now);
        if self.hold.invalid_until.is_some_and(|at| at <= now) {
            self.hold.invalid_until = None;
            self.revision += 1;
            self.build_sink(myself);
        }
        self.arm(myself, now, [blocked, expired, again, idle].into_iter().flatten().min());
        debug_assert!(cfg!(not(test)) || self.window.check());
        self.publish_condition(self.hold.condition(self.breaker.is_closed(), now));
    }

    /// Starts attempts until something keeps it from starting more; returns when to look again because of that.
    fn start_attempts(&mut self, myself: &ActorRef<EndpointMessage>, now: Instant) -> Option<Instant> {
        if self.sink.is_none() || self.lease.is_none() {
            return None;
        }
        loop {
            let most = match self.hold.gate(now) {
                Gate::Shut(until) => return until,
                Gate::OneAtATime => 1,
                Gate::Open => {
                    let concurrency = self.args.spec.delivery.concurrency.get();
                    self.breaker.slots(concurrency).min(self.slow_start.slots(concurrency))
                }
            };
            let flying = self.window.in_flight();
            // Those against a destination of before have slots, as many as there are; of what this one may have they
            // take nothing.
            if flying.saturating_sub(self.former) >= most || !self.may_be_repeated() {
                return None;
            }
            let probing = !self.breaker.is_closed();
            let seq = self.candidate(probing)?;
            if self.expire(seq) {
                continue;
            }
            // The first one is everybody's; what more there is, all share.
            let permit = if flying == 0 { None } else { self.args.limit.take(flying) };
            if flying > 0 && permit.is_none() {
                return None;
            }
            // Asked first: what it keeps from starting takes nothing of the rate.
            match self.breaker.shut(now) {
                Some(Admission::Until(until)) => return Some(until),
                Some(_) => return None,
                None => {}
            }
            if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.take(now, 1)) {
                return Some(now + wait);
            }
            let (admission, transition) = self.breaker.admit(now);
            self.count(transition);
            match admission {
                Admission::Go => self.start(myself, seq, false, permit),
                Admission::Probe => self.start(myself, seq, true, permit),
                Admission::Until(until) => return Some(until),
                Admission::Probing => return None,
            }
        }
    }

    /// Whether one more attempt still leaves no more to be repeated after a kill than there are slots. If not, the
    /// spool's next commit wakes us.
    fn may_be_repeated(&self) -> bool {
        let Some(lease) = &self.lease else { return false };
        let fits = || {
            let at_risk = self.window.in_flight() + lease.unwritten.count();
            at_risk < self.args.spec.delivery.concurrency.get()
        };
        if fits() {
            return true;
        }
        lease.unwritten.starve();
        fits()
    }

    /// The delivery to attempt: its body must be here.
    fn candidate(&self, probing: bool) -> Option<Seq> {
        let has_body = |seq: &Seq| self.held.get(seq).is_some_and(|held| held.event.is_some());
        if probing {
            return self.window.oldest().filter(has_body);
        }
        let slots = self.args.spec.delivery.concurrency.get();
        self.window.upcoming().take(slots * 2).find(has_body)
    }

    fn start(
        &mut self,
        myself: &ActorRef<EndpointMessage>,
        seq: Seq,
        probe: bool,
        permit: Option<AttemptPermit>,
    ) {
        let (Some(sink), Some(held)) = (self.sink.clone(), self.held.get(&seq)) else { return };
        let Some(event) = held.event.as_ref() else { return };
        let sending = {
            let keep_answer = self.args.spec.delivery.keep_answer;
            delivery(event, held.attempts + 1, keep_answer, &*self.args.chance)
        };
        self.window.start(seq);
        let (deadline, destination) = (self.args.spec.delivery.timeout, self.destination);
        let (clock, myself) = (Arc::clone(&self.args.clock), myself.clone());
        let tracked = self.args.attempts.token();
        self.tasks.spawn(async move {
            let attempt = attempt(&*sink, &sending, deadline, &*clock).await;
            drop((tracked, permit));
            drop(myself.cast(EndpointMessage::AttemptFinished { seq, probe, destination, attempt }));
        });
    }

    /// One timer, for whatever is due first. One that fires no later than that is left alone, whatever it was armed
    /// for: all it does is to have us look again, and then it is armed for what is due by then. So an endpoint that is
    /// idle after every event arms one a minute, not one an event.
    fn arm(&mut self, myself: &ActorRef<EndpointMessage>, now: Instant, due: Option<Instant>) {
        let Some(due) = due else { return };
        if self.timer.as_ref().is_some_and(|(armed, _)| *armed <= due) {
            return;
        }
        // Not at once: what is due and cannot be done yet must not keep us busy.
        let wait = due.saturating_duration_since(now).max(Duration::from_millis(1));
        let myself = myself.clone();
        #[expect(clippy::disallowed_methods, reason = "the handle aborts it when the state goes")]
        let handle = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            drop(myself.cast(EndpointMessage::TimerDue));
        });
        self.timer = Some((due, tokio_util::task::AbortOnDropHandle::new(handle)));
    }
}
