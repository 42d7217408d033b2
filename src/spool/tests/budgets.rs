use super::*;
use crate::spool::Refusal;

fn heavy(message: &str, bytes: usize, targets: &[EndpointUid]) -> NewEvent {
    NewEvent { body: Bytes::from(vec![b'x'; bytes]), ..event(message, targets) }
}

#[tokio::test]
async fn a_full_spool_refuses_until_something_is_settled() {
    let rig = Rig::with(|config, _| config.max_bytes = 2_500);
    rig.append(vec![heavy("m1", 1_000, &[A, B]), heavy("m2", 1_000, &[A])]).await;
    assert_eq!(rig.submit(vec![heavy("m3", 1_000, &[A])]).await.unwrap(), Err(Refusal::Full));
    let lease = rig.lease(A).await;
    let read = rig.all(&lease).await;
    rig.settle(&lease, read[0].event.seq, Ok(()));
    rig.written(&lease).await;
    let refused = rig.submit(vec![heavy("m3", 1_000, &[A])]).await.unwrap();
    assert_eq!(refused, Err(Refusal::Full), "B still waits for it");
    rig.settle(&lease, read[1].event.seq, Ok(()));
    rig.append(vec![heavy("m3", 1_000, &[A])]).await;
}

#[tokio::test]
async fn what_is_too_much_for_one_endpoint_dies_oldest_first() {
    let rig = Rig::with(|config, _| config.backlog = 2_500);
    rig.append((0..5).map(|n| heavy(&format!("m{n}"), 1_000, &[A])).collect()).await;
    let count = rig.hear(|event| match event {
        SpoolEvent::Died { endpoint: A, reason: DeadReason::Overflow, count } => Some(count),
        _ => None,
    });
    assert_eq!(count, 3);
    assert_eq!(rig.counts(A), (2, 0, 3, 2_000));
    let lease = rig.lease(A).await;
    let left = rig.all(&lease).await;
    assert_eq!(messages(&left), ["m3", "m4"]);
    rig.settle(&lease, Seq(left[0].event.seq.0 - 1), Ok(()));
    rig.written(&lease).await;
    assert_eq!(rig.counts(A), (2, 0, 3, 2_000), "what is dead stays dead");
}

#[tokio::test]
async fn dead_letters_go_by_age_and_by_bytes() {
    let rig = Rig::with(|config, _| config.dead_bytes = 1_500);
    rig.append((0..3).map(|n| heavy(&format!("m{n}"), 1_000, &[A])).collect()).await;
    let lease = rig.lease(A).await;
    for pending in rig.all(&lease).await {
        rig.settle(&lease, pending.event.seq, Err(DeadReason::Exhausted));
    }
    rig.written(&lease).await;
    rig.until("two are too much", |rig| rig.counts(A).2 == 1).await;
    assert_eq!((rig.rows("events"), rig.rows("dead_order")), (1, 1));
    rig.clock.0.store(31 * 24 * 3600 * 1000, Ordering::Relaxed);
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("the last is too old", |rig| rig.counts(A).2 == 0).await;
    assert_eq!(rig.rows("events"), 0);
}

#[tokio::test]
async fn history_goes_by_bytes() {
    let rig = Rig::with(|config, _| config.history_bytes = 0);
    rig.append(vec![event("m1", &[A])]).await;
    let lease = rig.lease(A).await;
    let seq = rig.all(&lease).await[0].event.seq;
    rig.settle(&lease, seq, Ok(()));
    rig.written(&lease).await;
    rig.spool.set_limits(&rig.config, rig.dedup);
    rig.until("no block is left", |rig| rig.rows("history") == 0).await;
}
