use super::*;
use crate::clock::SystemClock;
use crate::config::SpoolConfig;
use crate::ids::{Generation, Seq};
use crate::metrics::Metrics;
use crate::spool::{Append, DedupLimits, HistoryNote, Lease, NewEvent, ReadLimit, Settlement, Spool};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::oneshot;

const A: EndpointUid = EndpointUid(1);
const B: EndpointUid = EndpointUid(2);

fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

async fn spool(events: usize) -> (tempfile::TempDir, Arc<EmbeddedSpool>) {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig::at(folder.path().join("data"));
    let dedup = DedupLimits { window: Duration::from_secs(60), max: 10 };
    let spool =
        EmbeddedSpool::open(&config, dedup, Arc::new(SystemClock), &Metrics::new(), Box::new(drop)).unwrap();
    let events = (0..events).map(|n| NewEvent {
        event: Arc::from(if n % 2 == 0 { "sent" } else { "read" }),
        product: Arc::from("crm"),
        account: None,
        message_id: Arc::from(format!("m{n}")),
        body: Bytes::from_static(b"{}"),
        traceparent: None,
        dedup: None,
        targets: vec![A, B],
        generation: Generation(1),
        accepted_ms: 1_000,
    });
    let (reply, receipt) = oneshot::channel();
    spool.append(Append { events: events.collect(), reply, permit: None });
    receipt.await.unwrap().unwrap();
    (folder, spool)
}

async fn settle_all(spool: &EmbeddedSpool, uid: EndpointUid, result: Result<(), DeadReason>) -> Lease {
    let lease = spool.acquire(uid).await.unwrap();
    let limit = ReadLimit { count: count(100), bytes: usize::MAX };
    for pending in spool.read(&lease, None, limit).await.unwrap() {
        let note = HistoryNote {
            attempts: 2,
            ended_ms: crate::clock::unix_ms(&SystemClock),
            took_us: 5,
            status: Some(503),
            reason: Arc::from("503 Service Unavailable"),
            generation: Generation(1),
        };
        spool.settle(&lease, pending.event.seq, Settlement { result, note, low: Seq(0) });
        // Each in a commit of its own, so that pages cross blocks.
        spool.acquire(EndpointUid(9)).await.unwrap();
    }
    lease
}

#[tokio::test]
async fn settlements_are_listed_newest_first_page_by_page() {
    let (_folder, spool) = spool(7).await;
    settle_all(&spool, A, Ok(())).await;
    settle_all(&spool, B, Err(DeadReason::Exhausted)).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let filter = Filter { endpoint: Some(A), ..Filter::default() };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = history.list(filter.clone(), cursor, count(3)).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.message_id.to_string()));
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(seen, ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]);
    let one =
        Filter { message_id: Some(Arc::from("m3")), result: Some(Err(DeadReason::Exhausted)), ..filter };
    let one = Filter { endpoint: None, event: Some(Arc::from("read")), ..one };
    let page = history.list(one, None, count(9)).await.unwrap();
    assert_eq!(
        page.rows.iter().map(|row| (row.endpoint, row.note.status)).collect::<Vec<_>>(),
        [(B, Some(503))]
    );
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_events() {
    let (_folder, spool) = spool(3).await;
    settle_all(&spool, A, Err(DeadReason::Rejected)).await;
    settle_all(&spool, B, Err(DeadReason::Exhausted)).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let first = history.dead(None, None, count(4)).await.unwrap();
    let second = history.dead(None, first.next, count(4)).await.unwrap();
    let all: Vec<_> = first.rows.iter().chain(&second.rows).collect();
    assert_eq!(all.iter().map(|letter| letter.endpoint).collect::<Vec<_>>(), [B, B, B, A, A, A]);
    assert_eq!(all[0].event.as_ref().unwrap().message_id.as_ref(), "m2");
    let of_a = history.dead(Some(A), None, count(9)).await.unwrap();
    assert!(of_a.rows.iter().all(|letter| letter.reason == DeadReason::Rejected));
    assert_eq!((of_a.rows.len(), of_a.next), (3, None));
}
