use super::kit::{Rig, core, ids, stream, table, text};
use super::server::NatsServer;
use crate::link::OWED;
use async_nats::ConnectOptions;
use futures_util::StreamExt as _;
use postrider_sink::testkit::delivery;
use postrider_sink::{Delivery, Verdict};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_stream_gets_the_body_and_says_where_it_is_and_takes_a_repeat_once() {
    let server = NatsServer::start("");
    let stream = stream(&server, ConnectOptions::new()).await;
    let rig = Rig::of(&table(server.port)).await;
    let mut event = Delivery { account: Some("acme".into()), attempt: 3, ..delivery("evt_1") };
    event.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let outcome = rig.sink.deliver(&event).await;
    assert_eq!((outcome.verdict, &*outcome.reason), (Verdict::Delivered, "stored in EVENTS, number 1"));
    assert_eq!(rig.deliver("evt_1").await, Ok("stored in EVENTS already, number 1".into()));
    assert_eq!(rig.deliver("evt_2").await, Ok("stored in EVENTS, number 2".into()));
    assert_eq!(ids(&stream).await, ["evt_1", "evt_2"]);
    let stored = stream.get_raw_message(1).await.unwrap();
    assert_eq!((&stored.payload, stored.subject.as_str()), (&event.body, "events.delivered"));
    let header = |name| stored.headers.get(name).map(ToString::to_string).unwrap_or_default();
    for (name, value) in [
        ("Nats-Msg-Id", "evt_1"),
        ("webhook-id", "evt_1"),
        ("content-type", "application/json"),
        ("postrider-event", "delivered"),
        ("postrider-product", &event.product),
        ("postrider-account", "acme"),
        ("postrider-attempt", "3"),
        ("traceparent", event.traceparent.as_deref().unwrap()),
        ("postrider-test", ""),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
}

#[tokio::test]
async fn what_no_stream_takes_is_told_and_not_delivered() {
    let server = NatsServer::start("");
    let rig = Rig::of(&table(server.port)).await;
    let wrong = rig.deliver("evt_1").await.unwrap_err();
    assert!(wrong.contains("no stream takes the subject events.delivered"), "{wrong}");
    let stream = stream(&server, ConnectOptions::new()).await;
    assert!(rig.deliver("evt_2").await.is_ok());
    let mut other = table(server.port);
    other.insert("stream".into(), text("ORDERS"));
    let wrong = Rig::of(&other).await.deliver("evt_3").await.unwrap_err();
    assert!(wrong.contains("the stream refuses it: expected stream does not match"), "{wrong}");
    // Too large for the stream, then for the server: about this event, so the breaker does not count it.
    for size in [400, 2000] {
        let event = Delivery { body: vec![b'x'; size * 1024].into(), ..delivery("evt_large") };
        let outcome = rig.sink.deliver(&event).await;
        assert!(matches!(outcome.verdict, Verdict::Failed { breaker: false, .. }), "{outcome:?}");
    }
    assert_eq!(ids(&stream).await, ["evt_2"]);
}

#[tokio::test]
async fn a_plain_subject_reaches_who_listens_before_it_counts_as_delivered() {
    let server = NatsServer::start("");
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut listener = client.subscribe("events.*").await.unwrap();
    client.flush().await.unwrap();
    let rig = Rig::of(&core(server.port)).await;
    for id in ["evt_1", "evt_2"] {
        assert_eq!(rig.deliver(id).await, Ok("published".into()));
        let message = tokio::time::timeout(SOON, listener.next()).await.unwrap().unwrap();
        assert_eq!(message.headers.unwrap().get("webhook-id").unwrap().as_str(), id);
    }
}

#[tokio::test]
async fn somebody_who_listens_to_everything_keeps_no_event_from_counting_as_delivered() {
    let server = NatsServer::start("");
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut everything = client.subscribe(">").await.unwrap();
    client.publish("are.you.there", "".into()).await.unwrap();
    tokio::time::timeout(SOON, everything.next()).await.unwrap().unwrap();
    let rig = Rig::of(&core(server.port)).await;
    let outcome = tokio::time::timeout(SOON, rig.deliver("evt_1")).await.expect("soon");
    assert_eq!(outcome, Ok("published".into()));
}

const USERS: &str = r#"authorization { users = [
    { user: narrow, password: secret-word, permissions: { publish: "events.read" } },
    { user: asking, password: secret-word, permissions: { publish: ["events.read", "_INBOX.>"] } },
    { user: deaf, password: secret-word, permissions: { publish: ">", subscribe: "nothing" } },
    { user: all, password: all }
] }"#;

fn as_user(mut table: postrider_sink::Table, user: &str) -> postrider_sink::Table {
    let auth = [("username".into(), text(user)), ("password".into(), text("secret-word"))];
    table.insert("auth".into(), postrider_sink::Value::Table(auth.into()));
    table
}

#[tokio::test]
async fn a_subject_that_the_user_may_not_publish_to_is_told_and_leaves_the_others_alone() {
    let server = NatsServer::start(USERS);
    let _stream = stream(&server, ConnectOptions::with_user_and_password("all".into(), "all".into())).await;
    for table in [table(server.port), core(server.port)] {
        let rig = Rig::of(&as_user(table, "narrow")).await;
        for _ in 0..2 {
            let wrong = rig.deliver("evt_1").await.unwrap_err();
            assert!(wrong.contains("does not let this user publish to events.delivered"), "{wrong}");
            let allowed = Delivery { event: "read".into(), ..delivery("evt_2") };
            let outcome = rig.sink.deliver(&allowed).await;
            assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
        }
    }
    let rig = Rig::of(&as_user(table(server.port), "deaf")).await;
    let wrong = rig.deliver("evt_3").await.unwrap_err();
    assert!(wrong.contains("Permissions Violation for Subscription"), "{wrong}");
}

#[tokio::test]
async fn a_refusal_is_told_every_time_however_many_there_were_before() {
    let server = NatsServer::start(USERS);
    let rig = Rig::of(&as_user(core(server.port), "narrow")).await;
    // The question behind each event is refused as well: more than are remembered.
    for nth in 0..300 {
        let wrong = rig.deliver("evt_1").await.unwrap_err();
        assert!(wrong.contains("does not let this user publish to events.delivered"), "{nth}: {wrong}");
    }
    let allowed = Delivery { event: "read".into(), ..delivery("evt_2") };
    let outcome = rig.sink.deliver(&allowed).await;
    assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
}

#[tokio::test]
async fn questions_that_are_refused_use_one_inbox_again_and_again() {
    let server = NatsServer::start(USERS);
    let rig = Rig::of(&as_user(core(server.port), "narrow")).await;
    let allowed = Delivery { event: "read".into(), ..delivery("evt_1") };
    for _ in 0..300 {
        let outcome = rig.sink.deliver(&allowed).await;
        assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    }
    // The server writes down the subject of each that it refuses.
    let log = std::fs::read_to_string(server.folder.path().join("log")).unwrap();
    let inboxes: BTreeSet<&str> = log.split('"').filter(|part| part.starts_with("_INBOX.")).collect();
    assert_eq!(inboxes.len(), 1, "{inboxes:?}");
}

#[tokio::test]
async fn a_connection_that_is_owed_too_many_acknowledgements_is_followed_by_another() {
    let server = NatsServer::start(USERS);
    let rig = Rig::of(&as_user(table(server.port), "narrow")).await;
    for (more, connections) in [(OWED, 1), (1, 2), (1, 2)] {
        for _ in 0..more {
            let wrong = rig.deliver("evt_1").await.unwrap_err();
            assert!(wrong.contains("does not let this user publish to events.delivered"), "{wrong}");
        }
        assert_eq!(rig.connector.asked.load(Ordering::SeqCst), connections);
    }
}

/// Has the server read its configuration again, with something else in it.
async fn reload(server: &NatsServer, from: &str, to: &str) {
    let [config, log] = ["server.conf", "log"].map(|name| server.folder.path().join(name));
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&config, text.replace(from, to)).unwrap();
    let process = server.child.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    let started = tokio::time::Instant::now();
    loop {
        let said = std::fs::read_to_string(&log).unwrap();
        if said.contains("Reloaded server configuration") {
            return;
        }
        assert!(started.elapsed() < SOON, "{said}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_noticed_at_the_second_event_at_the_latest() {
    let server = NatsServer::start(USERS);
    let rig = Rig::of(&as_user(core(server.port), "asking")).await;
    let read = Delivery { event: "read".into(), ..delivery("evt_1") };
    for _ in 0..3 {
        let outcome = rig.sink.deliver(&read).await;
        assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    }
    reload(&server, r#"["events.read", "_INBOX.>"]"#, r#"["_INBOX.>"]"#).await;
    rig.sink.deliver(&read).await;
    for nth in 0..10 {
        let outcome = rig.sink.deliver(&read).await;
        let wrong = &outcome.reason;
        assert!(wrong.contains("does not let this user publish to events.read"), "{nth}: {outcome:?}");
    }
}
