use super::Ordering;
use crate::ids::{MessageKey, Seq};
use hashing::Seeded;
use smallvec::SmallVec;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};
use std::time::Instant;

mod hashing;

/// Deliveries that keep an order. A message rarely has more than two at a time, and so few need no allocation.
type Queue = SmallVec<[Seq; 2]>;

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
    /// None of them is empty.
    queues: HashMap<MessageKey, Queue, Seeded>,
    ready: BTreeSet<Seq>,
    dues: BTreeSet<(Instant, Seq)>,
    in_flight: usize,
    /// Items behind a head that is parked.
    blocked: usize,
    /// Bytes of all bodies that are held,
    bytes: usize,
    /// and of those that wait for a retry: parked, or behind a head that is.
    waiting_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    key: MessageKey,
    state: State,
    /// When its next attempt is due, once one was spent.
    due: Option<Instant>,
    /// Bytes of its body, while that is held.
    bytes: usize,
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
    /// How many that would be if all but the parked ones, and those behind them, were gone.
    pub most: usize,
}

impl Window {
    /// Deliveries of one endpoint that may be parked at once; it takes no more until some settle.
    pub const MOST_PARKED: usize = 10_000;
    /// Deliveries that may be kept behind parked ones. Of most of them only the numbers are kept, not the bodies.
    pub const MOST_BLOCKED: usize = 10_000;

    /// An empty one.
    #[must_use]
    pub fn new(ordering: Ordering) -> Self {
        Self {
            ordering,
            items: BTreeMap::new(),
            queues: HashMap::with_hasher(Seeded::random()),
            ready: BTreeSet::new(),
            dues: BTreeSet::new(),
            in_flight: 0,
            blocked: 0,
            bytes: 0,
            waiting_bytes: 0,
        }
    }

    /// How many more it takes when `slots` are allowed.
    #[must_use]
    pub fn room(&self, slots: usize) -> Room {
        let parked = self.dues.len();
        if parked >= Self::MOST_PARKED || self.blocked >= Self::MOST_BLOCKED {
            return Room { slots: 0, most: 0 };
        }
        let held = self.items.len().saturating_sub(parked + self.blocked);
        // Whatever is held may be parked in the end.
        let most = slots.min(Self::MOST_PARKED - parked);
        Room { slots: most.saturating_sub(held), most }
    }

    /// Whether it has nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Attempts under way.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Where what is not settled begins: with one that it has, or with `next`, the first that was not taken in. What
    /// was parked when it began may lie far behind that.
    #[must_use]
    pub fn low(&self, next: Seq) -> Seq {
        self.items.keys().next().map_or(next, |first| next.min(*first))
    }

    /// The first and the last that it has.
    #[must_use]
    pub fn span(&self) -> Option<(Seq, Seq)> {
        Some((*self.items.keys().next()?, *self.items.keys().next_back()?))
    }

    /// Bytes of the bodies that are held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same of those that wait for a retry, their own or that of the one before them.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whose bodies these are, the last first.
    pub fn waiting_bodies(&self) -> impl Iterator<Item = Seq> + '_ {
        let waiting = self.items.iter().rev().filter(|(_, item)| item.bytes > 0 && self.waits(item));
        waiting.map(|(seq, _)| *seq)
    }

    /// Whether it is behind a parked one.
    #[must_use]
    pub fn is_blocked(&self, seq: Seq) -> bool {
        self.items.get(&seq).is_some_and(|item| item.state == State::Behind && self.waits(item))
    }

    /// Takes a delivery in whose body is not held; `due` says when a parked one is to be tried again. False: it has this
    /// one already, and leaves it alone.
    pub fn add(&mut self, seq: Seq, key: MessageKey, due: Option<Instant>) -> bool {
        self.insert(seq, key, due, 0)
    }

    /// Takes one in that was never attempted, with a body of so many bytes. False: as above.
    pub fn add_with_body(&mut self, seq: Seq, key: MessageKey, bytes: usize) -> bool {
        self.insert(seq, key, None, bytes)
    }

    /// From now on so many bytes of its body are held; 0: it was let go.
    pub fn weigh(&mut self, seq: Seq, bytes: usize) {
        let waits = self.items.get(&seq).is_some_and(|item| self.waits(item));
        let Some(item) = self.items.get_mut(&seq) else { return };
        let before = std::mem::replace(&mut item.bytes, bytes);
        self.bytes = self.bytes - before + bytes;
        if waits {
            self.waiting_bytes = self.waiting_bytes - before + bytes;
        }
    }

    fn insert(&mut self, seq: Seq, key: MessageKey, due: Option<Instant>, bytes: usize) -> bool {
        let Entry::Vacant(free) = self.items.entry(seq) else { return false };
        self.bytes += bytes;
        if self.ordering != Ordering::None {
            let queue = self.queues.entry(Self::queue_key(self.ordering, key)).or_default();
            if let Some(head) = queue.first().copied() {
                free.insert(Item { key, state: State::Behind, due, bytes });
                let place = Self::enqueue(queue, &self.items, seq);
                self.line_up(seq, place, head);
                return true;
            }
            queue.push(seq);
        }
        // It is the only one of its queue: nothing follows that could be blocked.
        let state = if let Some(due) = due {
            self.dues.insert((due, seq));
            self.waiting_bytes += bytes;
            State::Parked
        } else {
            self.ready.insert(seq);
            State::Ready
        };
        free.insert(Item { key, state, due, bytes });
        true
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
        let Some(item) = self.items.get_mut(&seq) else { return };
        let before = *item;
        if !matches!(before.state, State::Ready | State::Parked) {
            return;
        }
        item.state = State::InFlight;
        self.in_flight += 1;
        self.deactivate(seq, before);
    }

    /// The attempt ended without a result that counts: it is as it was before.
    pub fn release(&mut self, seq: Seq) {
        if let Some(item) = self.items.get(&seq).copied().filter(|item| item.state == State::InFlight) {
            self.land(seq, item.key);
        }
    }

    /// The attempt failed; the next one is due then.
    pub fn park(&mut self, seq: Seq, due: Instant) {
        if let Some(item) = self.items.get_mut(&seq).filter(|item| item.state == State::InFlight) {
            item.due = Some(due);
            let key = item.key;
            self.land(seq, key);
        }
    }

    /// Those whose attempts are under way.
    pub fn flying(&self) -> impl Iterator<Item = Seq> + '_ {
        self.items.iter().filter(|(_, item)| item.state == State::InFlight).map(|(seq, _)| *seq)
    }

    /// It is due now, whatever was said before. False: it does not wait for a retry.
    pub fn hasten(&mut self, seq: Seq) -> bool {
        let Some(item) = self.items.get_mut(&seq).filter(|item| item.state == State::Parked) else {
            return false;
        };
        let before = *item;
        (item.state, item.due) = (State::Ready, None);
        self.deactivate(seq, before);
        self.ready.insert(seq);
        true
    }

    /// It is settled: the one behind it moves up.
    pub fn settle(&mut self, seq: Seq) {
        let Some(item) = self.items.remove(&seq) else { return };
        self.bytes -= item.bytes;
        match item.state {
            State::InFlight => self.in_flight -= 1,
            State::Ready | State::Parked => self.deactivate(seq, item),
            State::Behind if self.head_is_parked(item.key) => {
                self.blocked -= 1;
                self.waiting_bytes -= item.bytes;
            }
            State::Behind => {}
        }
        if self.ordering == Ordering::None {
            return;
        }
        let queue_key = Self::queue_key(self.ordering, item.key);
        let hash_map::Entry::Occupied(mut queue) = self.queues.entry(queue_key) else { return };
        if queue.get().as_slice() == [seq] {
            queue.remove();
            return;
        }
        let queue = queue.get_mut();
        let Some(place) = queue.iter().position(|queued| *queued == seq) else { return };
        queue.remove(place);
        let head = queue.first().copied().filter(|_| place == 0);
        if let Some(head) = head.filter(|head| self.state(*head) == Some(State::Behind)) {
            self.activate(head);
        }
    }

    /// Makes ready what is due.
    pub fn wake_due(&mut self, now: Instant) {
        while let Some((_, seq)) = self.dues.first().copied().filter(|(due, _)| *due <= now) {
            let parked = self.hasten(seq);
            debug_assert!(parked);
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
        let queue = queue.filter(|queue| queue.first() == Some(&seq));
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
            self.insert(seq, item.key, item.due, item.bytes);
            if self.state(seq) == Some(State::Behind) {
                // Two of one queue are in flight already: both stay, and the queue waits for both.
                self.set(seq, State::InFlight);
                self.in_flight += 1;
            } else {
                self.start(seq);
            }
        }
        for (seq, item) in resting {
            self.insert(seq, item.key, item.due, item.bytes);
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
                (_, State::Ready | State::Parked) => queue.is_some_and(|queue| queue.first() == Some(seq)),
                (_, State::Behind) => queue.is_some_and(|queue| queue.first() != Some(seq)),
                (_, State::InFlight) => queue.is_some_and(|queue| queue.contains(seq)),
            }
        });
        let blocked =
            self.items.values().filter(|i| i.state == State::Behind && self.head_is_parked(i.key)).count();
        let queued: usize = self.queues.values().map(|queue| queue.len()).sum();
        let bytes = |waiting: bool| -> usize {
            self.items.values().filter(|item| !waiting || self.waits(item)).map(|item| item.bytes).sum()
        };
        heads_only
            && queued == if self.ordering == Ordering::None { 0 } else { self.items.len() }
            && self.queues.values().all(|queue| !queue.is_empty())
            && blocked == self.blocked
            && (bytes(false), bytes(true)) == (self.bytes, self.waiting_bytes)
            && count(State::Ready) == self.ready.len()
            && count(State::Parked) == self.dues.len()
            && count(State::InFlight) == self.in_flight
    }

    fn queue_key(ordering: Ordering, key: MessageKey) -> MessageKey {
        if ordering == Ordering::Endpoint { MessageKey(0) } else { key }
    }

    /// Puts it into its queue, by its number, but never before one in flight. Returns its place; 0 is the head.
    fn enqueue(queue: &mut Queue, items: &BTreeMap<Seq, Item>, seq: Seq) -> usize {
        if queue.last().is_none_or(|last| *last < seq) {
            queue.push(seq);
            return queue.len() - 1;
        }
        let flying = queue.iter().take_while(|s| items.get(s).is_some_and(|i| i.state == State::InFlight));
        let first = flying.count();
        let place =
            queue.iter().skip(first).position(|other| *other > seq).map_or(queue.len(), |at| at + first);
        queue.insert(place, seq);
        place
    }

    /// One that is behind the head of its queue was put into this place; in the first it takes over from the head.
    fn line_up(&mut self, seq: Seq, place: usize, head: Seq) {
        let Some(item) = self.items.get(&head).copied() else { return };
        if item.state == State::Parked {
            self.blocked += 1;
            self.waiting_bytes += self.items.get(&seq).map_or(0, |item| item.bytes);
        }
        if place == 0 {
            self.deactivate(head, item);
            self.set(head, State::Behind);
            self.activate(seq);
        }
    }

    /// An attempt is over, and the delivery is not settled. It is the head of its queue, unless the order changed
    /// while it was in flight.
    fn land(&mut self, seq: Seq, key: MessageKey) {
        self.in_flight -= 1;
        let queue_key = Self::queue_key(self.ordering, key);
        if self.ordering == Ordering::None || self.leads(seq, queue_key) {
            self.activate(seq);
            return;
        }
        self.set(seq, State::Behind);
        let queue = self.queues.entry(queue_key).or_default();
        queue.retain(|queued| *queued != seq);
        let head = queue.first().copied();
        let place = Self::enqueue(queue, &self.items, seq);
        let Some(head) = head else { return self.activate(seq) };
        self.line_up(seq, place, head);
        if place != 0 && self.state(head) == Some(State::Behind) {
            self.activate(head);
        }
    }

    /// Whether it is the head of a queue in which nobody is earlier or in flight.
    fn leads(&self, seq: Seq, queue_key: MessageKey) -> bool {
        let Some(queue) = self.queues.get(&queue_key) else { return false };
        let second = queue.get(1);
        queue.first() == Some(&seq)
            && second.is_none_or(|second| *second > seq && self.state(*second) != Some(State::InFlight))
    }

    /// Makes the head of a queue ready, or parked while its attempt is not due.
    fn activate(&mut self, seq: Seq) {
        let Some(item) = self.items.get_mut(&seq) else { return };
        let (key, own) = (item.key, item.bytes);
        if let Some(due) = item.due {
            item.state = State::Parked;
            self.dues.insert((due, seq));
            let (count, bytes) = self.followers(key);
            self.blocked += count;
            self.waiting_bytes += own + bytes;
        } else {
            item.state = State::Ready;
            self.ready.insert(seq);
        }
    }

    /// Takes it, as it was, out of the ready or the parked ones.
    fn deactivate(&mut self, seq: Seq, item: Item) {
        match (item.state, item.due) {
            (State::Ready, _) => {
                self.ready.remove(&seq);
            }
            (State::Parked, Some(due)) => {
                self.dues.remove(&(due, seq));
                let (count, bytes) = self.followers(item.key);
                self.blocked -= count;
                self.waiting_bytes -= item.bytes + bytes;
            }
            _ => {}
        }
    }

    /// How many are behind the head of a queue, and how many bytes of their bodies are held.
    fn followers(&self, key: MessageKey) -> (usize, usize) {
        if self.ordering == Ordering::None {
            return (0, 0);
        }
        let queue = self.queues.get(&Self::queue_key(self.ordering, key)).filter(|queue| queue.len() > 1);
        let items = queue.into_iter().flatten().filter_map(|seq| self.items.get(seq));
        let behind = items.filter(|item| item.state == State::Behind);
        behind.fold((0, 0), |(count, bytes), item| (count + 1, bytes + item.bytes))
    }

    /// Whether it waits for a retry, its own or that of the head of its queue.
    fn waits(&self, item: &Item) -> bool {
        match item.state {
            State::Parked => true,
            State::Behind => self.blocked > 0 && self.head_is_parked(item.key),
            State::Ready | State::InFlight => false,
        }
    }

    fn head_is_parked(&self, key: MessageKey) -> bool {
        let queue = self.queues.get(&Self::queue_key(self.ordering, key));
        let head = queue.filter(|_| self.ordering != Ordering::None).and_then(|queue| queue.first());
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
