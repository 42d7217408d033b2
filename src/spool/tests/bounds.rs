//! What one turn of the writer may cost, however much there is to do.

use super::hand::{DEDUP, Hand};
use super::*;

fn heavy(message: &str, bytes: usize, targets: &[EndpointUid]) -> NewEvent {
    NewEvent { body: Bytes::from(vec![b'x'; bytes]), ..event(message, targets) }
}

#[tokio::test]
async fn an_endpoint_at_its_limit_costs_a_turn_what_it_ends_and_nothing_dies_that_fits() {
    const LIMIT: u64 = 1 << 20;
    let mut hand = Hand::new(|config| config.backlog = LIMIT);
    let mut most = 0;
    for turn in 0..200 {
        let before = hand.looked();
        hand.append((0..50).map(|n| heavy(&format!("m{turn}.{n}"), 512, &[A])).collect()).await;
        most = most.max(hand.looked() - before);
        assert!(hand.counts(A).3 <= LIMIT);
    }
    assert_eq!(hand.counts(A), (LIMIT / 512, 0, 10_000 - LIMIT / 512, LIMIT));
    assert!(most <= 150, "{most} rows looked at in one turn, to end 50");
    let lease = hand.lease(A).await;
    let left = hand.all(&lease).await;
    assert_eq!((left.len() as u64, messages(&left).last().copied()), (LIMIT / 512, Some("m199.49")));
}

#[tokio::test]
async fn parked_deliveries_die_in_their_order_among_those_that_are_ready() {
    let mut hand = Hand::new(|config| config.backlog = 5_000);
    hand.append((0..5).map(|n| heavy(&format!("m{n}"), 1_000, &[A])).collect()).await;
    let lease = hand.lease(A).await;
    for one in &hand.all(&lease).await[..2] {
        let (seq, key) = (one.event.seq, one.event.key());
        let parked = crate::spool::Parked { seq, key, due_ms: 9, wait_ms: 1, attempts: 1 };
        hand.spool.park(&lease, parked, note(9));
    }
    let third = hand.all(&lease).await[2].event.seq;
    // Nothing ready lies before the third: the parked ones are found all the same.
    let settlement = Settlement { result: Ok(()), note: note(9), low: Seq(third.0 + 1) };
    hand.spool.settle(&lease, third, settlement);
    hand.turn();
    assert_eq!(hand.counts(A), (2, 2, 0, 4_000));
    hand.append((5..8).map(|n| heavy(&format!("m{n}"), 1_000, &[A])).collect()).await;
    assert_eq!(hand.counts(A), (5, 0, 2, 5_000));
    assert_eq!(messages(&hand.all(&lease).await), ["m3", "m4", "m5", "m6", "m7"]);
    hand.append(vec![heavy("m8", 1_000, &[A])]).await;
    assert_eq!(messages(&hand.all(&lease).await), ["m4", "m5", "m6", "m7", "m8"]);
}

#[tokio::test]
async fn endpoints_that_have_too_much_take_turns() {
    let mut hand = Hand::new(|_| {});
    hand.append((0..500).map(|n| heavy(&format!("m{n}"), 1_000, &[A])).collect()).await;
    hand.append((0..10).map(|n| heavy(&format!("m{n}"), 1_000, &[B])).collect()).await;
    let config = SpoolConfig { backlog: 5_000, ..hand.config.clone() };
    hand.spool.set_limits(&config, DEDUP);
    hand.append(vec![heavy("more", 1_000, &[A, B])]).await;
    assert_eq!((hand.counts(A).0, hand.counts(B).0), (301, 11), "a slice for the first");
    hand.later(5);
    assert!(hand.counts(A).0 > 5);
    assert_eq!(hand.counts(B).0, 5, "none waits for one that has far more");
    for _ in 0..2 {
        hand.later(5);
    }
    assert_eq!(hand.counts(A).0, 5);
}

#[tokio::test]
async fn one_slice_of_housekeeping_brings_only_so_many_bytes_into_memory() {
    let mut hand = Hand::new(|_| {});
    hand.append((0..64).map(|n| heavy(&format!("m{n}"), 256 * 1024, &[A])).collect()).await;
    let mut hand = hand.reopen();
    hand.spool.remove_endpoint(A);
    hand.turn();
    assert_eq!((hand.counts(A).0, hand.counts(A).2), (32, 32), "8 MiB of bodies");
    for _ in 0..3 {
        hand.later(5);
    }
    assert_eq!((hand.counts(A).0, hand.counts(A).2), (0, 64));
}

#[tokio::test]
async fn a_commit_takes_only_so_many_deliveries_however_short_the_bodies() {
    let mut hand = Hand::new(|_| {});
    let targets: Vec<EndpointUid> = (1..=2_000).map(EndpointUid).collect();
    let receipts: Vec<_> = (0..80).map(|n| hand.submit(vec![event(&format!("m{n}"), &targets)])).collect();
    hand.turn();
    let first = hand.counts(A).0;
    assert!((1..70).contains(&first), "{first} events of 2,000 deliveries in one commit");
    hand.turn();
    assert_eq!(hand.counts(A).0, 80);
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap().unwrap()[0].deliveries, 2_000);
    }
}
