use super::*;
use crate::spool::Refusal;

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
    assert!(!rig.append(vec![keyed("m", 0, 1, &[])]).await[0].duplicate);
    assert!(rig.append(vec![keyed("m", 29, 1, &[])]).await[0].duplicate);
}
