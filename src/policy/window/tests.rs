use super::*;
use proptest::prelude::*;
use std::time::Duration;

const A: MessageKey = MessageKey(1);
const B: MessageKey = MessageKey(2);

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

fn window(ordering: Ordering, items: &[(u64, MessageKey)]) -> Window {
    let mut window = Window::new(ordering);
    for (seq, key) in items {
        window.add(Seq(*seq), *key, None);
    }
    window
}

#[test]
fn no_more_are_parked_at_once_than_may_be_even_if_every_attempt_fails() {
    let (mut window, now, mut next) = (Window::new(Ordering::None), start(), 0..);
    for _ in 0..100 {
        for seq in next.by_ref().take(window.room(1024).slots) {
            window.add(Seq(seq), MessageKey(seq), None);
        }
        while let Some(seq) = window.next() {
            window.start(seq);
            window.park(seq, now + Duration::from_secs(60));
        }
    }
    assert_eq!(window.room(1024).slots, 0);
    assert_eq!(next.next(), Some(Window::MOST_PARKED as u64));
}

#[test]
fn what_is_not_settled_begins_with_the_first_not_taken_in_where_all_that_is_held_lies_behind_it() {
    let mut window = Window::new(Ordering::Message);
    assert_eq!(window.low(Seq(0)), Seq(0));
    for seq in [3, 5] {
        window.add(Seq(seq), MessageKey(seq), Some(start()));
    }
    assert_eq!((window.low(Seq(0)), window.low(Seq(4)), window.low(Seq(9))), (Seq(0), Seq(3), Seq(3)));
    window.settle(Seq(3));
    assert_eq!((window.low(Seq(0)), window.low(Seq(4)), window.low(Seq(9))), (Seq(0), Seq(4), Seq(5)));
}

#[test]
fn whoever_has_very_many_parked_sees_what_an_otherwise_empty_window_would_take() {
    let mut window = Window::new(Ordering::Message);
    for seq in 0..9_000 {
        window.add(Seq(seq), MessageKey(seq), Some(start()));
    }
    assert_eq!(window.room(16_384), Room { slots: 1000, most: 1000 });
    window.add(Seq(9_000), MessageKey(9_000), None);
    assert_eq!(window.room(16_384), Room { slots: 999, most: 1000 });
    assert_eq!(window.room(256), Room { slots: 255, most: 256 });
}

#[test]
fn only_what_is_behind_a_parked_one_is_blocked() {
    let mut window = window(Ordering::Message, &[(1, A), (2, A), (3, B)]);
    assert!(!window.is_blocked(Seq(2)), "its first may go any time");
    window.start(Seq(1));
    window.park(Seq(1), start());
    let blocked: Vec<u64> = (0..5).filter(|seq| window.is_blocked(Seq(*seq))).collect();
    assert_eq!((blocked, window.blocked), (vec![2], 1));
    window.add(Seq(4), A, None);
    assert!(window.is_blocked(Seq(4)));
    window.wake_due(start() + Duration::from_secs(1));
    assert!(!window.is_blocked(Seq(2)) && !window.is_blocked(Seq(4)));
}

#[test]
fn the_bodies_of_what_waits_for_a_retry_are_counted_and_named_the_last_first() {
    let mut window = Window::new(Ordering::Message);
    for (seq, key) in [(1, A), (2, A), (3, B), (4, A), (5, A)] {
        assert!(window.add_with_body(Seq(seq), key, 10));
    }
    window.weigh(Seq(4), 0);
    assert_eq!((window.bytes(), window.waiting_bytes()), (40, 0));
    window.start(Seq(1));
    window.park(Seq(1), start());
    assert_eq!((window.bytes(), window.waiting_bytes()), (40, 30));
    assert_eq!(window.waiting_bodies().collect::<Vec<_>>(), [Seq(5), Seq(2), Seq(1)]);
    window.weigh(Seq(1), 0);
    window.weigh(Seq(4), 7);
    window.settle(Seq(5));
    assert_eq!((window.bytes(), window.waiting_bytes()), (27, 17));
    window.reorder(Ordering::Endpoint);
    assert_eq!((window.bytes(), window.waiting_bytes()), (27, 27));
    window.wake_due(start() + Duration::from_secs(1));
    assert_eq!((window.bytes(), window.waiting_bytes(), window.waiting_bodies().count()), (27, 0, 0));
    assert!(window.check());
}

#[test]
fn deliveries_of_one_message_go_one_after_another_and_others_pass_them() {
    let mut window = window(Ordering::Message, &[(1, A), (2, A), (3, B)]);
    assert_eq!(window.upcoming().collect::<Vec<_>>(), [Seq(1), Seq(3)]);
    window.start(Seq(1));
    window.park(Seq(1), start() + Duration::from_secs(5));
    assert_eq!(window.next(), Some(Seq(3)), "the second of message A waits behind the parked first");
    window.wake_due(start() + Duration::from_secs(6));
    window.start(Seq(1));
    window.settle(Seq(1));
    assert_eq!(window.next(), Some(Seq(2)));
    assert!(window.check());
}

#[test]
fn a_whole_endpoint_in_order_waits_for_its_first() {
    let mut window = window(Ordering::Endpoint, &[(1, A), (2, B)]);
    window.start(Seq(1));
    assert_eq!(window.next(), None);
    window.settle(Seq(1));
    assert_eq!(window.next(), Some(Seq(2)));
}

#[test]
fn without_order_nothing_waits() {
    let window = window(Ordering::None, &[(1, A), (2, A)]);
    assert_eq!(window.upcoming().count(), 2);
}

#[test]
fn neither_a_parked_delivery_nor_what_is_behind_it_holds_a_slot() {
    let mut window = window(Ordering::Message, &[(1, A), (2, A), (3, A), (4, B)]);
    assert_eq!(window.room(8).slots, 4);
    window.start(Seq(1));
    window.park(Seq(1), start());
    assert_eq!(window.room(8).slots, 7);
    assert_eq!(window.behind(Seq(1)).collect::<Vec<_>>(), [Seq(2), Seq(3)]);
}

#[test]
fn ten_thousand_parked_are_the_most() {
    let mut window = Window::new(Ordering::Message);
    for seq in 0..10_000 {
        window.add(Seq(seq), MessageKey(seq), Some(start()));
    }
    assert_eq!(window.room(64).slots, 0);
    window.settle(Seq(7));
    assert_eq!(window.room(64).slots, 1, "what is taken in may be parked in its turn");
}

#[test]
fn a_probe_takes_the_oldest_due_or_not() {
    let mut window = Window::new(Ordering::Message);
    window.add(Seq(1), A, Some(start() + Duration::from_secs(3600)));
    window.add(Seq(2), B, None);
    assert_eq!(window.oldest(), Some(Seq(1)));
    window.start(Seq(1));
    window.release(Seq(1));
    assert_eq!(window.next(), Some(Seq(2)), "a probe that spent nothing is parked as before");
    assert_eq!(window.next_due(), Some(window.next_due().unwrap()));
}

#[test]
fn one_that_it_has_is_left_alone() {
    let mut window = window(Ordering::Message, &[(1, A)]);
    assert!(!window.add(Seq(1), B, Some(start())));
    assert_eq!(window.upcoming().collect::<Vec<_>>(), [Seq(1)]);
    window.start(Seq(1));
    assert!(!window.add(Seq(1), A, None));
    assert_eq!((window.in_flight(), window.next()), (1, None));
    assert!(window.check());
}

#[test]
fn an_earlier_one_takes_over_from_a_parked_head_and_frees_what_was_blocked() {
    let mut window = Window::new(Ordering::Message);
    for seq in [4, 6, 8] {
        window.add(Seq(seq), A, Some(start() + Duration::from_secs(5)));
    }
    assert_eq!(window.room(8).slots, 8);
    window.add(Seq(2), A, None);
    assert_eq!(window.next(), Some(Seq(2)));
    assert_eq!(window.behind(Seq(2)).collect::<Vec<_>>(), [Seq(4), Seq(6), Seq(8)]);
    assert_eq!((window.next_due(), window.room(8).slots), (None, 4));
    assert!(window.check());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Add(u8, bool),
    /// Before some that are there.
    AddLate(u8, u8, bool),
    AddAgain(u8),
    Start,
    Probe,
    Hasten(u8),
    Settle(u8),
    /// In flight or not.
    SettleAny(u8),
    Park(u8),
    Release(u8),
    Wake,
    Reorder(u8),
    /// A body comes, or goes.
    Weigh(u8, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..5, prop::bool::weighted(0.2)).prop_map(|(key, parked)| Step::Add(key, parked)),
        2 => (any::<u8>(), 0u8..5, prop::bool::weighted(0.2)).prop_map(|(n, key, parked)| Step::AddLate(n, key, parked)),
        1 => any::<u8>().prop_map(Step::AddAgain),
        6 => Just(Step::Start),
        1 => Just(Step::Probe),
        1 => any::<u8>().prop_map(Step::Hasten),
        1 => any::<u8>().prop_map(Step::SettleAny),
        3 => any::<u8>().prop_map(Step::Settle),
        3 => any::<u8>().prop_map(Step::Park),
        1 => any::<u8>().prop_map(Step::Release),
        2 => Just(Step::Wake),
        1 => (0u8..3).prop_map(Step::Reorder),
        3 => (any::<u8>(), 0usize..4).prop_map(|(n, bytes)| Step::Weigh(n, bytes)),
    ];
    prop::collection::vec(step, 1..300)
}

/// Only what was parked before comes without its body.
fn take_in(window: &mut Window, seq: Seq, key: MessageKey, due: Option<Instant>) -> bool {
    if due.is_some() { window.add(seq, key, due) } else { window.add_with_body(seq, key, 5) }
}

fn order(number: u8) -> Ordering {
    [Ordering::Message, Ordering::Endpoint, Ordering::None][usize::from(number % 3)]
}

proptest! {
    #[test]
    fn order_per_message_holds_and_nothing_is_stuck(first in 0u8..3, steps in steps()) {
        let mut now = start();
        let mut ordering = order(first);
        let mut window = Window::new(ordering);
        let mut keys: BTreeMap<Seq, MessageKey> = BTreeMap::new();
        let mut flying: Vec<Seq> = Vec::new();
        let mut next = 0;
        for step in steps {
            let pick = |n: u8, flying: &[Seq]| (!flying.is_empty()).then(|| usize::from(n) % flying.len());
            let any = |n: u8, keys: &BTreeMap<Seq, MessageKey>| keys.keys().nth(usize::from(n) % keys.len().max(1)).copied();
            match step {
                Step::Add(key, parked) => {
                    next += 2;
                    let key = MessageKey(u64::from(key));
                    prop_assert!(take_in(&mut window, Seq(next), key, parked.then(|| now + Duration::from_secs(3))));
                    keys.insert(Seq(next), key);
                }
                Step::AddLate(n, key, parked) => {
                    let seq = Seq((u64::from(n) * 2 + 1) % (next + 2));
                    if let std::collections::btree_map::Entry::Vacant(free) = keys.entry(seq) {
                        let key = *free.insert(MessageKey(u64::from(key)));
                        prop_assert!(take_in(&mut window, seq, key, parked.then(|| now + Duration::from_secs(3))));
                    }
                }
                Step::AddAgain(n) => if let Some(seq) = any(n, &keys) {
                    prop_assert!(!window.add(seq, keys[&seq], Some(now)));
                },
                Step::Probe => if let Some(seq) = window.oldest() {
                    prop_assert!(!flying.contains(&seq));
                    window.start(seq);
                    flying.push(seq);
                },
                Step::Hasten(n) => if let Some(seq) = any(n, &keys) && window.hasten(seq) {
                    prop_assert!(window.upcoming().any(|ready| ready == seq));
                },
                Step::SettleAny(n) => if let Some(seq) = any(n, &keys) {
                    flying.retain(|other| *other != seq);
                    keys.remove(&seq);
                    window.settle(seq);
                },
                Step::Start => if let Some(seq) = window.next() {
                    let key = keys[&seq];
                    match ordering {
                        Ordering::Message => {
                            prop_assert!(keys.iter().all(|(other, k)| *other >= seq || *k != key || flying.contains(other)));
                        }
                        Ordering::Endpoint => prop_assert!(keys.keys().all(|other| *other >= seq || flying.contains(other))),
                        Ordering::None => {}
                    }
                    window.start(seq);
                    flying.push(seq);
                },
                Step::Settle(n) => if let Some(at) = pick(n, &flying) {
                    let seq = flying.remove(at);
                    keys.remove(&seq);
                    window.settle(seq);
                },
                Step::Park(n) => if let Some(at) = pick(n, &flying) {
                    window.park(flying.remove(at), now + Duration::from_secs(5));
                },
                Step::Release(n) => if let Some(at) = pick(n, &flying) {
                    window.release(flying.remove(at));
                },
                Step::Wake => { now += Duration::from_secs(4); window.wake_due(now); }
                Step::Reorder(n) => { ordering = order(n); window.reorder(ordering); }
                Step::Weigh(n, bytes) => if let Some(seq) = any(n, &keys) { window.weigh(seq, bytes); },
            }
            prop_assert!(window.check(), "{window:?}");
            prop_assert_eq!(window.in_flight(), flying.len());
            prop_assert_eq!(window.low(Seq(u64::MAX)), keys.keys().next().copied().unwrap_or(Seq(u64::MAX)));
            prop_assert_eq!(window.blocked, keys.keys().filter(|seq| window.is_blocked(**seq)).count());
        }
        now += Duration::from_secs(60);
        for _ in 0..=keys.len() * 2 + flying.len() {
            window.wake_due(now);
            for seq in flying.drain(..) { window.settle(seq); }
            if let Some(seq) = window.next() { window.start(seq); flying.push(seq); }
        }
        prop_assert!(window.is_empty() && window.check(), "{window:?}");
    }
}
