use super::*;
use crate::clock::SystemClock;
use crate::config::SpoolConfig;
use crate::ids::{Generation, Seq};
use crate::metrics::Metrics;
use crate::spool::{
    Append, DeadReason, DedupLimits, HistoryNote, Lease, NewEvent, ReadLimit, Settlement, Spool,
};
use bytes::Bytes;
use std::ops::RangeInclusive;
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
            ..HistoryNote::default()
        };
        spool.settle(&lease, pending.event.seq, Settlement { result, note, low: Seq(0) });
        // Each in a commit of its own, so that pages cross blocks.
        spool.acquire(EndpointUid(9)).await.unwrap();
    }
    lease
}

fn of(uid: EndpointUid) -> Filter {
    Filter { endpoints: Some([uid].into_iter().collect()), ..Filter::default() }
}

#[test]
fn the_endpoints_of_a_filter_are_found_in_whatever_order_they_were_named() {
    let named = [7, 3, 9, 1].map(EndpointUid);
    let filter = Filter { endpoints: Some(named.into_iter().collect()), ..Filter::default() };
    let of: Vec<u32> = (0..12).filter(|uid| filter.of(EndpointUid(*uid))).collect();
    assert_eq!(of, [1, 3, 7, 9]);
}

/// All pages of a list, and how many there were.
async fn listed(
    history: &EmbeddedHistory,
    filter: &Filter,
    limit: usize,
) -> (Vec<(EndpointUid, String, bool)>, usize) {
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = history.list(filter.clone(), cursor, count(limit)).await.unwrap();
        assert!(page.rows.len() <= limit);
        pages += 1;
        seen.extend(page.rows.into_iter().map(|row| match row {
            Row::Waiting(uid, event, ..) => (uid, event.message_id.to_string(), true),
            Row::Settled(row) => (row.endpoint, row.message_id.to_string(), false),
        }));
        let Some(next) = page.next else { return (seen, pages) };
        cursor = Some(next.to_string().parse().unwrap());
    }
}

#[tokio::test]
async fn settlements_are_listed_newest_first_page_by_page() {
    let (_folder, spool) = spool(7).await;
    settle_all(&spool, A, Ok(())).await;
    settle_all(&spool, B, Err(DeadReason::Exhausted)).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let (seen, _) = listed(&history, &of(A), 3).await;
    let messages: Vec<&str> = seen.iter().map(|(_, message, _)| message.as_str()).collect();
    assert_eq!(messages, ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]);
    let one = Filter {
        message_id: Some(Arc::from("m3")),
        no_delivered: true,
        dead: Some(DeadReason::Exhausted),
        status: Some(500..=599),
        event: Some(Arc::from("read")),
        ..Filter::default()
    };
    assert_eq!(listed(&history, &one, 9).await.0, [(B, "m3".to_owned(), false)]);
    let none = Filter { dead: Some(DeadReason::Gone), no_delivered: true, ..Filter::default() };
    assert!(listed(&history, &none, 9).await.0.is_empty());
}

#[tokio::test]
async fn what_waits_comes_first_over_all_endpoints_newest_accepted_first() {
    let (_folder, spool) = spool(3).await;
    settle_all(&spool, A, Ok(())).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let (seen, pages) = listed(&history, &Filter::default(), 2).await;
    let wanted = [
        (B, "m2", true),
        (B, "m1", true),
        (B, "m0", true),
        (A, "m2", false),
        (A, "m1", false),
        (A, "m0", false),
    ];
    assert_eq!(seen, wanted.map(|(uid, message, waits)| (uid, message.to_owned(), waits)));
    assert!(pages >= 3);
    let one = Filter { message_id: Some(Arc::from("m1")), ..Filter::default() };
    assert_eq!(listed(&history, &one, 9).await.0.len(), 2);
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_events_either_way() {
    let (_folder, spool) = spool(3).await;
    settle_all(&spool, A, Err(DeadReason::Rejected)).await;
    settle_all(&spool, B, Err(DeadReason::Exhausted)).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let first = history.dead(Filter::default(), None, count(4)).await.unwrap();
    let second = history.dead(Filter::default(), first.next, count(4)).await.unwrap();
    let all: Vec<_> = first.letters.iter().chain(&second.letters).collect();
    assert_eq!(all.iter().map(|letter| letter.endpoint).collect::<Vec<_>>(), [B, B, B, A, A, A]);
    assert_eq!(all[0].event.as_ref().unwrap().message_id.as_ref(), "m2");
    let of_a = history.dead(of(A), None, count(9)).await.unwrap();
    assert!(of_a.letters.iter().all(|letter| letter.reason == DeadReason::Rejected));
    assert_eq!((of_a.letters.len(), of_a.next), (3, None));
    let before = history.next_dead().await.unwrap();
    let up = history.dead_since(of(B), 0, before, count(9)).await.unwrap();
    let messages: Vec<_> =
        up.letters.iter().map(|l| l.event.as_ref().unwrap().message_id.to_string()).collect();
    assert_eq!(messages, ["m0", "m1", "m2"]);
}

#[tokio::test]
async fn a_replay_is_a_new_delivery_of_the_same_event_and_happens_once() {
    let (_folder, spool) = spool(2).await;
    settle_all(&spool, A, Err(DeadReason::Rejected)).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let letters = history.dead(Filter::default(), None, count(9)).await.unwrap().letters;
    let named: Vec<_> = letters.iter().rev().map(|letter| (letter.endpoint, letter.seq)).collect();
    // Asked for twice at once, and twice in one breath.
    let twice: Vec<_> = named.iter().chain(&named).copied().collect();
    let (one, two) = tokio::join!(history.replay(twice), history.replay(named.clone()));
    let all: Vec<Outcome> = one.unwrap().into_iter().chain(two.unwrap()).collect();
    assert_eq!(all.iter().filter(|outcome| matches!(outcome, Outcome::Replayed(_))).count(), 2, "{all:?}");
    let backlog = spool.backlog(A).unwrap();
    assert_eq!((backlog.ready, backlog.dead), (2, 0));
    let lease = spool.acquire(A).await.unwrap();
    let limit = ReadLimit { count: count(9), bytes: usize::MAX };
    let read = spool.read(&lease, None, limit).await.unwrap();
    let old: Vec<_> = letters.iter().rev().map(|letter| letter.event.clone().unwrap()).collect();
    for (now, before) in read.iter().zip(&old) {
        assert_eq!((now.event.id, &now.event.body), (before.id, &before.body));
        assert!(
            now.event.seq > before.seq && now.event.accepted_ms > before.accepted_ms && now.parked.is_none()
        );
    }
    // The first body is still there for the other endpoint, and the old delivery says what became of it.
    assert_eq!(spool.backlog(B).unwrap().ready, 2);
    let file = history.delivery(A, old[0].seq).await.unwrap().unwrap();
    assert_eq!(file.replayed_as, Some(read[0].event.seq));
    let event = history.event(old[0].id).await.unwrap().unwrap();
    assert_eq!(event.deliveries.len(), 3, "{event:?}");
}

#[tokio::test]
async fn deleted_letters_and_their_bodies_are_gone() {
    let (_folder, spool) = spool(2).await;
    settle_all(&spool, A, Err(DeadReason::Rejected)).await;
    settle_all(&spool, B, Ok(())).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let letters = history.dead(Filter::default(), None, count(9)).await.unwrap().letters;
    let named: Vec<_> = letters.iter().map(|letter| (letter.endpoint, letter.seq)).collect();
    assert_eq!(history.delete(named.clone()).await.unwrap(), 2);
    assert_eq!(history.delete(named.clone()).await.unwrap(), 0);
    assert_eq!(history.replay(named).await.unwrap(), [Outcome::Gone; 2]);
    let left = spool.look(move |store| crate::spool::past::event(store, letters[0].seq)).await.unwrap();
    assert!(left.is_none(), "{left:?}");
}

#[tokio::test]
async fn what_is_erased_is_nowhere_any_more_and_nothing_else_is_touched() {
    let (_folder, spool) = spool(3).await;
    settle_all(&spool, A, Ok(())).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let about = Filter { message_id: Some(Arc::from("m1")), ..Filter::default() };
    assert_eq!(history.erase_waiting(about.clone(), (EndpointUid(0), Seq(0))).await.unwrap(), (1, None));
    assert_eq!(history.erase_past(about.clone(), None).await.unwrap(), (1, None));
    assert!(listed(&history, &about, 9).await.0.is_empty());
    assert_eq!(listed(&history, &Filter::default(), 9).await.0.len(), 4);
    assert_eq!(spool.backlog(B).unwrap().ready, 2);
}

#[tokio::test]
async fn failed_attempts_leave_their_records_until_history_lets_them_go() {
    let (_folder, spool) = spool(1).await;
    let lease = spool.acquire(A).await.unwrap();
    let limit = ReadLimit { count: count(9), bytes: usize::MAX };
    let event = Arc::clone(&spool.read(&lease, None, limit).await.unwrap()[0].event);
    let note = |attempts| HistoryNote {
        attempts,
        steps: crate::spool::Steps { wait_us: Some(9), ..Default::default() },
        class: Some(postrider_sink::FailureClass::Timeout),
        answer: Some(Bytes::from_static(b"no")),
        reason: Arc::from("no answer"),
        ..HistoryNote::default()
    };
    for attempts in 1..=2 {
        let parked =
            crate::spool::Parked { seq: event.seq, key: event.key(), due_ms: 5, wait_ms: 1, attempts };
        spool.park(&lease, parked, note(attempts));
        spool.acquire(EndpointUid(9)).await.unwrap();
    }
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let file = history.delivery(A, event.seq).await.unwrap().unwrap();
    assert_eq!(file.waiting, Some(Some((5, 2))));
    assert_eq!(file.tried.iter().map(|tried| tried.note.clone()).collect::<Vec<_>>(), [note(1), note(2)]);
}

/// What waits for A, with the codes of the last attempts, page by page; of these codes only, if some are named.
async fn with_codes(
    history: &EmbeddedHistory,
    codes: Option<RangeInclusive<u16>>,
) -> Vec<(String, Option<u16>)> {
    let filter = Filter { status: codes, ..of(A) };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = history.list(filter.clone(), cursor, count(2)).await.unwrap();
        assert!(page.rows.len() <= 2);
        found.extend(page.rows.iter().map(|row| match row {
            Row::Waiting(_, event, _, last) => {
                (event.message_id.to_string(), last.as_ref().and_then(|note| note.status))
            }
            Row::Settled(row) => panic!("nothing has ended: {row:?}"),
        }));
        let Some(next) = page.next else { return found };
        cursor = Some(next);
    }
}

#[tokio::test]
async fn a_parked_delivery_is_listed_with_its_last_attempt_and_found_by_its_code() {
    let (folder, spool) = spool(50).await;
    let lease = spool.acquire(A).await.unwrap();
    let limit = ReadLimit { count: count(100), bytes: usize::MAX };
    let waiting = spool.read(&lease, None, limit).await.unwrap();
    for (message, code) in [(0, 404), (1, 503), (2, 404), (0, 500), (3, 500), (4, 502)] {
        let event = &waiting[message].event;
        let parked =
            crate::spool::Parked { seq: event.seq, key: event.key(), due_ms: 5, wait_ms: 1, attempts: 1 };
        let reason = Arc::from(if message == 2 { "last of 2" } else { "" });
        let note = HistoryNote { attempts: 1, status: Some(code), reason, ..HistoryNote::default() };
        spool.park(&lease, parked, note);
        spool.acquire(EndpointUid(9)).await.unwrap();
    }
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let row = |message: &str, code: u16| (message.to_owned(), Some(code));
    let failed = [row("m4", 502), row("m3", 500), row("m1", 503), row("m0", 500)];
    let all = with_codes(&history, None).await;
    assert!(all[..45].iter().all(|(_, code)| code.is_none()), "{all:?}");
    assert_eq!(all[45..], [row("m4", 502), row("m3", 500), row("m2", 404), row("m1", 503), row("m0", 500)]);
    assert_eq!(with_codes(&history, Some(500..=599)).await, failed);
    assert_eq!(
        with_codes(&history, Some(404..=404)).await,
        [row("m2", 404)],
        "m0 has failed otherwise since"
    );
    assert!(with_codes(&history, Some(200..=299)).await.is_empty());
    assert_eq!(reasons(&history).await, ["", "", "last of 2", "", ""].map(str::to_owned));

    // It is probed.
    let probed = HistoryNote { attempts: 2, status: Some(418), ..HistoryNote::default() };
    spool.tried(&lease, waiting[2].event.seq, probed);
    spool.acquire(EndpointUid(9)).await.unwrap();
    assert_eq!(with_codes(&history, Some(418..=418)).await, [row("m2", 418)]);

    // All history goes.
    let settings = SpoolConfig { history_bytes: 0, ..SpoolConfig::at(folder.path().join("data")) };
    spool.set_limits(&settings, DedupLimits { window: Duration::from_secs(60), max: 10 });
    settle_all(&spool, B, Ok(())).await;
    let gone = async {
        while spool.look(crate::spool::past::next_block).await.unwrap() > 0 {
            spool.acquire(EndpointUid(9)).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    assert_eq!(with_codes(&history, Some(500..=599)).await, failed);
    assert_eq!(with_codes(&history, Some(418..=418)).await, [row("m2", 418)]);
    assert_eq!(reasons(&history).await, [""; 5].map(str::to_owned));
}

/// Why the last attempts of what is parked for A failed.
async fn reasons(history: &EmbeddedHistory) -> Vec<String> {
    let page = history.list(of(A), None, count(100)).await.unwrap();
    let reasons = page.rows.into_iter().filter_map(|row| match row {
        Row::Waiting(_, _, _, last) => last.map(|note| note.reason.to_string()),
        Row::Settled(row) => panic!("nothing has ended: {row:?}"),
    });
    reasons.collect()
}

/// Before and after the index is lost with the process, and over more rows than one page looks at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_known_at_every_moment_of_its_settlement() {
    let (_folder, spool) = spool(64).await;
    settle_all(&spool, A, Ok(())).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let (stop, mut stopped) = oneshot::channel::<()>();
    let reading = async {
        while stopped.try_recv().is_err() {
            for seq in 1..=64 {
                let file = history.delivery(B, Seq(seq)).await.unwrap().expect("it is known");
                assert!(file.settled.is_some() || file.event.is_some(), "{file:?}");
            }
        }
    };
    let settling = async {
        settle_all(&spool, B, Ok(())).await;
        let _ = stop.send(());
    };
    tokio::join!(reading, settling);
}

#[tokio::test]
async fn a_message_is_found_among_a_hundred_thousand_in_little_time() {
    let (folder, spool) = spool(1).await;
    let lease = spool.acquire(A).await.unwrap();
    let all = 100_000;
    let mut place = 0_u64;
    for _ in 0..all / 500 {
        let events = (0..500).map(|_| {
            place += 1;
            NewEvent {
                event: Arc::from("sent"),
                product: Arc::from("crm"),
                account: None,
                message_id: Arc::from(format!("n{place}")),
                body: Bytes::from_static(b"{}"),
                traceparent: None,
                dedup: None,
                targets: vec![A],
                generation: Generation(1),
                accepted_ms: 1_000,
            }
        });
        let (reply, receipt) = oneshot::channel();
        spool.append(Append { events: events.collect(), reply, permit: None });
        receipt.await.unwrap().unwrap();
        let limit = ReadLimit { count: count(600), bytes: usize::MAX };
        for pending in spool.read(&lease, None, limit).await.unwrap() {
            let note = HistoryNote {
                attempts: 1,
                ended_ms: crate::clock::unix_ms(&SystemClock),
                ..HistoryNote::default()
            };
            spool.settle(
                &lease,
                pending.event.seq,
                Settlement { result: Ok(()), note, low: Seq(pending.event.seq.0 + 1) },
            );
        }
        spool.acquire(EndpointUid(9)).await.unwrap();
    }
    let find = async |spool: &Arc<EmbeddedSpool>| {
        let history = EmbeddedHistory::of(Arc::clone(spool));
        let begun = std::time::Duration::from_millis(crate::clock::unix_ms(&SystemClock));
        for message in ["n1", "n50000", "n99999"] {
            let filter =
                Filter { message_id: Some(Arc::from(message)), no_waiting: true, ..Filter::default() };
            assert_eq!(listed(&history, &filter, 10).await.0, [(A, message.to_owned(), false)]);
        }
        let page =
            history.list(Filter { no_waiting: true, ..Filter::default() }, None, count(500)).await.unwrap();
        assert_eq!(page.rows.len(), 500);
        let rare = Filter { account: Some(Arc::from("nobody")), no_waiting: true, ..Filter::default() };
        let page = history.list(rare, None, count(10)).await.unwrap();
        assert!(page.rows.is_empty() && page.next.is_some(), "one page looks at a bounded number of rows");
        let took = std::time::Duration::from_millis(crate::clock::unix_ms(&SystemClock)) - begun;
        assert!(took < Duration::from_secs(5), "{took:?}");
    };
    find(&spool).await;
    let history = EmbeddedHistory::of(Arc::clone(&spool));
    let (mut place, mut followed) = (0, Vec::new());
    loop {
        let (rows, next) = history.ended_after(Filter::default(), Some(place)).await.unwrap();
        assert!(rows.len() < 25_000, "{} rows at once", rows.len());
        followed.extend(rows);
        if next == place {
            break;
        }
        place = next;
    }
    let ended = |row: &Row| match row {
        Row::Settled(row) => row.seq,
        Row::Waiting(..) => unreachable!("of what ended"),
    };
    // The event that was there before, and these.
    let wanted: Vec<Seq> = (1..=all + 1).map(Seq).collect();
    assert_eq!(followed.iter().map(ended).collect::<Vec<_>>(), wanted, "each once, in order");
    drop(history);
    spool.close().await.unwrap();
    drop(spool);
    let config = SpoolConfig::at(folder.path().join("data"));
    let dedup = DedupLimits { window: Duration::from_secs(60), max: 10 };
    let spool =
        EmbeddedSpool::open(&config, dedup, Arc::new(SystemClock), &Metrics::new(), Box::new(drop)).unwrap();
    find(&spool).await;
}
