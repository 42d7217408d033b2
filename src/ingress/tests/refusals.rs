use super::harness::{EVENT, House, Says, basic, house, house_with, post, publisher};
use crate::ingress::Limits;
use crate::policy::Rate;
use crate::spool::Refusal;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test]
async fn errors_are_told_in_the_documented_precedence() {
    let minute = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(60) };
    let shop = crate::config::Publisher { rate: Some(minute), ..publisher("shop", basic("shop", "secret")) };
    let house = house_with(Limits::default(), vec![shop]).await;
    let auth = "Authorization: Basic c2hvcDpzZWNyZXQ=\r\n";
    // Everything is wrong at first; each line puts one thing right.
    let request = |method: &str, path: &str, more: &str, kind: &str, length: usize| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{more}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let steps = [
        (request("PUT", "/x", "Upgrade: h2c\r\n", "text/plain", 9999), 400, "bad-request"),
        (request("PUT", "/x", "", "text/plain", 9999), 404, "not-found"),
        (request("PUT", "/v1/events", "", "text/plain", 9999), 405, "method-not-allowed"),
        (request("POST", "/v1/events", "", "text/plain", 9999), 401, "unknown-publisher"),
        (request("POST", "/v1/events", auth, "text/plain", 9999), 415, "unsupported-type"),
        // Its one token is spent now.
        (request("POST", "/v1/events", auth, "text/plain", 9999), 429, "over-rate"),
    ];
    for (bytes, status, problem) in steps {
        let reply = house.raw(&bytes).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, problem), "{bytes}");
        match status {
            405 => assert_eq!(reply.header("allow"), Some("POST")),
            429 => {
                let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
            }
            _ => {}
        }
    }
    let open = self::house().await;
    open.says(Says::Refused(Refusal::Full));
    for (bytes, status, problem) in [
        (request("POST", "/v1/events", "", "text/plain", 9999), 415, "unsupported-type"),
        (request("POST", "/v1/events", "", "application/json", 9999), 413, "too-large"),
        (post("", "{"), 400, "not-json"),
        (post("", "{}"), 422, "not-an-event"),
        (post("", EVENT), 503, "spool-full"),
    ] {
        let reply = open.raw(&bytes).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, problem), "{bytes}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_spool_says_when_to_come_again() {
    let house = house().await;
    for (says, status, problem, retry) in [
        (Says::Refused(Refusal::Full), 503, "spool-full", Some("5")),
        (Says::Refused(Refusal::Failing("disk /secret/path".into())), 503, "spool-failing", Some("1")),
        (Says::Nothing, 503, "stopping", Some("1")),
        (Says::Refused(Refusal::Conflict { index: 1 }), 422, "key-conflict", None),
    ] {
        house.says(says);
        let reply = house.post("", &format!("[{EVENT},{EVENT}]")).await;
        assert_eq!(
            (reply.status, reply.problem().as_str(), reply.header("retry-after")),
            (status, problem, retry)
        );
        assert!(!reply.body.contains("secret"), "{reply:?}");
        if status == 422 {
            assert_eq!(reply.json()["errors"][0]["index"], 1);
        }
    }
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let house = house().await;
    let with = |headers: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n{EVENT}",
            EVENT.len()
        )
    };
    for (headers, status) in [
        ("Content-Type: application/json; charset=utf-8\r\n", 202),
        ("Content-Type: Application/JSON;charset=\"UTF-8\"\r\n", 202),
        ("Content-Type: application/json\r\nContent-Encoding: identity\r\n", 202),
        ("", 415),
        ("Content-Type: application/json; charset=latin1\r\n", 415),
        ("Content-Type: text/json\r\n", 415),
        ("Content-Type: application/cloudevents+json\r\n", 422),
        ("Content-Type: application/json\r\nContent-Type: application/json\r\n", 415),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", 415),
        ("Content-Type: application/json\r\nContent-Encoding: identity, br\r\n", 415),
    ] {
        assert_eq!(house.raw(with(headers)).await.status, status, "{headers}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_and_while_it_is_read() {
    let house = house().await;
    let exact = format!("{EVENT}{}", " ".repeat(4096 - EVENT.len()));
    assert_eq!(house.post("", &exact).await.status, 202);
    let reply = house.post("", &format!("{exact} ")).await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));

    let mut client = house.connect().await;
    client
        .send("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..64 {
        client.send(format!("400\r\n{}\r\n", " ".repeat(1024))).await;
    }
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn what_is_no_event_is_told_event_by_event() {
    let house = house().await;
    let reply = house.post("", &format!(r#"[{EVENT},{{"event":"sent"}}]"#)).await;
    let document = reply.json();
    assert_eq!((reply.status, reply.problem().as_str()), (422, "not-an-event"));
    assert_eq!(document["errors"][0]["index"], 1);
    assert_eq!(document["errors"][0]["pointer"], "/product");
    let many = format!("[{}]", [EVENT; 11].join(","));
    assert_eq!(house.post("", &many).await.status, 422);
    assert!(house.events().is_empty());
}

#[tokio::test]
async fn the_key_of_the_head_is_for_one_event() {
    let house = house().await;
    assert_eq!(house.post("Idempotency-Key: \"k1\"\r\n", EVENT).await.status, 202);
    assert_eq!(house.post("Idempotency-Key: k1\r\n", EVENT).await.status, 202);
    let events = house.events();
    assert!(events[0].dedup.is_some() && events[0].dedup == events[1].dedup);
    for (headers, body) in [
        ("Idempotency-Key: k1\r\n", format!("[{EVENT}]")),
        ("Idempotency-Key: k1\r\nIdempotency-Key: k1\r\n", EVENT.to_owned()),
        ("Idempotency-Key:\r\n", EVENT.to_owned()),
        ("Idempotency-Key: k1\r\n", EVENT.replacen('{', r#"{"id":"k2","#, 1)),
    ] {
        assert_eq!(house.post(headers, &body).await.status, 422, "{headers}");
    }
}

/// A house whose room is taken by one request that the router holds.
async fn full(limits: Limits) -> (House, super::harness::Client, Vec<crate::router::Submission>) {
    let house = house_with(limits, Vec::new()).await;
    house.says(Says::Later);
    let mut client = house.connect().await;
    client.send(post("", EVENT)).await;
    let held = house.held(1).await;
    house.says(Says::Accepted);
    (house, client, held)
}

#[tokio::test]
async fn no_more_is_let_in_than_there_is_room_for_and_room_comes_back() {
    let size = u32::try_from(EVENT.len()).unwrap();
    for limits in [
        Limits { events_in_flight: 1, ..Limits::default() },
        Limits { bytes_in_flight: size + 1, ..Limits::default() },
    ] {
        let (house, _client, held) = full(limits).await;
        let reply = house.post("", EVENT).await;
        assert_eq!((reply.status, reply.problem().as_str()), (503, "overloaded"));
        assert_eq!(reply.header("retry-after"), Some("1"));
        drop(held);
        assert_eq!(house.post("", EVENT).await.status, 202);
    }
}

#[tokio::test]
async fn those_who_send_half_a_body_and_wait_keep_nobody_out_who_sends_a_whole_one() {
    let house = house_with(Limits { bytes_in_flight: 16_384, ..Limits::default() }, Vec::new()).await;
    let whole = post("", &format!("{EVENT}{}", " ".repeat(4000 - EVENT.len())));
    let (half, _) = whole.split_at(whole.len() - 100);
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let mut client = house.connect().await;
        client.send(half).await;
        clients.spawn(async move { client.reply().await });
    }
    // Two are within the half that such bodies may have; the others are told.
    for _ in 0..6 {
        let reply = clients.join_next().await.unwrap().unwrap();
        assert_eq!((reply.status, reply.problem().as_str()), (503, "overloaded"));
    }
    assert_eq!(house.raw(&whole).await.status, 202);
}

#[tokio::test]
async fn an_array_larger_than_the_room_for_events_comes_once_it_has_all_of_it() {
    let house = house_with(Limits { events_in_flight: 3, ..Limits::default() }, Vec::new()).await;
    let array = format!("[{}]", [EVENT; 10].join(","));
    assert_eq!(house.post("", &array).await.status, 202);
    house.says(Says::Later);
    let mut client = house.connect().await;
    client.send(post("", EVENT)).await;
    let held = house.held(1).await;
    house.says(Says::Accepted);
    assert_eq!(house.post("", &array).await.status, 503);
    drop(held);
    assert_eq!(house.post("", &array).await.status, 202);
}

#[tokio::test]
async fn what_is_not_taken_is_told_with_what_would_be() {
    let house = house().await;
    let typed = |headers: &str| {
        format!("POST /v1/events HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 2\r\n\r\n{{}}")
    };
    let reply = house.raw(typed("Content-Type: text/plain\r\n")).await;
    assert!(reply.header("accept").is_some_and(|types| types.starts_with("application/json, ")), "{reply:?}");
    let reply = house.raw(typed("Content-Type: application/json\r\nContent-Encoding: gzip\r\n")).await;
    assert_eq!((reply.status, reply.header("accept-encoding")), (415, Some("identity")));
}

#[tokio::test]
async fn connections_beyond_the_caps_are_closed_at_once() {
    for limits in [
        Limits { connections: 2, ..Limits::default() },
        Limits { connections_per_ip: 2, ..Limits::default() },
    ] {
        let house = house_with(limits, Vec::new()).await;
        let mut first = house.connect().await;
        first.send(post("", EVENT)).await;
        assert_eq!(first.reply().await.status, 202);
        let mut second = house.connect().await;
        second.send(post("", EVENT)).await;
        assert_eq!(second.reply().await.status, 202);
        let mut third = house.connect().await;
        assert!(third.is_closed().await);
        first.send(post("", EVENT)).await;
        assert_eq!(first.reply().await.status, 202);
    }
}
