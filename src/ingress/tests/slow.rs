use super::harness::{EVENT, Says, house_with, post};
use crate::ingress::Limits;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const SHORT: Duration = Duration::from_millis(200);
/// What is not looked at here.
const LONG: Duration = Duration::from_secs(60);

fn patient() -> Limits {
    Limits {
        first_byte: LONG,
        head: LONG,
        body_idle: LONG,
        body_total: LONG,
        body_rate_after: LONG,
        answer: LONG,
        idle: LONG,
        age: LONG,
        linger: SHORT,
        ..Limits::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "real sockets, real time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_connection_that_never_says_anything_is_closed() {
    let house = house_with(Limits { first_byte: SHORT, ..patient() }, Vec::new()).await;
    let begun = now();
    let mut client = house.connect().await;
    assert!(client.is_closed().await);
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused_with_408() {
    let house = house_with(Limits { head: SHORT, ..patient() }, Vec::new()).await;
    let mut client = house.connect().await;
    client.send("POST /v1/events HTTP/1.1\r\nHost: a\r\nX: ").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.problem().as_str()), (408, "too-slow"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_head_that_drips_is_refused_behind_good_requests_too() {
    let house = house_with(Limits { head: SHORT, ..patient() }, Vec::new()).await;
    let mut client = house.connect().await;
    client.send(post("", EVENT)).await;
    assert_eq!(client.reply().await.status, 202);
    let (mut read, mut write) = client.stream.into_split();
    let drip = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            if write.write_all(b"P").await.is_err() {
                break;
            }
        }
    };
    let answer = async {
        let mut bytes = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let bytes = tokio::select! { () = drip => String::new(), bytes = answer => bytes };
    assert!(bytes.is_empty() || bytes.starts_with("HTTP/1.1 4"), "{bytes}");
}

#[tokio::test]
async fn a_body_that_stalls_or_drips_or_never_ends_is_refused_with_408() {
    for (limits, drips) in [
        (Limits { body_idle: SHORT, ..patient() }, false),
        (Limits { body_total: SHORT, ..patient() }, true),
        (Limits { body_rate_after: SHORT, body_rate: 1_000_000, ..patient() }, true),
    ] {
        let house = house_with(limits, Vec::new()).await;
        let mut client = house.connect().await;
        client.send("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{").await;
        if drips {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                client.send(" ").await;
            }
        }
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.problem().as_str()), (408, "too-slow"));
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(client.is_closed().await);
        assert!(house.events().is_empty());
    }
}

#[tokio::test]
async fn a_connection_that_waits_too_long_for_its_next_request_is_closed() {
    let house = house_with(Limits { idle: SHORT, ..patient() }, Vec::new()).await;
    let mut client = house.connect().await;
    for _ in 0..2 {
        client.send(post("", EVENT)).await;
        assert_eq!(client.reply().await.status, 202);
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn an_old_connection_finishes_its_request_and_is_closed() {
    let house = house_with(Limits { age: SHORT, ..patient() }, Vec::new()).await;
    let mut idle = house.connect().await;
    idle.send(post("", EVENT)).await;
    assert_eq!(idle.reply().await.status, 202);
    house.says(Says::Later);
    let mut busy = house.connect().await;
    busy.send(post("", EVENT)).await;
    let mut held = house.held(1).await;
    assert!(idle.is_closed().await);
    tokio::time::sleep(SHORT).await;
    let receipt =
        crate::spool::Accepted { id: crate::ids::EventId([1; 16]), deliveries: 0, duplicate: false };
    held.pop().unwrap().reply.send(Ok(vec![receipt])).unwrap();
    let reply = busy.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (202, Some("close")));
    assert!(busy.is_closed().await);
}

#[tokio::test]
async fn waiting_for_the_spool_has_no_deadline_of_its_own() {
    let limits = Limits { first_byte: SHORT, head: SHORT, body_idle: SHORT, idle: SHORT, ..patient() };
    let house = house_with(limits, Vec::new()).await;
    house.says(Says::Later);
    let mut client = house.connect().await;
    client.send(post("", EVENT)).await;
    let mut held = house.held(1).await;
    tokio::time::sleep(SHORT * 3).await;
    let receipt =
        crate::spool::Accepted { id: crate::ids::EventId([1; 16]), deliveries: 0, duplicate: false };
    held.pop().unwrap().reply.send(Ok(vec![receipt])).unwrap();
    assert_eq!(client.reply().await.status, 202);
}
