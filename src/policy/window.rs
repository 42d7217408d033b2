use super::Ordering;
use crate::ids::{MessageKey, Seq};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// The deliveries of one endpoint that are in its actor's hands, and which of them may be attempted.
///
/// Deliveries that must keep an order share a queue; only the head of a queue may be attempted or wait for its
/// retry, the others are *behind* it. A parked delivery holds no slot, nor does what is behind it, so that one
/// failing message never keeps the endpoint from the others; both are bounded on their own.
///
/// What always holds is in [`Window::check`].
#[derive(Debug)]
pub struct Window {
    ordering: Ordering,
    items: BTreeMap<Seq, Item>,
    queues: HashMap<MessageKey, VecDeque<Seq>>,
    ready: BTreeSet<Seq>,
    dues: BTreeSet<(Instant, Seq)>,
    in_flight: usize,
    /// Items behind a head that is parked.
    blocked: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    key: MessageKey,
    state: State,
    /// When its next attempt is due, once one was spent.
    due: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Behind,
    InFlight,
    Parked,
}

/// How much more may be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Slots of deliveries that may be attempted soon.
    pub slots: usize,
}

impl Window {
    /// Deliveries of one endpoint that may be parked at once; it takes no more until some settle.
    pub const MOST_PARKED: usize = 10_000;
    /// Deliveries that may be kept behind parked ones. Only their numbers are kept, not their bodies.
    pub const MOST_BLOCKED: usize = 10_000;

    /// An empty one.
    #[must_use]
    pub fn new(ordering: Ordering) -> Self {
        Self {
            ordering,
            items: BTreeMap::new(),
            queues: HashMap::new(),
            ready: BTreeSet::new(),
            dues: BTreeSet::new(),
            in_flight: 0,
            blocked: 0,
        }
    }

    /// How many more it takes when `slots` are allowed.
    #[must_use]
    pub fn room(&self, slots: usize) -> Room {
        let parked = self.dues.len();
        if parked >= Self::MOST_PARKED || self.blocked >= Self::MOST_BLOCKED {
            return Room { slots: 0 };
        }
        let held = self.items.len().saturating_sub(parked + self.blocked);
        // Whatever is held may be parked in the end.
        Room { slots: slots.min(Self::MOST_PARKED - parked).saturating_sub(held) }
    }

    /// Whether it has nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether it has this one.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.items.contains_key(&seq)
    }

    /// Attempts under way.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The first delivery that is not settled.
    #[must_use]
    pub fn low(&self) -> Option<Seq> {
        self.items.keys().next().copied()
    }

    /// Takes a delivery in; `due` says when a parked one is to be tried again. One that it has is left alone.
    pub fn add(&mut self, seq: Seq, key: MessageKey, due: Option<Instant>) {
        if self.items.contains_key(&seq) {
            return;
        }
        let state = if self.enqueue(seq, key) { State::Ready } else { State::Behind };
        self.items.insert(seq, Item { key, state: State::Behind, due });
        if state == State::Ready {
            self.activate(seq);
        } else if self.head_is_parked(key) {
            self.blocked += 1;
        }
    }

    /// The next delivery to attempt.
    #[must_use]
    pub fn next(&self) -> Option<Seq> {
        self.ready.first().copied()
    }

    /// Those to attempt next, in order.
    pub fn upcoming(&self) -> impl Iterator<Item = Seq> + '_ {
        self.ready.iter().copied()
    }

    /// The oldest delivery that could be attempted, due or not: the one to probe with.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.items
            .iter()
            .find(|(_, item)| matches!(item.state, State::Ready | State::Parked))
            .map(|(seq, _)| *seq)
    }

    /// An attempt of it starts.
    pub fn start(&mut self, seq: Seq) {
        if !matches!(self.state(seq), Some(State::Ready | State::Parked)) {
            return;
        }
        self.deactivate(seq);
        self.set(seq, State::InFlight);
        self.in_flight += 1;
    }

    /// The attempt ended without a result that counts: it is as it was before.
    pub fn release(&mut self, seq: Seq) {
        if self.state(seq) == Some(State::InFlight) {
            self.land(seq);
        }
    }

    /// The attempt failed; the next one is due then.
    pub fn park(&mut self, seq: Seq, due: Instant) {
        if self.state(seq) != Some(State::InFlight) {
            return;
        }
        if let Some(item) = self.items.get_mut(&seq) {
            item.due = Some(due);
        }
        self.land(seq);
    }

    /// Those whose attempts are under way.
    pub fn flying(&self) -> impl Iterator<Item = Seq> + '_ {
        self.items.iter().filter(|(_, item)| item.state == State::InFlight).map(|(seq, _)| *seq)
    }

    /// It is due now, whatever was said before. False: it does not wait for a retry.
    pub fn hasten(&mut self, seq: Seq) -> bool {
        if self.state(seq) != Some(State::Parked) {
            return false;
        }
        self.deactivate(seq);
        if let Some(item) = self.items.get_mut(&seq) {
            item.due = None;
        }
        self.activate(seq);
        true
    }

    /// It is settled: the one behind it moves up.
    pub fn settle(&mut self, seq: Seq) {
        let Some(item) = self.items.get(&seq).copied() else { return };
        match item.state {
            State::InFlight => self.in_flight -= 1,
            State::Ready | State::Parked => self.deactivate(seq),
            State::Behind => self.blocked -= usize::from(self.head_is_parked(item.key)),
        }
        self.items.remove(&seq);
        let Some(queue) = self.queues.get_mut(&Self::queue_key(self.ordering, item.key)) else { return };
        let was_head = queue.front() == Some(&seq);
        queue.retain(|queued| *queued != seq);
        let head = queue.front().copied();
        if head.is_none() {
            self.queues.remove(&Self::queue_key(self.ordering, item.key));
        }
        if let Some(head) = head.filter(|head| was_head && self.state(*head) == Some(State::Behind)) {
            self.activate(head);
        }
    }

    /// Makes ready what is due.
    pub fn wake_due(&mut self, now: Instant) {
        while let Some((due, seq)) = self.dues.first().copied().filter(|(due, _)| *due <= now) {
            debug_assert!(due <= now);
            self.deactivate(seq);
            if let Some(item) = self.items.get_mut(&seq) {
                item.due = None;
            }
            self.activate(seq);
        }
    }

    /// When the next parked delivery is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// What is kept behind a delivery.
    pub fn behind(&self, seq: Seq) -> impl Iterator<Item = Seq> + '_ {
        let key = self.items.get(&seq).map(|item| Self::queue_key(self.ordering, item.key));
        let queue = key.filter(|_| self.ordering != Ordering::None).and_then(|key| self.queues.get(&key));
        let queue = queue.filter(|queue| queue.front() == Some(&seq));
        queue.into_iter().flatten().skip(1).copied()
    }

    /// Keeps another order from now on. What is in flight stays so.
    pub fn reorder(&mut self, ordering: Ordering) {
        if ordering == self.ordering {
            return;
        }
        let items = std::mem::take(&mut self.items);
        *self = Self::new(ordering);
        let (flying, resting): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|(_, item)| item.state == State::InFlight);
        for (seq, item) in flying {
            self.add(seq, item.key, item.due);
            if self.state(seq) == Some(State::Behind) {
                // Two of one queue are in flight already: both stay, and the queue waits for both.
                self.set(seq, State::InFlight);
                self.in_flight += 1;
            } else {
                self.start(seq);
            }
        }
        for (seq, item) in resting {
            self.add(seq, item.key, item.due);
        }
    }

    /// The invariants; used by tests and in debug builds.
    #[must_use]
    pub fn check(&self) -> bool {
        let count = |wanted: State| self.items.values().filter(|item| item.state == wanted).count();
        let heads_only = self.items.iter().all(|(seq, item)| {
            let queue = self.queues.get(&Self::queue_key(self.ordering, item.key));
            match (self.ordering, item.state) {
                (Ordering::None, state) => state != State::Behind,
                (_, State::Ready | State::Parked) => queue.is_some_and(|queue| queue.front() == Some(seq)),
                (_, State::Behind) => queue.is_some_and(|queue| queue.front() != Some(seq)),
                (_, State::InFlight) => queue.is_some_and(|queue| queue.contains(seq)),
            }
        });
        let blocked =
            self.items.values().filter(|i| i.state == State::Behind && self.head_is_parked(i.key)).count();
        heads_only
            && blocked == self.blocked
            && count(State::Ready) == self.ready.len()
            && count(State::Parked) == self.dues.len()
            && count(State::InFlight) == self.in_flight
    }

    fn queue_key(ordering: Ordering, key: MessageKey) -> MessageKey {
        if ordering == Ordering::Endpoint { MessageKey(0) } else { key }
    }

    /// Puts it into its queue, by its number, but never before one in flight. True: it is the head.
    fn enqueue(&mut self, seq: Seq, key: MessageKey) -> bool {
        if self.ordering == Ordering::None {
            return true;
        }
        let queue_key = Self::queue_key(self.ordering, key);
        let queue = self.queues.entry(queue_key).or_default();
        let Some(head) = queue.front().copied() else {
            queue.push_back(seq);
            return true;
        };
        if queue.back().is_some_and(|last| *last < seq) {
            queue.push_back(seq);
            return false;
        }
        let flying =
            queue.iter().take_while(|s| self.items.get(s).is_some_and(|i| i.state == State::InFlight));
        let first = flying.count();
        let place =
            queue.iter().skip(first).position(|other| *other > seq).map_or(queue.len(), |at| at + first);
        queue.insert(place, seq);
        if place != 0 {
            return false;
        }
        self.deactivate(head);
        self.set(head, State::Behind);
        true
    }

    /// An attempt is over, and the delivery is not settled. It is the head of its queue, unless the order changed
    /// while it was in flight.
    fn land(&mut self, seq: Seq) {
        let Some(item) = self.items.get(&seq).copied() else { return };
        self.in_flight -= 1;
        let queue_key = Self::queue_key(self.ordering, item.key);
        if self.ordering == Ordering::None || self.leads(seq, queue_key) {
            self.activate(seq);
            return;
        }
        if let Some(queue) = self.queues.get_mut(&queue_key) {
            queue.retain(|queued| *queued != seq);
        }
        self.set(seq, State::Behind);
        if self.enqueue(seq, item.key) {
            self.activate(seq);
        } else if let Some(head) = self.queues.get(&queue_key).and_then(VecDeque::front).copied() {
            match self.state(head) {
                Some(State::Behind) => self.activate(head),
                Some(State::Parked) => self.blocked += 1,
                _ => {}
            }
        }
    }

    /// Whether it is the head of a queue in which nobody is earlier or in flight.
    fn leads(&self, seq: Seq, queue_key: MessageKey) -> bool {
        let Some(queue) = self.queues.get(&queue_key) else { return false };
        let second = queue.get(1);
        queue.front() == Some(&seq)
            && second.is_none_or(|second| *second > seq && self.state(*second) != Some(State::InFlight))
    }

    /// Makes the head of a queue ready, or parked while its attempt is not due.
    fn activate(&mut self, seq: Seq) {
        let Some(item) = self.items.get_mut(&seq) else { return };
        let key = item.key;
        if let Some(due) = item.due {
            item.state = State::Parked;
            self.dues.insert((due, seq));
            self.blocked += self.followers(key);
        } else {
            item.state = State::Ready;
            self.ready.insert(seq);
        }
    }

    /// Takes it out of the ready or the parked ones.
    fn deactivate(&mut self, seq: Seq) {
        let Some(item) = self.items.get(&seq).copied() else { return };
        match (item.state, item.due) {
            (State::Ready, _) => {
                self.ready.remove(&seq);
            }
            (State::Parked, Some(due)) => {
                self.dues.remove(&(due, seq));
                self.blocked -= self.followers(item.key);
            }
            _ => {}
        }
    }

    fn followers(&self, key: MessageKey) -> usize {
        if self.ordering == Ordering::None {
            return 0;
        }
        let queue = self.queues.get(&Self::queue_key(self.ordering, key));
        queue.map_or(0, |queue| queue.iter().filter(|s| self.state(**s) == Some(State::Behind)).count())
    }

    fn head_is_parked(&self, key: MessageKey) -> bool {
        let queue = self.queues.get(&Self::queue_key(self.ordering, key));
        let head = queue.filter(|_| self.ordering != Ordering::None).and_then(VecDeque::front);
        head.is_some_and(|head| self.state(*head) == Some(State::Parked))
    }

    fn state(&self, seq: Seq) -> Option<State> {
        self.items.get(&seq).map(|item| item.state)
    }

    fn set(&mut self, seq: Seq, state: State) {
        if let Some(item) = self.items.get_mut(&seq) {
            item.state = state;
        }
    }
}

#[cfg(test)]
mod tests;
