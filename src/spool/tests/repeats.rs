use super::*;
use crate::spool::codec::split_seq_key;
use crate::spool::record::{KeyAge, Totals};
use crate::spool::store::{Batch, RECOUNT};
use crate::spool::{Refusal, faults};
use std::io::ErrorKind;

fn numbered(number: u64) -> NewEvent {
    let key = [[0; 8], number.to_be_bytes()].concat().try_into().unwrap();
    NewEvent { dedup: Some(DedupKey { key, content: 1 }), ..event("m", &[]) }
}

/// The ages of all keys, row by row.
fn ages(rig: &Rig) -> Vec<Vec<KeyAge>> {
    let store = rig.spool.store().unwrap();
    let rows = store.all(&store.dedup_order).map(Result::unwrap);
    rows.map(|(key, row)| KeyAge::decode(split_seq_key(&key).unwrap(), &row).unwrap()).collect()
}

/// Writes the ages of all keys anew, in the earlier layout.
fn as_before(rig: &Rig) {
    let store = rig.spool.store().unwrap();
    let mut batch = Batch::default();
    for age in ages(rig).into_iter().flatten() {
        let row = [&age.key[..], &age.accepted_ms.to_be_bytes()].concat();
        batch.insert(store.dedup_order, &age.order.to_be_bytes(), row);
    }
    store.write(&mut batch).unwrap();
}

/// Closed, nothing is wrong with it, and it has so many keys.
async fn closed_whole(rig: &Rig, keys: u64) {
    rig.spool.close().await.unwrap();
    let checked = crate::spool::check(&rig.config.path).unwrap();
    assert_eq!(checked.damage, []);
    assert_eq!(checked.content.dedup_keys, keys);
}

fn opened(rig: Rig) -> Rig {
    let (spool, heard) = open(&rig.config, rig.dedup, &rig.clock);
    Rig { spool, heard, ..rig }
}

/// Waits until it has failed and works again.
fn recovered(rig: &Rig) {
    rig.hear(|event| matches!(event, SpoolEvent::Failing(false)).then_some(()));
}

async fn window_passes(rig: &Rig) {
    rig.clock.0.fetch_add(3_600_001, Ordering::Relaxed);
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("nothing is remembered", |rig| rig.rows("dedup_order") + rig.rows("dedup") == 0).await;
}

#[tokio::test]
async fn a_repeat_gets_the_firsts_id_and_delivers_nothing() {
    let rig = Rig::new();
    let first = rig.append(vec![keyed("m1", 1, 10, &[A, B])]).await;
    let repeat = rig.append(vec![keyed("m1", 1, 10, &[A])]).await;
    assert_eq!(repeat, [Accepted { duplicate: true, ..first[0] }]);
    assert_eq!(rig.counts(A).0, 1);
    let rig = rig.reopen().await;
    assert_eq!(rig.append(vec![keyed("m1", 1, 10, &[A])]).await, repeat);
}

#[tokio::test]
async fn the_same_key_with_other_content_refuses_all_of_it() {
    let rig = Rig::new();
    rig.append(vec![keyed("m1", 1, 10, &[A])]).await;
    let refused = rig.submit(vec![keyed("m2", 2, 20, &[A]), keyed("m1", 1, 11, &[A])]).await.unwrap();
    assert_eq!(refused, Err(Refusal::Conflict { index: 1 }));
    let refused = rig.submit(vec![keyed("m3", 3, 1, &[A]), keyed("m3", 3, 2, &[A])]).await.unwrap();
    assert_eq!(refused, Err(Refusal::Conflict { index: 1 }));
    assert_eq!(rig.counts(A).0, 1);
    let fresh = rig.append(vec![keyed("m2", 2, 20, &[A])]).await;
    assert!(!fresh[0].duplicate, "what was refused is not remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_repeats_at_once_each_key_is_delivered_once() {
    let rig = Rig::new();
    let receipts: Vec<_> = (0..10_000_u32)
        .map(|n| rig.submit(vec![keyed(&format!("m{}", n % 100), u8::try_from(n % 100).unwrap(), 1, &[A])]))
        .collect();
    let mut ids = std::collections::BTreeMap::new();
    for (n, receipt) in receipts.into_iter().enumerate() {
        let accepted = receipt.await.unwrap().unwrap()[0];
        assert_eq!(accepted.duplicate, n >= 100);
        assert_eq!(*ids.entry(n % 100).or_insert(accepted.id), accepted.id);
    }
    assert_eq!(rig.counts(A).0, 100);
    let killed = rig.killed();
    for n in 0..100 {
        let again = killed.append(vec![keyed("m", n, 1, &[A])]).await[0];
        assert!(again.duplicate);
        assert_eq!(again.id, ids[&usize::from(n)]);
    }
    assert_eq!(killed.counts(A).0, 100);
}

#[tokio::test]
async fn a_key_is_forgotten_after_the_window() {
    let rig = Rig::new();
    let old = NewEvent { accepted_ms: unix_ms(&SystemClock) - 3_600_001, ..keyed("m1", 1, 10, &[A]) };
    rig.append(vec![old]).await;
    assert!(!rig.append(vec![keyed("m1", 1, 11, &[A])]).await[0].duplicate);
    assert!(rig.append(vec![keyed("m1", 1, 11, &[A])]).await[0].duplicate);
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("the old key's age is gone", |rig| rig.rows("dedup_order") == 1).await;
    assert!(rig.append(vec![keyed("m1", 1, 11, &[A])]).await[0].duplicate, "the newer one stays");
}

#[tokio::test]
async fn only_so_many_keys_are_remembered() {
    let rig = Rig::with(|_, dedup| dedup.max = 10);
    rig.append((0..30).map(|n| keyed("m", n, 1, &[])).collect()).await;
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("the oldest are gone", |rig| rig.rows("dedup") == 10).await;
    assert_eq!(rig.rows("dedup_order"), 1);
    assert!(!rig.append(vec![keyed("m", 0, 1, &[])]).await[0].duplicate);
    assert!(rig.append(vec![keyed("m", 29, 1, &[])]).await[0].duplicate);
}

#[tokio::test]
async fn keys_of_one_commit_share_a_row_and_expire_together() {
    let rig = Rig::new();
    rig.append(vec![event("m0", &[]), keyed("m1", 1, 1, &[]), event("m2", &[])]).await;
    rig.append(vec![keyed("m3", 3, 1, &[]), event("m4", &[]), keyed("m5", 5, 1, &[])]).await;
    let orders = |rig: &Rig| -> Vec<Vec<u64>> {
        ages(rig).iter().map(|row| row.iter().map(|age| age.order).collect()).collect()
    };
    assert_eq!(orders(&rig), [vec![2], vec![4, 6]]);
    closed_whole(&rig, 3).await;
    let rig = opened(rig);
    for key in [1, 3, 5] {
        assert!(rig.append(vec![keyed("m", key, 1, &[A])]).await[0].duplicate);
    }
    assert_eq!(orders(&rig), [vec![2], vec![4, 6]]);
    window_passes(&rig).await;
    closed_whole(&rig, 0).await;
}

#[tokio::test]
async fn keys_of_one_commit_stay_until_the_newest_of_them_expires() {
    let rig = Rig::new();
    let old = NewEvent { accepted_ms: unix_ms(&SystemClock) - 3_600_001, ..keyed("m1", 1, 1, &[]) };
    rig.append(vec![old, keyed("m2", 2, 1, &[])]).await;
    rig.append(vec![keyed("m1", 1, 2, &[])]).await;
    rig.spool.set_limits(&rig.config, rig.dedup);
    // The second is granted after the housekeeping that follows the first.
    rig.lease(A).await;
    rig.lease(A).await;
    assert_eq!(rig.rows("dedup_order"), 2);
    assert!(rig.append(vec![keyed("m1", 1, 2, &[])]).await[0].duplicate, "the newer one stays");
    closed_whole(&rig, 2).await;
    window_passes(&opened(rig)).await;
}

#[tokio::test]
async fn of_a_large_commit_the_oldest_keys_are_forgotten_in_slices() {
    let rig = Rig::with(|_, dedup| dedup.max = 1200);
    rig.append((0..2500).map(numbered).collect()).await;
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("the oldest are gone", |rig| rig.rows("dedup") == 1200).await;
    assert_eq!(ages(&rig).iter().map(Vec::len).collect::<Vec<_>>(), [700, 500]);
    assert!(rig.append(vec![numbered(1300)]).await[0].duplicate);
    closed_whole(&rig, 1200).await;
    let rig = opened(rig);
    assert!(!rig.append(vec![numbered(1299)]).await[0].duplicate);
    window_passes(&rig).await;
}

#[tokio::test]
async fn rows_of_the_earlier_layout_are_counted_and_expire() {
    let rig = Rig::new();
    rig.append((0..3).map(numbered).collect()).await;
    as_before(&rig);
    assert_eq!(rig.rows("dedup_order"), 3);
    closed_whole(&rig, 3).await;
    let mut rig = opened(rig);
    rig.append((2..5).map(numbered).collect()).await;
    assert_eq!(ages(&rig).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 2]);
    rig.dedup.max = 4;
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("the oldest is gone", |rig| rig.rows("dedup") == 4).await;
    assert_eq!(rig.rows("dedup_order"), 3);
    closed_whole(&rig, 4).await;
    let rig = opened(rig);
    window_passes(&rig).await;
    closed_whole(&rig, 0).await;
}

#[tokio::test]
async fn keys_of_both_layouts_are_counted_again() {
    let rig = Rig::new();
    rig.append((0..3).map(numbered).collect()).await;
    as_before(&rig);
    rig.append((3..7).map(numbered).collect()).await;
    let store = rig.spool.store().unwrap();
    let mut batch = Batch::default();
    let totals = store.get(&store.meta, b"totals").unwrap().unwrap();
    let totals = Totals { dedup: 0, next_seq: 1, ..Totals::decode(&totals).unwrap() };
    batch.insert(store.meta, b"totals", totals.encode());
    batch.insert(store.meta, RECOUNT, vec![1]);
    store.write(&mut batch).unwrap();
    drop(store);
    let rig = rig.reopen().await;
    rig.spool.store().unwrap().make_tables();
    let rig = rig.reopen().await;
    rig.append(vec![numbered(7)]).await;
    assert_eq!(ages(&rig).last().unwrap()[0].order, 8, "after the last of its commit");
    closed_whole(&rig, 8).await;
}

#[tokio::test]
async fn a_repair_keeps_keys_of_both_layouts() {
    let rig = Rig::new();
    rig.append((0..3).map(numbered).collect()).await;
    as_before(&rig);
    rig.append((3..7).map(numbered).collect()).await;
    rig.spool.close().await.unwrap();
    crate::spool::offline::rebuild(&rig.config.path, &[], 1000).unwrap();
    let rig = opened(rig);
    assert!(rig.append((0..7).map(numbered).collect()).await.iter().all(|accepted| accepted.duplicate));
    rig.append(vec![numbered(7)]).await;
    closed_whole(&rig, 8).await;
}

#[tokio::test]
async fn the_age_of_a_key_that_is_in_no_row_is_missed() {
    let rig = Rig::new();
    rig.append((0..3).map(numbered).collect()).await;
    let store = rig.spool.store().unwrap();
    let mut batch = Batch::default();
    batch.insert(store.dedup_order, &1_u64.to_be_bytes(), KeyAge::encode(1, &ages(&rig)[0][..2]));
    store.write(&mut batch).unwrap();
    drop(store);
    rig.spool.close().await.unwrap();
    let found = crate::spool::check(&rig.config.path).unwrap().damage;
    let files: Vec<_> = found.iter().map(|damage| &*damage.file).collect();
    assert_eq!(files, ["dedup_order", "meta"], "{found:?}");
    assert!(found[0].what.starts_with("1 "), "{found:?}");
}

#[tokio::test]
async fn a_failed_commit_leaves_no_age_behind() {
    let rig = Rig::new();
    faults::inject(&rig.config.path, 1, ErrorKind::Other);
    let refused = rig.submit((0..3).map(numbered).collect()).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Failing(_))), "{refused:?}");
    recovered(&rig);
    assert!(!rig.append(vec![numbered(2)]).await[0].duplicate);
    assert_eq!(ages(&rig).concat().len(), 1);
    closed_whole(&rig, 1).await;
}

#[tokio::test]
async fn what_a_failed_commit_did_not_forget_is_forgotten_later() {
    let rig = Rig::new();
    for number in 0..3 {
        rig.append(vec![numbered(number)]).await;
    }
    faults::inject(&rig.config.path, 1, ErrorKind::Other);
    rig.clock.0.fetch_add(3_600_001, Ordering::Relaxed);
    rig.spool.set_limits(&rig.config, rig.dedup);
    recovered(&rig);
    rig.until("nothing is remembered", |rig| rig.rows("dedup_order") + rig.rows("dedup") == 0).await;
    closed_whole(&rig, 0).await;
}
