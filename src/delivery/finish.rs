use super::actor::EndpointState;
use super::attempt::Attempt;
use super::hold::Hold;
use crate::ids::Seq;
use crate::policy::{Probe, Transition};
use crate::spool::{DeadReason, HistoryNote, Parked, Settlement, Steps};
use postrider_sink::{FailureClass, Outcome, Verdict, Wait};
use std::sync::Arc;
use std::time::Duration;

impl EndpointState {
    /// An attempt ended: what it means for the delivery, and what for the endpoint.
    pub(super) fn on_attempt(&mut self, seq: Seq, probe: bool, destination: u64, attempt: &Attempt) {
        let Outcome { verdict, reason } = &attempt.outcome;
        let result = match *verdict {
            Verdict::Delivered => Some(Ok(())),
            Verdict::Failed { class, .. } => Some(Err(class)),
            Verdict::Suspend | Verdict::Reject => Some(Err(refusal(attempt))),
            Verdict::Blocked => None,
        };
        if let Some(result) = result {
            self.args.metrics.attempt(result, attempt.took);
        }
        // How the destination of before fares says nothing about the one of now.
        let current = destination == self.destination;
        if current {
            self.learn(probe, &attempt.outcome);
        } else {
            self.former = self.former.saturating_sub(1);
        }
        match *verdict {
            Verdict::Delivered => self.deliver(seq, attempt),
            Verdict::Failed { .. } if probe => self.probed(seq, attempt),
            Verdict::Failed { wait, .. } => {
                let wait = if current { bounded(wait) } else { Wait::None };
                self.retry(seq, wait, attempt);
            }
            Verdict::Suspend if current => self.bury(seq, DeadReason::Gone, reason, Some(attempt)),
            Verdict::Reject => self.bury(seq, DeadReason::Rejected, reason, Some(attempt)),
            // Nothing was sent, or what is gone is the destination of before: the delivery is as it was.
            Verdict::Suspend | Verdict::Blocked => self.window.release(seq),
        }
    }

    /// What an attempt says about the endpoint.
    fn learn(&mut self, probe: bool, outcome: &Outcome) {
        match outcome.verdict {
            Verdict::Delivered => self.judge(probe, Some(true), Probe::Succeeded),
            Verdict::Failed { breaker, wait, .. } => {
                let wait = bounded(wait);
                let told_to_wait = matches!(wait, Wait::Endpoint(_));
                // A failure about this event only still shows that the endpoint answers.
                let finding = match (breaker, told_to_wait) {
                    (true, _) => Probe::Failed,
                    (false, true) => Probe::Inconclusive,
                    (false, false) => Probe::Succeeded,
                };
                self.judge(probe, breaker.then_some(false), finding);
                match wait {
                    Wait::Endpoint(asked) if probe => self.wait(asked.max(Hold::SHORTEST_PROBE_WAIT)),
                    Wait::Endpoint(asked) => self.wait(asked),
                    Wait::None | Wait::Delivery(_) => {}
                }
            }
            Verdict::Suspend => {
                self.judge(probe, None, Probe::Inconclusive);
                self.suspend();
            }
            Verdict::Reject => self.judge(probe, None, Probe::Succeeded),
            Verdict::Blocked => {
                self.judge(probe, None, Probe::Inconclusive);
                return self.block(&outcome.reason);
            }
        }
        self.hold.blocked_until = None;
        if outcome.verdict != Verdict::Delivered {
            self.problem(&outcome.reason);
        }
    }

    /// Ends a delivery that is in flight as dead.
    pub(super) fn bury(&mut self, seq: Seq, reason: DeadReason, text: &str, attempt: Option<&Attempt>) {
        self.args.metrics.dead(reason.as_str());
        self.settle(seq, Err(reason), text, attempt);
    }

    /// Nothing was sent: the endpoint is looked at again in a minute.
    fn block(&mut self, reason: &str) {
        if self.hold.blocked_until.is_none() {
            let name = &self.args.spec.identity.name;
            tracing::warn!(endpoint = %name, %reason, "blocked: its deliveries are held");
        }
        self.problem(reason);
        self.hold.blocked_until = Some(self.now + Hold::LOOK_AGAIN);
    }

    fn judge(&mut self, probe: bool, counted: Option<bool>, finding: Probe) {
        let transition = if probe {
            self.breaker.probed(finding, self.now)
        } else {
            counted.and_then(|success| self.breaker.record(success, self.now))
        };
        let concurrency = self.args.spec.delivery.concurrency.get();
        match (transition, counted) {
            (Some(Transition::Closed), _) => self.slow_start.restart(),
            (_, Some(true)) if !probe => self.slow_start.succeeded(concurrency),
            (_, Some(false)) => self.slow_start.failed(concurrency),
            _ => {}
        }
        self.count(transition);
    }

    fn deliver(&mut self, seq: Seq, attempt: &Attempt) {
        let accepted = self.held.get(&seq).and_then(|held| Some(held.event.as_ref()?.accepted_ms));
        let age = self.now_ms.saturating_sub(accepted.unwrap_or_default());
        self.args.metrics.delivered(Duration::from_millis(age));
        self.settle(seq, Ok(()), "", Some(attempt));
    }

    fn settle(&mut self, seq: Seq, result: Result<(), DeadReason>, text: &str, attempt: Option<&Attempt>) {
        self.window.settle(seq);
        let spent = self.let_go(seq).map_or(0, |held| held.attempts);
        let Some(lease) = &self.lease else { return };
        let note = self.note(spent + u32::from(attempt.is_some()), text, attempt);
        let next = self.cursor.map_or(Seq(0), |cursor| Seq(cursor.0.saturating_add(1)));
        let low = self.window.low(next);
        self.args.spool.settle(lease, seq, Settlement { result, note, low });
    }

    /// What history keeps of an attempt.
    fn note(&self, attempts: u32, text: &str, attempt: Option<&Attempt>) -> HistoryNote {
        let us = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let times = attempt.map(|attempt| attempt.timings).unwrap_or_default();
        HistoryNote {
            attempts,
            ended_ms: self.now_ms,
            took_us: attempt.map_or(0, |attempt| us(attempt.took)),
            steps: Steps {
                dns_us: times.dns.map(us),
                connect_us: times.connect.map(us),
                tls_us: times.tls.map(us),
                wait_us: times.wait.map(us),
            },
            status: times.status,
            class: attempt.and_then(|attempt| match attempt.outcome.verdict {
                Verdict::Failed { class, .. } => Some(class),
                Verdict::Suspend | Verdict::Reject => Some(refusal(attempt)),
                Verdict::Delivered | Verdict::Blocked => None,
            }),
            answer: attempt.and_then(|attempt| attempt.answer.clone()),
            reason: if text.is_empty() { Arc::clone(&self.nothing) } else { text.into() },
            generation: self.args.generation,
        }
    }

    /// A probe failed: it spends no attempt, and still leaves its record.
    fn probed(&mut self, seq: Seq, attempt: &Attempt) {
        self.window.release(seq);
        let spent = self.held.get(&seq).map_or(0, |held| held.attempts);
        let note = self.note(spent + 1, &attempt.outcome.reason, Some(attempt));
        if let Some(lease) = &self.lease {
            self.args.spool.tried(lease, seq, note);
        }
    }

    fn retry(&mut self, seq: Seq, wait: Wait, attempt: &Attempt) {
        let Some(held) = self.held.get(&seq) else { return };
        let Some(event) = held.event.clone() else { return };
        let age = self.age(event.accepted_ms);
        let Some(held) = self.held.get_mut(&seq) else { return };
        let retry = &self.args.spec.delivery.retry;
        let attempts = held.attempts + 1;
        let Some(scheduled) = retry.wait_after(attempts, self.args.chance.draw()) else {
            return self.bury(seq, DeadReason::Exhausted, &attempt.outcome.reason, Some(attempt));
        };
        held.attempts = attempts;
        let asked = match wait {
            Wait::None => Duration::ZERO,
            Wait::Delivery(wait) | Wait::Endpoint(wait) => wait,
        };
        // At the latest when it is too old: then it is looked at once more, and is dead.
        let left = retry.max_age.saturating_sub(age) + Duration::from_millis(1);
        let wait = scheduled.max(asked).min(left);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let due_ms = self.now_ms.saturating_add(wait_ms);
        let note = self.note(attempts, &attempt.outcome.reason, Some(attempt));
        if let Some(lease) = &self.lease {
            let parked = Parked { seq, key: event.key(), due_ms, wait_ms, attempts };
            self.args.spool.park(lease, parked, note);
        }
        self.args.metrics.retry_scheduled();
        self.window.park(seq, self.now + wait);
        self.drop_body(seq);
    }

    /// The destination asked the whole endpoint to wait.
    fn wait(&mut self, wait: Duration) {
        let until = self.now + wait;
        if self.hold.wait_until.is_some_and(|earlier| earlier >= until) {
            return;
        }
        self.hold.wait_until = Some(until);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.now_ms.saturating_add(wait_ms);
        (self.remembered.wait_until_ms, self.remembered.wait_ms) = (Some(until_ms), wait_ms);
        self.remember();
        tracing::info!(endpoint = %self.args.spec.identity.name, ?wait, "told to wait: its deliveries are held");
    }

    /// The destination is gone: until a person acts, or it is another one.
    fn suspend(&mut self) {
        self.hold.suspended = true;
        let fingerprint = self.args.spec.fingerprint().unwrap_or_default();
        self.remembered.suspended = Some((self.now_ms, fingerprint));
        self.remember();
        tracing::warn!(endpoint = %self.args.spec.identity.name, "gone (410): its deliveries are held until it is resumed or its destination changes");
    }
}

/// What kind of failure it is when the destination will not have it: only some of them speak HTTP.
const fn refusal(attempt: &Attempt) -> FailureClass {
    match attempt.timings.status {
        Some(_) => FailureClass::HttpError,
        None => FailureClass::SinkError,
    }
}

/// A sink of somebody else's may ask for anything.
fn bounded(wait: Wait) -> Wait {
    match wait {
        Wait::None => Wait::None,
        Wait::Delivery(wait) => Wait::Delivery(wait.min(Hold::LONGEST_WAIT)),
        Wait::Endpoint(wait) => Wait::Endpoint(wait.min(Hold::LONGEST_WAIT)),
    }
}
