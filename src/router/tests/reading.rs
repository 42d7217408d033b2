//! What is read from the spool, and when.

use super::idle::pass;
use super::script::{acme, at_once, taken};
use super::*;
use crate::clock::unix_ms;
use crate::delivery::EndpointHandle;
use crate::ids::{EventId, Seq};
use crate::spool::{Append, Committed, HistoryNote, Parked, ReadLimit, SpoolEvent, StoredEvent, Wake};
use std::num::NonZeroUsize;

const HOUR: Duration = Duration::from_secs(3600);

/// Of the same message, with another body.
fn of(message: &str, body: &str) -> NewEvent {
    NewEvent { message_id: message.into(), ..event(body) }
}

/// What an earlier run has left for `acme`: these deliveries, some of them parked for so long.
async fn left_behind(events: Vec<NewEvent>, parked: impl Fn(&StoredEvent) -> bool, wait: Duration) -> House {
    let (_tell, seen) = mpsc::unbounded_channel();
    let house = House::open(tempfile::tempdir().unwrap(), seen).await;
    let uids = house.spool.register(vec![Identity { name: "acme".into(), account: None }]).await.unwrap();
    let (reply, receipt) = oneshot::channel();
    let events = events.into_iter().map(|event| NewEvent { targets: uids.clone(), ..event }).collect();
    house.spool.append(Append { events, reply, permit: None });
    receipt.await.unwrap().unwrap();
    let lease = house.spool.acquire(uids[0]).await.unwrap();
    let all = ReadLimit { count: NonZeroUsize::MAX, bytes: usize::MAX };
    let wait_ms = u64::try_from(wait.as_millis()).unwrap();
    for pending in house.spool.read(&lease, None, all).await.unwrap() {
        let event = &pending.event;
        if parked(event) {
            let (seq, key, due_ms) = (event.seq, event.key(), unix_ms(&SystemClock) + wait_ms);
            let parked = Parked { seq, key, due_ms, wait_ms, attempts: 1 };
            house.spool.park(&lease, parked, HistoryNote::default());
        }
    }
    house.reopen().await
}

#[tokio::test]
async fn what_lies_between_parked_deliveries_arrives_though_all_of_them_are_due_at_the_start() {
    const MESSAGES: usize = 200;
    let message = |number: usize| {
        let name = format!("m{number}");
        ["sent", "delivered"].map(|status| of(&name, &format!("{name}-{status}")))
    };
    let events = (0..MESSAGES).flat_map(message).collect();
    let mut house = left_behind(events, |event| event.body.ends_with(b"sent"), Duration::ZERO).await;
    let tell = house.listen();
    let takes = at_once(move |body, _| taken(&tell, "acme", body));
    house.publish(acme(DeliverySettings::default(), 1, takes)).await;
    let texts = house.texts(2 * MESSAGES).await;
    for number in 0..MESSAGES {
        let begins = format!("m{number}-");
        let arrived: Vec<&str> = texts.iter().filter_map(|text| text.strip_prefix(&begins)).collect();
        assert_eq!(arrived, ["sent", "delivered"], "of message {number}");
    }
    house.stop().await;
}

#[tokio::test]
async fn however_many_are_parked_at_the_start_of_a_wide_endpoint_the_next_event_arrives() {
    const PARKED: usize = 2000;
    let events = (0..PARKED).map(|number| event(&format!("m{number}"))).collect();
    let mut house = left_behind(events, |_| true, HOUR).await;
    let tell = house.listen();
    let takes = at_once(move |body, _| taken(&tell, "acme", body));
    let concurrency = NonZeroUsize::new(1024).unwrap();
    let delivery = DeliverySettings { concurrency, ..DeliverySettings::default() };
    house.publish(acme(delivery, 1, takes)).await;
    house.post("next").await;
    assert_eq!(house.texts(1).await, ["next"]);
    house.stop().await;
}

/// One message whose first event is parked for an hour; everything else is taken.
async fn parked() -> House {
    let mut house = house(&[]).await;
    let tell = house.listen();
    let answers = at_once(move |body, attempt| match (body, attempt) {
        ("a0", 1) => Outcome::unfit(FailureClass::HttpError, "not now"),
        _ => taken(&tell, "acme", body),
    });
    let mut delivery = DeliverySettings::default();
    delivery.retry.schedule = vec![HOUR];
    house.publish(acme(delivery, 1, answers)).await;
    house.post_all(vec![of("a", "a0")]).await;
    house.until_parked(1).await;
    house
}

#[tokio::test]
async fn large_deliveries_behind_a_parked_one_do_not_keep_those_of_other_messages() {
    let mut house = parked().await;
    let padding = "x".repeat(256 * 1024);
    for number in 1..=5 {
        house.post_all(vec![of("a", &format!("a{number} {padding}"))]).await;
    }
    house.post("b").await;
    assert_eq!(house.texts(1).await, ["b"]);
    pass(2 * HOUR).await;
    assert_eq!(house.texts(6).await, ["a0", "a1", "a2", "a3", "a4", "a5"]);
    house.stop().await;
}

#[tokio::test]
async fn another_order_makes_large_deliveries_wait_but_not_those_of_other_messages() {
    let mut house = house(&[]).await;
    let tell = house.listen();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let hung = Arc::clone(&gate);
    let answers = move |body: String, _attempt: u32| -> futures_util::future::BoxFuture<'static, Outcome> {
        let (tell, hung) = (tell.clone(), Arc::clone(&hung));
        Box::pin(async move {
            match &*body {
                "a0" => Outcome::unfit(FailureClass::HttpError, "not now"),
                "hangs" => {
                    let outcome = taken(&tell, "acme", &body);
                    // Closed in the end.
                    drop(hung.acquire().await);
                    outcome
                }
                _ => taken(&tell, "acme", &body),
            }
        })
    };
    let mut delivery =
        DeliverySettings { ordering: crate::policy::Ordering::None, ..DeliverySettings::default() };
    delivery.concurrency = NonZeroUsize::MIN;
    delivery.retry.schedule = vec![HOUR];
    delivery.timeout = HOUR;
    house.publish(acme(delivery.clone(), 1, answers.clone())).await;
    house.post_all(vec![of("a", "a0")]).await;
    house.until_parked(1).await;
    house.post("hangs").await;
    assert_eq!(house.texts(1).await, ["hangs"]);
    let padding = "x".repeat(256 * 1024);
    for number in 1..=5 {
        house.post_all(vec![of("a", &format!("a{number} {padding}"))]).await;
    }
    house.post("b").await;
    // They wait with their bodies; now they wait for the retry of the first.
    delivery.ordering = crate::policy::Ordering::Message;
    house.publish(acme(delivery, 1, answers)).await;
    gate.close();
    assert_eq!(house.texts(1).await, ["b"]);
    house.stop().await;
}

#[tokio::test]
async fn what_was_let_go_behind_a_parked_one_is_read_again_many_at_a_time() {
    const BEHIND: usize = 64;
    let mut house = parked().await;
    let padding = "x".repeat(32 * 1024);
    let behind = |number: usize| of("a", &format!("a{number} {padding}"));
    house.post_all((1..=BEHIND).map(behind).collect()).await;
    house.post("b").await;
    assert_eq!(house.texts(1).await, ["b"]);
    pass(2 * HOUR).await;
    let wanted: Vec<String> = (0..=BEHIND).map(|number| format!("a{number}")).collect();
    assert_eq!(house.texts(BEHIND + 1).await, wanted);
    let (fetches, fetched) = (house.reads.fetches(), house.reads.fetched());
    assert!(fetches <= 8 && fetched <= BEHIND + 1, "{fetched} in {fetches} parts");
    house.stop().await;
}

#[tokio::test]
async fn in_the_order_of_the_endpoint_nothing_is_read_behind_one_that_has_failed_nor_anything_twice() {
    const STORED: usize = 2000;
    let events = (0..STORED).map(|number| event(&format!("m{number}"))).collect();
    let mut house = left_behind(events, |_| false, HOUR).await;
    let tell = house.listen();
    let answers = at_once(move |body, attempt| match (body, attempt) {
        ("m0", 1) => Outcome::unfit(FailureClass::HttpError, "not now"),
        _ => taken(&tell, "acme", body),
    });
    let mut delivery =
        DeliverySettings { ordering: crate::policy::Ordering::Endpoint, ..DeliverySettings::default() };
    delivery.retry.schedule = vec![HOUR];
    house.publish(acme(delivery, 1, answers)).await;
    house.until_parked(1).await;
    house.until_read().await;
    let rows = house.reads.rows();
    assert!(rows <= 512, "{rows} were read that can only wait");
    pass(2 * HOUR).await;
    let wanted: Vec<String> = (0..STORED).map(|number| format!("m{number}")).collect();
    assert_eq!(house.texts(STORED).await, wanted);
    assert_eq!((house.reads.rows(), house.reads.fetched()), (STORED, 1));
    house.stop().await;
}

#[tokio::test]
async fn a_large_parked_delivery_that_was_read_while_nothing_could_be_sent_does_not_stop_its_endpoint() {
    let mut house = house(&[]).await;
    let tell = house.listen();
    let answers = at_once(move |body, attempt| match (body.split(' ').next(), attempt) {
        (Some("large"), 1) => Outcome::unfit(FailureClass::HttpError, "not this one"),
        (Some("wait"), 1) => Outcome::busy(HOUR, "not now"),
        _ => taken(&tell, "acme", body),
    });
    let mut delivery = DeliverySettings::default();
    delivery.retry.schedule = vec![HOUR];
    house.publish(acme(delivery, 1, answers)).await;
    house.post_all(vec![of("a", &format!("large {}", "x".repeat(3 << 19)))]).await;
    house.until_parked(1).await;
    // Now the whole endpoint waits, and the oldest is there to be looked at.
    house.post("wait").await;
    house.until_fetched(1).await;
    assert!(house.router.resume("acme").await);
    house.post("b").await;
    assert_eq!(house.texts(1).await, ["b"]);
    house.stop().await;
}

#[tokio::test]
async fn what_was_in_the_mailbox_of_an_actor_that_died_is_no_burden_for_the_next() {
    let mut house = house(&["acme"]).await;
    house.post("before").await;
    house.seen(1).await;
    house.calm().await;
    let endpoint = house.router.table().named("acme").unwrap().uid;
    let lost = Arc::new(StoredEvent {
        seq: Seq(1_000_000),
        id: EventId([0; 16]),
        event: "sent".into(),
        product: "crm".into(),
        account: None,
        message_id: "lost".into(),
        body: "lost".into(),
        traceparent: None,
        generation: Generation(1),
        accepted_ms: unix_ms(&SystemClock),
        targets: 1,
    });
    // The router handles both before the actor has its turn: there is one thread.
    house.router.crash("acme");
    let wake = Wake { endpoint, after: None, events: vec![lost; EndpointHandle::CREDIT] };
    house.router.spool_event(SpoolEvent::Committed(Committed { wakes: vec![wake] }));
    let start = SystemClock.now();
    while !house.metrics.render().contains("postrider_actor_restarts_total{actor=\"endpoint\"} 1\n") {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not crash");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The first of them may be read as it begins; of the others it must be told.
    for text in ["one", "two", "three"] {
        house.post(text).await;
        assert_eq!(house.seen(1).await, [("acme", text.to_owned())]);
        house.calm().await;
    }
    house.stop().await;
}
