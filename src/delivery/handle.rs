use super::{Absent, EndpointMessage, EndpointShared};
use crate::ids::Generation;
use crate::spool::Wake;
use crate::table::EndpointSpec;
use ractor::{ActorId, ActorRef};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::task::TaskTracker;

/// How the router reaches an endpoint's actor.
pub struct EndpointHandle {
    actor: ActorRef<EndpointMessage>,
    shared: Arc<EndpointShared>,
    attempts: TaskTracker,
    /// Messages sent; an actor may retire only when it has seen all of them.
    sent: u64,
}

impl EndpointHandle {
    /// Deliveries with bodies that may wait in a mailbox; what is more is read from the spool.
    pub const CREDIT: usize = 1024;

    /// Wraps an actor that was started now. `attempts` tracks its attempts.
    #[must_use]
    pub fn new(actor: ActorRef<EndpointMessage>, shared: Arc<EndpointShared>, attempts: TaskTracker) -> Self {
        // What the one before had in its mailbox went with it.
        shared.mailbox().store(0, Ordering::SeqCst);
        Self { actor, shared, attempts, sent: 0 }
    }

    /// Which actor.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Tracks the attempts of this incarnation: the next one waits for their end.
    #[must_use]
    pub const fn attempts(&self) -> &TaskTracker {
        &self.attempts
    }

    /// Whether it was sent nothing beyond the first `seen` messages.
    #[must_use]
    pub const fn has_seen_all(&self, seen: u64) -> bool {
        self.sent == seen
    }

    /// Tells it what is new: with the bodies while it has credit, else only that there is something.
    pub fn wake(&mut self, wake: Wake) {
        let count = wake.events.len();
        let Some(last) = wake.events.last().map(|event| event.seq) else {
            self.send(EndpointMessage::Wake(wake));
            return;
        };
        if self.shared.mailbox().load(Ordering::SeqCst) + count <= Self::CREDIT {
            self.shared.mailbox().fetch_add(count, Ordering::SeqCst);
            self.send(EndpointMessage::Wake(wake));
        } else {
            self.shared.miss(last);
            // Looked at after that: it may have taken up the last one meanwhile, and not have seen what it missed.
            if self.shared.mailbox().load(Ordering::SeqCst) == 0 {
                self.send(EndpointMessage::Missed);
            }
        }
    }

    /// Puts what its file says now in force.
    pub fn reconfigure(&mut self, spec: Arc<EndpointSpec>, generation: Generation) {
        self.send(EndpointMessage::Reconfigure { spec, generation });
    }

    /// It has no version to run any more, and why; or (none) it has one again.
    pub fn set_absent(&mut self, absent: Option<Absent>) {
        self.send(EndpointMessage::SetAbsent(absent));
    }

    /// A person wants it tried again at once: clears a suspension, a wait, a block and the breaker.
    pub fn resume(&mut self) {
        self.send(EndpointMessage::Resume);
    }

    /// Starts nothing any more, and stops when what is in flight has ended.
    pub fn drain(&mut self) {
        self.send(EndpointMessage::Drain);
    }

    /// Asks or tells it something that is no work: it may retire without having heard it.
    pub fn tell(&self, message: EndpointMessage) {
        drop(self.actor.cast(message));
    }

    /// Stops it now: what is in flight is dropped and will be repeated.
    pub fn stop(&self, reason: &str) {
        self.actor.stop(Some(reason.to_owned()));
    }

    /// A message that cannot be sent has met an actor that just died: the supervision event is under way, and
    /// everything that matters is in the spool.
    pub(super) fn send(&mut self, message: EndpointMessage) {
        self.sent += 1;
        drop(self.actor.cast(message));
    }

    /// Makes the actor panic at its next message.
    #[cfg(test)]
    pub(crate) fn crash(&mut self) {
        self.send(EndpointMessage::Crash);
    }
}
