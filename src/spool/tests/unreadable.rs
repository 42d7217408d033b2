//! Rows that the writer cannot read for a moment, as for want of descriptors. That they are not there does not follow.

use super::hand::Hand;
use super::*;
use crate::ids::MessageKey;
use crate::spool::codec::{delivery_key, seq_key};
use crate::spool::past::{Letters, dead_letters};
use crate::spool::{Amended, Amendment, Parked, Refusal, faults};
use rustix::io::Errno;

/// A spool with these events, none of which the writer has in memory.
async fn cold(events: Vec<NewEvent>, change: impl FnOnce(&mut SpoolConfig)) -> Hand {
    let mut hand = Hand::new(change);
    hand.append(events).await;
    hand.reopen()
}

fn fail_reads(hand: &Hand, rows: &'static str, count: u32) {
    faults::inject_reads(&hand.config.path, rows, count, Errno::MFILE);
}

#[tokio::test]
async fn what_is_parked_while_its_event_cannot_be_read_is_parked_once_it_can() {
    let mut hand = cold(vec![event("m1", &[A])], |_| {}).await;
    let lease = hand.lease(A).await;
    let seq = hand.all(&lease).await[0].event.seq;
    fail_reads(&hand, "events", 2);
    let parked = Parked { seq, key: MessageKey::of("m1"), due_ms: 5_000, wait_ms: 700, attempts: 1 };
    hand.spool.park(&lease, parked, note(1));
    hand.turn();
    assert!(hand.spool.trouble().is_some(), "it cannot, twice");
    assert_eq!(lease.unwritten.count(), 1, "its slot is held until it is written");
    assert_eq!(messages(&hand.all(&lease).await), ["m1"], "the store stays open");

    hand.later(500);
    assert_eq!((hand.spool.trouble(), lease.unwritten.count()), (None, 0));
    assert_eq!(hand.spool.parked(&lease).await.unwrap(), [parked]);
    assert_eq!(messages(&hand.all(&lease).await), ["m1"]);
    hand.settle(&lease, seq, Ok(()));
    assert_eq!((hand.rows("events"), hand.rows("deliveries"), hand.rows("damaged")), (0, 0, 0));
}

#[tokio::test]
async fn an_event_of_several_stays_while_who_is_left_of_them_cannot_be_read() {
    let mut hand = cold(vec![event("m1", &[A, B])], |_| {}).await;
    let (a, b) = (hand.lease(A).await, hand.lease(B).await);
    let seq = hand.all(&a).await[0].event.seq;
    fail_reads(&hand, "refs", 1);
    hand.settle(&a, seq, Ok(()));
    assert_eq!((hand.spool.trouble(), a.unwritten.count()), (None, 0), "it works again in the same turn");
    assert!(hand.all(&a).await.is_empty());
    assert_eq!(messages(&hand.all(&b).await), ["m1"]);
    hand.settle(&b, seq, Ok(()));
    assert_eq!((hand.rows("events"), hand.rows("refs"), hand.rows("deliveries")), (0, 0, 0));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_erased_and_whoever_asked_is_told() {
    let mut hand = cold(vec![event("m1", &[A])], |_| {}).await;
    let lease = hand.lease(A).await;
    let seq = hand.all(&lease).await[0].event.seq;
    fail_reads(&hand, "events", 2);
    for _ in 0..2 {
        let erased = hand.spool.amend(Amendment::Erase(vec![(A, seq)]));
        let other = hand.submit(vec![event("m2", &[B])]);
        hand.turn();
        assert!(erased.await.is_err());
        assert!(other.await.unwrap().is_ok(), "nothing else of the commit suffers");
        assert_eq!(messages(&hand.all(&lease).await), ["m1"]);
    }
    let erased = hand.spool.amend(Amendment::Erase(vec![(A, seq)]));
    hand.turn();
    assert_eq!(erased.await.unwrap(), Amended::Count(1));
    assert_eq!((hand.rows("events"), hand.rows("deliveries"), hand.rows("damaged")), (2, 2, 0));
}

#[tokio::test]
async fn what_was_said_before_a_newer_lease_was_asked_for_counts_though_it_could_not_be_written_then() {
    let mut hand = cold(vec![event("m1", &[A]), event("m2", &[A])], |_| {}).await;
    let lease = hand.lease(A).await;
    let seqs: Vec<Seq> = hand.all(&lease).await.iter().map(|pending| pending.event.seq).collect();
    fail_reads(&hand, "events", 2);
    hand.settle(&lease, seqs[0], Ok(()));
    assert!(hand.spool.trouble().is_some());
    hand.settle(&lease, seqs[1], Ok(()));
    let newer = hand.spool.acquire(A);
    hand.later(500);
    let newer = newer.await.unwrap();
    assert!(hand.all(&newer).await.is_empty());
    assert_eq!((hand.rows("deliveries"), lease.unwritten.count()), (0, 0));
}

#[tokio::test]
async fn what_is_too_much_dies_once_it_can_be_read_and_its_event_is_kept() {
    let heavy = |message: &str| NewEvent { body: Bytes::from(vec![b'x'; 1_000]), ..event(message, &[A]) };
    let mut hand = cold(vec![heavy("m0"), heavy("m1")], |config| config.backlog = 2_500).await;
    fail_reads(&hand, "events", 2);
    hand.append(vec![heavy("m2")]).await;
    hand.later(1_000);
    assert_eq!(hand.counts(A), (3, 0, 0, 3_000));
    let lease = hand.lease(A).await;
    assert_eq!(messages(&hand.all(&lease).await), ["m0", "m1", "m2"]);

    hand.later(1_000);
    assert_eq!(hand.counts(A), (2, 0, 1, 2_000));
    assert_eq!(messages(&hand.all(&lease).await), ["m1", "m2"]);
    let all = (9, u64::MAX, 9);
    let letters = hand
        .spool
        .look(move |store| dead_letters(store, Letters::Up(0, u64::MAX), all, true, |_| true, |_| true));
    let (letters, _) = letters.await.unwrap();
    assert_eq!(letters[0].event.as_ref().unwrap().message_id.as_ref(), "m0");
}

#[tokio::test]
async fn an_event_is_refused_while_nobody_can_tell_whether_it_repeats_another() {
    let mut hand = cold(vec![keyed("m1", 1, 10, &[A])], |_| {}).await;
    fail_reads(&hand, "dedup", 1);
    let repeat = hand.submit(vec![keyed("m1", 1, 10, &[A])]);
    let other = hand.submit(vec![event("m2", &[A])]);
    hand.turn();
    let refused = repeat.await.unwrap();
    assert!(matches!(refused, Err(Refusal::Failing(_))), "{refused:?}");
    assert!(other.await.unwrap().is_ok(), "nothing had to be read for it");
    assert!(hand.append(vec![keyed("m1", 1, 10, &[A])]).await[0].duplicate);
    assert_eq!(hand.counts(A).0, 2);
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_read_is_forgotten_once_it_can() {
    let mut hand = Hand::new(|config| config.dead_bytes = 0);
    hand.append(vec![event("m1", &[A])]).await;
    let lease = hand.lease(A).await;
    let seq = hand.all(&lease).await[0].event.seq;
    hand.settle(&lease, seq, Err(DeadReason::Exhausted));
    fail_reads(&hand, "dead", 1);
    hand.later(1_000);
    assert_eq!((hand.rows("dead"), hand.rows("dead_order")), (1, 1));
    hand.later(1_000);
    assert_eq!((hand.rows("dead"), hand.rows("dead_order"), hand.rows("events")), (0, 0, 0));
}

/// A second goes by, so many times.
fn seconds(hand: &mut Hand, count: u64) {
    for _ in 0..count {
        hand.later(1_000);
    }
}

fn ready(hand: &Hand) -> u64 {
    hand.counts(A).0
}

#[tokio::test]
async fn what_is_too_much_dies_though_the_oldest_lasts_unreadable_and_that_is_kept() {
    let heavy = |message: &str| NewEvent { body: Bytes::from(vec![b'x'; 1_000]), ..event(message, &[A]) };
    let mut hand = cold(vec![heavy("m0"), heavy("m1"), heavy("m2")], |config| config.backlog = 3_500).await;
    let lease = hand.lease(A).await;
    let oldest = hand.all(&lease).await[0].event.seq;
    faults::inject_bad_row(&hand.config.path, "events", &seq_key(oldest));
    hand.append(vec![heavy("m3")]).await;
    seconds(&mut hand, 8);
    assert_eq!(ready(&hand), 4, "it may come back");
    seconds(&mut hand, 8);
    assert_eq!(hand.counts(A), (3, 0, 1, 3_000));
    hand.append(vec![heavy("m4")]).await;
    seconds(&mut hand, 2);
    assert_eq!(hand.counts(A), (3, 0, 2, 3_000), "no other waits as long as the first");
    let left = hand.all(&lease).await;
    assert_eq!(messages(&left), ["m0", "m3", "m4"], "and it is found by who reads from the oldest on");

    fail_reads(&hand, "events", 0);
    hand.append(vec![heavy("m5")]).await;
    seconds(&mut hand, 2);
    seconds(&mut hand, 70);
    hand.append(vec![heavy("m6")]).await;
    seconds(&mut hand, 2);
    assert_eq!(messages(&hand.all(&lease).await), ["m4", "m5", "m6"], "it is the oldest again");
}

#[tokio::test]
async fn what_a_removed_endpoint_leaves_dies_though_one_of_it_lasts_unreadable() {
    let all: Vec<NewEvent> = (0..4).map(|m| event(&format!("m{m}"), &[A, B])).collect();
    let mut hand = cold(all, |_| {}).await;
    let lease = hand.lease(A).await;
    let second = hand.all(&lease).await[1].event.seq;
    faults::inject_bad_row(&hand.config.path, "events", &seq_key(second));
    hand.spool.remove_endpoint(A);
    hand.spool.remove_endpoint(B);
    hand.turn();
    seconds(&mut hand, 1);
    assert_eq!((hand.counts(A).2, hand.counts(B).2), (1, 1), "none waits for another");
    seconds(&mut hand, 15);
    assert_eq!((hand.counts(A), hand.counts(B)), ((1, 0, 3, 16), (1, 0, 3, 16)));
    fail_reads(&hand, "events", 0);
    seconds(&mut hand, 70);
    assert_eq!((hand.counts(A), hand.counts(B)), ((0, 0, 4, 0), (0, 0, 4, 0)));
}

#[tokio::test]
async fn dead_letters_and_history_go_by_age_though_one_row_of_each_lasts_unreadable() {
    for rows in ["dead", "events", "history"] {
        let all = (0..4).map(|m| event(&format!("m{m}"), &[A])).collect();
        let mut hand = cold(all, |config| {
            config.keep_dead = Duration::from_secs(5);
            config.keep_delivered = Duration::from_secs(5);
        })
        .await;
        let lease = hand.lease(A).await;
        let seqs: Vec<Seq> = hand.all(&lease).await.iter().map(|pending| pending.event.seq).collect();
        for seq in &seqs {
            hand.settle(&lease, *seq, Err(DeadReason::Exhausted));
        }
        let mut hand = hand.reopen();
        assert_eq!((hand.rows("dead"), hand.rows("history")), (4, 4));
        let key = match rows {
            "dead" => delivery_key(A, seqs[1]).to_vec(),
            "events" => seq_key(seqs[1]).to_vec(),
            // Its second block.
            _ => first_block(&hand).saturating_add(1).to_be_bytes().to_vec(),
        };
        faults::inject_bad_row(&hand.config.path, rows, &key);
        seconds(&mut hand, 7);
        let whole =
            |name: &str, left: usize| if (name == "history") == (rows == "history") { left } else { 0 };
        assert_eq!(hand.rows("history"), whole("history", 3), "{rows}: what comes first goes first");
        assert_eq!(hand.rows("dead"), whole("dead", 3), "{rows}");
        seconds(&mut hand, 20);
        assert_eq!(hand.rows("history"), whole("history", 1), "{rows}");
        assert_eq!(hand.rows("dead"), whole("dead", 1), "{rows}");
        fail_reads(&hand, rows, 0);
        seconds(&mut hand, 70);
        assert_eq!((hand.rows("dead"), hand.rows("dead_order"), hand.rows("history")), (0, 0, 0), "{rows}");
        assert_eq!(hand.rows("events"), 0, "{rows}");
    }
}

fn first_block(hand: &Hand) -> u64 {
    let store = hand.spool.store().unwrap();
    let (key, _) = store.all(&store.space("history")).next().unwrap().unwrap();
    crate::spool::codec::split_seq_key(&key).unwrap()
}

#[tokio::test]
async fn keys_are_forgotten_though_one_row_lasts_unreadable() {
    let all = (0..4).map(|m| keyed(&format!("m{m}"), m, 10, &[A])).collect();
    let mut hand = cold(all, |_| {}).await;
    let store = hand.spool.store().unwrap();
    let (key, _) = store.all(&store.space("dedup")).next().unwrap().unwrap();
    drop(store);
    faults::inject_bad_row(&hand.config.path, "dedup", &key);
    hand.later(3_600_000);
    seconds(&mut hand, 8);
    assert_eq!((hand.rows("dedup"), hand.rows("dedup_order")), (4, 1));
    seconds(&mut hand, 8);
    assert_eq!((hand.rows("dedup"), hand.rows("dedup_order")), (1, 1));
    fail_reads(&hand, "dedup", 0);
    seconds(&mut hand, 70);
    assert_eq!((hand.rows("dedup"), hand.rows("dedup_order")), (0, 0));
}

#[tokio::test]
async fn for_want_of_descriptors_what_is_newer_does_not_die_in_place_of_what_is_older() {
    let heavy = |message: &str| NewEvent { body: Bytes::from(vec![b'x'; 1_000]), ..event(message, &[A]) };
    let mut hand = cold(vec![heavy("m0"), heavy("m1")], |config| config.backlog = 2_500).await;
    let lease = hand.lease(A).await;
    fail_reads(&hand, "events", u32::MAX);
    hand.append(vec![heavy("m2")]).await;
    seconds(&mut hand, 30);
    assert_eq!(hand.counts(A), (3, 0, 0, 3_000));
    let oldest = hand.all(&lease).await[0].event.seq;
    faults::inject_bad_row(&hand.config.path, "events", &seq_key(oldest));
    seconds(&mut hand, 5);
    assert_eq!(hand.counts(A), (3, 0, 0, 3_000), "what the disk does not yield has its own ten seconds");
    fail_reads(&hand, "events", 0);
    seconds(&mut hand, 2);
    assert_eq!(messages(&hand.all(&lease).await), ["m1", "m2"]);
}

#[tokio::test]
async fn what_is_too_much_and_was_stepped_over_dies_later_without_another_event() {
    let heavy = |message: &str| NewEvent { body: Bytes::from(vec![b'x'; 1_000]), ..event(message, &[A]) };
    let mut hand = cold(vec![heavy("m0"), heavy("m1")], |_| {}).await;
    let lease = hand.lease(A).await;
    let oldest = hand.all(&lease).await[0].event.seq;
    faults::inject_bad_row(&hand.config.path, "events", &seq_key(oldest));
    hand.config.backlog = 500;
    let mut hand = hand.reopen();
    seconds(&mut hand, 16);
    assert_eq!(hand.counts(A), (1, 0, 1, 1_000));
    fail_reads(&hand, "events", 0);
    seconds(&mut hand, 70);
    assert_eq!(hand.counts(A), (0, 0, 2, 0));
}

#[tokio::test]
async fn very_many_removed_endpoints_that_are_stuck_keep_nothing_else_from_its_end() {
    let many: Vec<EndpointUid> = (100..300).map(EndpointUid).collect();
    let all = vec![event("m0", &many), event("m1", &[A])];
    let mut hand = cold(all, |config| config.keep_dead = Duration::from_secs(60)).await;
    let lease = hand.lease(A).await;
    let seq = hand.all(&lease).await[0].event.seq;
    hand.settle(&lease, seq, Err(DeadReason::Exhausted));
    faults::inject_bad_row(&hand.config.path, "events", &seq_key(Seq(seq.0 - 1)));
    many.iter().for_each(|uid| hand.spool.remove_endpoint(*uid));
    hand.turn();
    seconds(&mut hand, 30);
    assert_eq!(hand.rows("deliveries"), 200);
    assert_eq!(hand.rows("dead"), 1);
    seconds(&mut hand, 40);
    assert_eq!((hand.rows("deliveries"), hand.rows("dead")), (200, 0));
}

#[tokio::test]
async fn a_damaged_event_that_is_met_more_than_once_between_two_commits_counts_once() {
    let mut hand = cold(vec![event("m0", &[A, B]), event("m1", &[A])], |_| {}).await;
    let (a, b) = (hand.lease(A).await, hand.lease(B).await);
    let damaged = hand.all(&b).await[0].event.seq;
    assert_eq!(hand.spool.pending(), 32);
    let store = hand.spool.store().unwrap();
    let mut batch = crate::spool::store::Batch::default();
    batch.insert(store.events, &seq_key(damaged), vec![7; 9]);
    store.write(&mut batch).unwrap();
    drop(store);
    for lease in [&a, &a, &b, &b] {
        hand.all(lease).await;
    }
    hand.turn();
    assert_eq!((hand.counts(A), hand.counts(B)), ((1, 0, 0, 16), (0, 0, 0, 0)));
    assert_eq!((hand.spool.pending(), hand.rows("damaged")), (16, 1));
}
