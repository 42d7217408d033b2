use super::harness::{EVENT, PATIENCE, Says, basic, house, house_with, post, publisher};
use crate::config::Credential;
use crate::ingress::Limits;
use crate::spool::Accepted;
use postrider_sink::Secret;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const ID: &str = "evt_07070707070707070707070707070707";

#[tokio::test]
async fn an_event_is_answered_with_its_id_once_it_is_durable() {
    let house = house().await;
    let reply = house.post("", EVENT).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.body, format!(r#"{{"id":"{ID}","deliveries":2}}"#));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let event = &house.events()[0];
    assert!(event.body.starts_with(br#"{"event":"sent","timestamp":"2"#));
    assert!(event.targets.is_empty() && event.accepted_ms > 1_700_000_000_000);
}

#[tokio::test]
async fn an_array_is_answered_in_order_and_200_only_if_all_repeat() {
    let house = house().await;
    let array = format!(" [{EVENT}, {EVENT}]");
    let reply = house.post("", &array).await;
    let item = format!(r#"{{"id":"{ID}","deliveries":2}}"#);
    assert_eq!((reply.status, reply.body), (202, format!(r#"{{"events":[{item},{item}]}}"#)));

    house.says(Says::Duplicate);
    let reply = house.post("", &array).await;
    let item = format!(r#"{{"id":"{ID}","deliveries":2,"duplicate":true}}"#);
    assert_eq!((reply.status, reply.body), (200, format!(r#"{{"events":[{item},{item}]}}"#)));
    let reply = house.post("", EVENT).await;
    assert_eq!((reply.status, reply.body), (200, item));
}

#[tokio::test]
async fn many_requests_share_a_connection_one_after_another_or_at_once() {
    let house = house().await;
    let mut client = house.connect().await;
    for _ in 0..3 {
        client.send(post("", EVENT)).await;
        assert_eq!(client.reply().await.status, 202);
    }
    let chunked = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=1\r\n{EVENT}\r\n0\r\nTrailer: x\r\n\r\n",
        EVENT.len()
    );
    client.send([post("", EVENT), chunked.clone(), post("", "{"), chunked, post("", EVENT)].concat()).await;
    for status in [202, 202, 400, 202, 202] {
        assert_eq!(client.reply().await.status, status);
    }
}

#[tokio::test]
async fn a_body_arrives_in_any_pieces() {
    let house = house().await;
    let mut client = house.connect().await;
    client.stream.set_nodelay(true).unwrap();
    for byte in post("", EVENT).as_bytes() {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.status, 202);
}

#[tokio::test]
async fn a_body_larger_than_every_buffer_arrives_whole() {
    let house = house().await;
    let mut config = super::harness::config(Vec::new());
    config.ingress.max_body = 1 << 20;
    house.config.store(Arc::new(config));
    let details = format!(r#""details":{{"text":"{}"}}"#, "x".repeat(900_000));
    let event = EVENT.replace(r#""details":{}"#, &details);
    assert_eq!(house.post("", &event).await.status, 202);
    assert!(house.events()[0].body.ends_with(format!("{details}}}}}").as_bytes()));
}

#[tokio::test]
async fn a_client_that_closed_its_side_still_gets_its_answer() {
    let house = house().await;
    let mut client = house.connect().await;
    client.send(post("", EVENT)).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.reply().await.status, 202);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_when_its_request_may_be_taken() {
    let house = house_with(Limits::default(), vec![publisher("shop", basic("shop", "secret"))]).await;
    let head = |auth: &str, length: usize| {
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n{auth}Content-Length: {length}\r\n\r\n"
        )
    };
    let auth = "Authorization: basic c2hvcDpzZWNyZXQ=\r\n";
    let mut client = house.connect().await;
    client.send(head(auth, EVENT.len())).await;
    assert_eq!(client.reply().await.status, 100);
    client.send(EVENT).await;
    assert_eq!(client.reply().await.status, 202);
    assert_eq!(house.raw(head("", EVENT.len())).await.status, 401);
    assert_eq!(house.raw(head(auth, 1_000_000)).await.status, 413);
}

#[tokio::test]
async fn publishers_are_told_apart_by_their_credentials_and_a_reload_changes_them() {
    let bearer = Credential::Bearer(Secret::new("token-1".to_owned()));
    let publishers = vec![publisher("shop", basic("shop", "a:b")), publisher("crm", bearer)];
    let house = house_with(Limits::default(), publishers).await;
    let event = EVENT.replacen('{', r#"{"id":"1","#, 1);
    for (auth, status) in [
        ("Authorization: Basic c2hvcDphOmI=\r\n", 202),
        ("Authorization: bearer token-1\r\n", 202),
        ("Authorization: Bearer token-2\r\n", 401),
        ("Authorization: Basic c2hvcDph\r\n", 401),
        ("Authorization: Basic token-1\r\n", 401),
        ("Authorization: Bearer shop:a:b\r\n", 401),
        ("Authorization: Basic !!!\r\n", 401),
        ("Authorization: Bearer token-1\r\nAuthorization: Bearer token-1\r\n", 401),
        ("Authorization:\r\n", 401),
        ("", 401),
    ] {
        let reply = house.post(auth, &event).await;
        assert_eq!(reply.status, status, "{auth}: {reply:?}");
        if status == 401 {
            assert_eq!(reply.problem(), "unknown-publisher");
            assert!(
                reply.head.contains("www-authenticate: Basic")
                    && reply.head.contains("www-authenticate: Bearer")
            );
        }
    }
    let events = house.events();
    assert_ne!(events[0].dedup.unwrap().key, events[1].dedup.unwrap().key);
    house.config.store(Arc::new(super::harness::config(Vec::new())));
    assert_eq!(house.post("", EVENT).await.status, 202);
}

#[tokio::test]
async fn a_valid_traceparent_is_carried_and_any_other_ignored() {
    let house = house().await;
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (value, carried) in [
        (good.to_owned(), Some(good)),
        (good.to_uppercase(), None),
        (good.replace("00-4", "ff-4"), None),
        (format!("{good}-x"), None),
        (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
        ("hello".to_owned(), None),
        (format!("{good}\r\ntraceparent: {good}"), None),
    ] {
        let reply = house.post(&format!("traceparent: {value}\r\n"), EVENT).await;
        assert_eq!(reply.status, 202);
        assert_eq!(house.events().last().unwrap().traceparent.as_deref(), carried, "{value}");
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_closes_what_waits() {
    let house = house().await;
    house.says(Says::Later);
    let (mut busy, mut idle, mut new) = (house.connect().await, house.connect().await, house.connect().await);
    idle.send(post("", "{")).await;
    assert_eq!(idle.reply().await.status, 400);
    busy.send(post("", EVENT)).await;
    let mut held = house.held(1).await;
    house.shutdown.cancel();
    assert!(idle.is_closed().await && new.is_closed().await);
    assert!(!house.running.is_finished());
    let submission = held.pop().unwrap();
    let receipt = Accepted { id: crate::ids::EventId([7; 16]), deliveries: 1, duplicate: false };
    submission.reply.send(Ok(vec![receipt])).unwrap();
    assert_eq!(busy.reply().await.status, 202);
    drop(busy);
    timeout(PATIENCE, house.running).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn what_came_is_counted_by_event_product_and_result() {
    let house = house().await;
    house.post("", EVENT).await;
    house.post("", &format!("[{EVENT},{EVENT}]")).await;
    house.post("", "[7,8,9]").await;
    house.says(Says::Duplicate);
    house.post("", EVENT).await;
    house.says(Says::Nothing);
    house.post("", EVENT).await;
    let text = house.metrics.render();
    let value = |event: &str, product: &str, result: &str| {
        let sample = text.lines().find(|line| {
            line.starts_with("postrider_events_received_total{")
                && [event, product, result].iter().all(|label| line.contains(&format!("\"{label}\"")))
        });
        sample.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(value("sent", "crm", "accepted"), Some(3.0), "{text}");
    assert_eq!(value("sent", "crm", "duplicate"), Some(1.0));
    assert_eq!(value("read", "crm", "accepted"), Some(0.0));
    assert_eq!(value("unknown", "unknown", "invalid"), Some(3.0));
    assert_eq!(value("unknown", "unknown", "refused"), Some(1.0));
}
