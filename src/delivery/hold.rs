use super::actor::{EndpointMessage, EndpointState};
use super::{Absent, Condition};
use crate::ids::EndpointUid;
use crate::policy::{TokenBucket, Transition};
use crate::spool::EndpointState as Remembered;
use crate::table::{EndpointSpec, Lifecycle};
use ractor::ActorRef;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why an endpoint may not send now, whatever is waiting. The breaker stands beside it.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) lifecycle: Lifecycle,
    pub(super) absent: Option<Absent>,
    pub(super) suspended: bool,
    pub(super) draining: bool,
    /// Told to wait until then.
    pub(super) wait_until: Option<Instant>,
    /// The address guard refused; one delivery looks again then.
    pub(super) blocked_until: Option<Instant>,
    /// The sink could not be built; tried again then.
    pub(super) invalid_until: Option<Instant>,
    /// The spool failed a read; tried again then.
    pub(super) read_again: Option<Instant>,
}

/// Whether attempts may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// One at a time, to look again at what was refused.
    OneAtATime,
    /// Not before that time, or (none) not before something happens.
    Shut(Option<Instant>),
}

impl Hold {
    /// A refused destination and a sink that cannot be built are looked at again after this.
    pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(60);
    /// The longest that a destination may ask to wait.
    pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);
    /// How long an endpoint is left alone at least whose destination answered a probe by asking to wait. A probe spends
    /// nothing: where the destination asks for no time at all, nothing else would keep the next one.
    pub(super) const SHORTEST_PROBE_WAIT: Duration = Duration::from_secs(1);

    pub(super) fn new(
        spec: &EndpointSpec,
        remembered: &Remembered,
        absent: Option<Absent>,
        now: Instant,
        now_ms: u64,
    ) -> Self {
        let left = remembered.wait_until_ms.and_then(|until| until.checked_sub(now_ms));
        Self {
            lifecycle: spec.lifecycle,
            absent,
            suspended: remembered.suspended.is_some_and(|(_, gone)| spec.fingerprint() == Some(gone)),
            draining: false,
            // Never longer than was asked for, whatever the clock did in between.
            wait_until: left
                .map(|ms| now + Duration::from_millis(ms.min(remembered.wait_ms)).min(Self::LONGEST_WAIT)),
            blocked_until: None,
            invalid_until: None,
            read_again: None,
        }
    }

    pub(super) fn gate(&self, now: Instant) -> Gate {
        if self.draining || self.absent.is_some() || self.suspended || self.lifecycle != Lifecycle::Active {
            return Gate::Shut(None);
        }
        if let Some(until) = self.wait_until.filter(|until| *until > now) {
            return Gate::Shut(Some(until));
        }
        match self.blocked_until {
            Some(until) if until > now => Gate::Shut(Some(until)),
            Some(_) => Gate::OneAtATime,
            None => Gate::Open,
        }
    }

    /// The word for it, the most lasting reason first.
    pub(super) fn condition(&self, breaker_closed: bool, now: Instant) -> Condition {
        if let Some(absent) = self.absent {
            return absent.into();
        }
        match self.lifecycle {
            Lifecycle::Draft => return Condition::Draft,
            Lifecycle::Paused => return Condition::Paused,
            Lifecycle::Active => {}
        }
        if self.suspended {
            Condition::Gone
        } else if self.invalid_until.is_some() {
            Condition::Invalid
        } else if self.blocked_until.is_some() {
            Condition::Blocked
        } else if self.wait_until.is_some_and(|until| until > now) {
            Condition::Waiting
        } else if !breaker_closed {
            Condition::Open
        } else {
            Condition::Active
        }
    }
}

impl EndpointState {
    /// Its file changed. What is in flight goes on as it began; everything after follows the new file.
    pub(super) fn on_reconfigure(&mut self, myself: &ActorRef<EndpointMessage>, spec: Arc<EndpointSpec>) {
        self.seen += 1;
        let old = std::mem::replace(&mut self.args.spec, spec);
        let spec = Arc::clone(&self.args.spec);
        let (was, is) = (&old.delivery, &spec.delivery);
        self.hold.lifecycle = spec.lifecycle;
        self.look_for_old();
        self.note_pause();
        self.hold.blocked_until = None;
        self.window.reorder(is.ordering);
        self.breaker.reconfigure(is.breaker.clone());
        if was.rate != is.rate {
            self.rate = is.rate.map(|rate| TokenBucket::new(rate, self.now));
        }
        let same_host = (was.connect_timeout, was.timeout, was.concurrency)
            == (is.connect_timeout, is.timeout, is.concurrency);
        if old.sink != spec.sink || !same_host || self.hold.invalid_until.is_some() {
            self.revision += 1;
            self.hold.invalid_until = None;
            self.build_sink(myself);
        }
        if old.fingerprint() != spec.fingerprint() {
            self.destination += 1;
            self.former = self.window.in_flight();
            self.forgive();
        }
    }

    pub(super) fn on_absent(&mut self, absent: Option<Absent>) {
        self.seen += 1;
        self.look_for_old();
        self.hold.absent = absent;
    }

    pub(super) fn on_resume(&mut self, myself: &ActorRef<EndpointMessage>) {
        self.seen += 1;
        self.forgive();
        if self.sink.is_none() {
            self.revision += 1;
            self.build_sink(myself);
        }
    }

    pub(super) fn on_drain(&mut self) {
        self.seen += 1;
        self.hold.draining = true;
    }

    /// What is held against the destination is forgotten: it is another one, or a person says so.
    fn forgive(&mut self) {
        self.hold.suspended = false;
        self.hold.wait_until = None;
        self.hold.blocked_until = None;
        let transition = self.breaker.reset();
        self.slow_start.restart();
        self.count(transition);
        if self.remembered.suspended.is_some() || self.remembered.wait_until_ms.is_some() {
            self.remembered =
                Remembered { suspended: None, wait_until_ms: None, wait_ms: 0, ..self.remembered };
            self.remember();
        }
    }

    /// While a person has paused it, its deliveries do not grow old.
    pub(super) fn note_pause(&mut self) {
        let paused = self.args.spec.lifecycle == Lifecycle::Paused;
        if self.remembered.pauses.set(paused, self.now_ms) {
            self.remember();
        }
    }

    /// How old a delivery is as far as `max_age` goes.
    pub(super) fn age(&self, accepted_ms: u64) -> Duration {
        Duration::from_millis(self.remembered.pauses.age_ms(accepted_ms, self.now_ms))
    }

    pub(super) fn remember(&self) {
        // Whether its file is missing is the router's to say, and may have changed since.
        let removed_ms = self.args.spool.endpoint_state(self.args.uid).removed_ms;
        let remembered = Remembered { removed_ms, ..self.remembered };
        self.args.spool.put_endpoint_state(self.args.uid, remembered);
    }

    pub(super) fn count(&self, transition: Option<Transition>) {
        let name = &self.args.spec.identity.name;
        match transition {
            None => {}
            Some(Transition::Opened(until)) => {
                let wait = until.saturating_duration_since(self.now);
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let probe_ms = self.now_ms.saturating_add(wait_ms);
                self.args.shared.set_probe_ms(Some(probe_ms));
                self.args.metrics.breaker("open");
                tracing::warn!(endpoint = %name, probe_in = ?wait, "failing: its deliveries are held, and it is probed");
            }
            Some(Transition::HalfOpened) => {
                self.args.shared.set_probe_ms(None);
                self.args.metrics.breaker("half_open");
            }
            Some(Transition::Closed) => {
                self.args.shared.set_probe_ms(None);
                self.args.metrics.breaker("closed");
                tracing::info!(endpoint = %name, "takes deliveries again");
            }
        }
    }

    /// Asks to be stopped after a quiet minute.
    pub(super) fn retire_when_idle(&mut self, now: Instant) -> Option<Instant> {
        const QUIET: Duration = Duration::from_secs(60);
        let idle = self.lease.is_some()
            && self.window.is_empty()
            && self.caught_up()
            && !self.reading
            && !self.fetching
            && self.breaker.is_closed()
            && self.hold.condition(true, now) == Condition::Active;
        if !idle {
            self.idle_since = None;
            return None;
        }
        let due = *self.idle_since.get_or_insert(now) + QUIET;
        if now < due {
            return Some(due);
        }
        let (uid, seen): (EndpointUid, u64) = (self.args.uid, self.seen);
        (self.args.retire)(uid, seen);
        self.idle_since = Some(now);
        Some(now + QUIET)
    }
}
