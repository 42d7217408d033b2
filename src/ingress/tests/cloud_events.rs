//! CloudEvents as their SDKs and others send them.

use super::harness::{EVENT, House, Reply, Says, basic, house, house_with, publisher};
use crate::ingress::Limits;
use crate::policy::Rate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::num::NonZeroU32;
use std::time::Duration;

const JSON: &str = "Content-Type: application/cloudevents+json; charset=utf-8\r\n";
const BATCH: &str = "Content-Type: application/cloudevents-batch+json\r\n";
const DATA: &str = r#"{"message_id":"wamid.42", "status":"sent","details":{"price":1.10,"n":1e400}}"#;

async fn send(house: &House, headers: &str, body: &str) -> Reply {
    let length = body.len();
    house
        .raw(format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
}

/// An event in JSON with these members after the required ones.
fn cloud(more: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"com.acme.message.sent","source":"/shop/1","id":"a-1","product":"crm"{more}}}"#
    )
}

/// The headers of one in binary mode.
fn binary(more: &str) -> String {
    format!(
        "Content-Type: application/json\r\nce-specversion: 1.0\r\nce-type: com.acme.message.sent\r\nce-source: /shop/1\r\nCE-Id: a-1\r\nce-product: crm\r\n{more}"
    )
}

/// Where the errors are.
fn pointers(reply: &Reply) -> Vec<String> {
    assert_eq!((reply.status, reply.problem().as_str()), (422, "not-an-event"), "{reply:?}");
    let document = reply.json();
    let errors = document["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_content_mode_makes_the_same_event_of_the_same_cloud_event() {
    let house = house().await;
    let time = r#","time":"2026-11-23T05:00:00Z","account":"acme""#;
    let one = cloud(&format!(r#"{time},"data": {DATA} "#));
    let coded = cloud(&format!(r#"{time},"data_base64":"{}""#, STANDARD.encode(DATA)));
    let head = binary("ce-time: 2026-11-23T05:00:00Z\r\nce-account: %61cme\r\n");
    for (headers, body) in
        [(JSON, &one), (JSON, &coded), (BATCH, &format!("[{one}]")), (&head, &DATA.to_owned())]
    {
        let reply = send(&house, headers, body).await;
        assert_eq!(reply.status, 202, "{headers}{body}: {reply:?}");
        assert_eq!(reply.body.starts_with(r#"{"events":["#), headers == BATCH);
    }
    let events = house.events();
    let expected = format!(r#"{{"event":"sent","timestamp":"2026-11-23T05:00:00Z","data":{DATA}}}"#);
    for event in &events {
        assert_eq!(std::str::from_utf8(&event.body).unwrap(), expected);
        assert_eq!((&*event.event, &*event.product, event.account.as_deref()), ("sent", "crm", Some("acme")));
        assert_eq!(&*event.message_id, "wamid.42");
        assert_eq!(event.dedup, events[0].dedup);
    }
    assert!(events.len() == 4 && events[0].dedup.is_some());
}

#[tokio::test]
async fn source_and_id_together_are_the_idempotency_key() {
    let house = house().await;
    let with = |source: &str, id: &str| {
        cloud(&format!(r#","data":{DATA}"#))
            .replace("\"/shop/1\"", &format!("{source:?}"))
            .replace("\"a-1\"", &format!("{id:?}"))
    };
    for (source, id) in [("/shop/1", "a-1"), ("/shop/1", "a-2"), ("/shop/2", "a-1"), ("/shop/1a", "-1")] {
        assert_eq!(send(&house, JSON, &with(source, id)).await.status, 202);
    }
    let plain = EVENT.replacen('{', r#"{"id":"a-1","#, 1);
    assert_eq!(house.post("", &plain).await.status, 202);
    let keys: std::collections::HashSet<_> =
        house.events().iter().map(|event| event.dedup.unwrap().key).collect();
    assert_eq!(keys.len(), 5);
    let reply = send(&house, &format!("{JSON}Idempotency-Key: k\r\n"), &with("/shop/1", "a-1")).await;
    assert_eq!(pointers(&reply), ["/id"]);
    house.says(Says::Duplicate);
    assert_eq!(send(&house, JSON, &with("/shop/1", "a-1")).await.status, 200);
}

#[tokio::test]
async fn every_error_of_a_cloud_event_is_told_at_its_attribute() {
    let house = house().await;
    let data = format!(r#","data":{DATA}"#);
    let good = cloud(&data);
    for (body, wrong) in [
        (good.replace("\"1.0\"", "\"0.3\""), "/specversion"),
        (good.replace("\"1.0\"", "1.0"), "/specversion"),
        (good.replace("message.sent", "message.bounced"), "/type"),
        (good.replace("com.acme.message.sent", "com.acme.sent."), "/type"),
        (good.replace("\"/shop/1\"", "\"\""), "/source"),
        (good.replace("\"/shop/1\"", "null"), "/source"),
        (good.replace("\"a-1\"", "7"), "/id"),
        (good.replace("\"crm\"", "\"fax\""), "/product"),
        (cloud(&format!(r#"{data},"time":"yesterday""#)), "/time"),
        (cloud(&format!(r#"{data},"account":"""#)), "/account"),
        (cloud(&format!(r#"{data},"datacontenttype":"text/plain""#)), "/datacontenttype"),
        (cloud(&format!(r#"{data},"id":"twice""#)), "/id"),
        (cloud(&format!(r#"{data},"region":"eu","zone":1,"region":"us""#)), "/region"),
        (cloud(""), "/data"),
        (cloud(r#","data":null"#), "/data"),
        (cloud(r#","data":"text""#), "/data"),
        (cloud(r#","data":{"message_id":"m"}"#), "/data/status"),
        (cloud(&format!(r#"{data},"data_base64":"e30=""#)), "/data_base64"),
        (cloud(r#","data_base64":"%%""#), "/data_base64"),
        (cloud(r#","data_base64":"/w==""#), "/data_base64"),
        (cloud(r#","data_base64":"e30""#), "/data_base64"),
        (cloud(r#","data_base64":"bm90IGpzb24=""#), "/data_base64"),
        (cloud(&format!(r#","data_base64":"{}""#, STANDARD.encode("[".repeat(2000)))), "/data_base64"),
    ] {
        let reply = send(&house, JSON, &body).await;
        let found = pointers(&reply);
        assert_eq!(found.first().map(String::as_str), Some(wrong), "{body}: {reply:?}");
    }
    let all = ["/specversion", "/source", "/id", "/type", "/product", "/data"];
    assert_eq!(pointers(&send(&house, JSON, "{}").await), all);
    let second = send(&house, BATCH, &format!("[{good},{{}}]")).await;
    assert_eq!(pointers(&second), all);
    assert_eq!(second.json()["errors"][0]["index"], 1);
    assert!(house.events().is_empty());
    // What is no attribute of ours is passed over, and one that is null is not there.
    let more = format!(r#"{data},"subject":"s","dataschema":null,"account":null,"retries":3,"time":null"#);
    assert_eq!(send(&house, JSON, &cloud(&more)).await.status, 202);
}

#[tokio::test]
async fn headers_of_an_event_in_binary_mode_are_decoded_and_checked() {
    let house = house().await;
    for (headers, wrong) in [
        (binary("").replace("1.0", "0.3"), "/specversion"),
        (binary("").replace("/shop/1", "100%"), "/source"),
        (binary("").replace("/shop/1", "%C0%A0"), "/source"),
        (binary("").replace("a-1", ""), "/id"),
        (binary("ce-id: b\r\n"), "/id"),
        (binary("").replace("ce-product", "x-product"), "/product"),
        (binary("ce-time: soon\r\n"), "/time"),
    ] {
        assert_eq!(pointers(&send(&house, &headers, DATA).await), [wrong], "{headers}");
    }
    assert_eq!(pointers(&send(&house, &binary(""), "").await), ["/data"]);
    assert_eq!(pointers(&send(&house, &binary(""), "[]").await), ["/data"]);
    let reply = send(&house, &binary(""), "{").await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "not-json"));
    let deep = format!(
        r#"{{"message_id":"m","status":"s","details":{{"x":{}{}}}}}"#,
        "[".repeat(61),
        "]".repeat(61)
    );
    assert_eq!(send(&house, &binary(""), &deep).await.status, 202);
    let deeper = deep.replacen('[', "[[", 1).replacen(']', "]]", 1);
    assert_eq!(send(&house, &binary(""), &deeper).await.status, 422);
    assert_eq!(send(&house, JSON, &cloud(&format!(r#","data":{deeper}"#))).await.status, 422);
    let quoted = binary("").replace("com.acme.message.sent", "\"com.acme.message.\\sent\"");
    assert_eq!(send(&house, &quoted, DATA).await.status, 202);
    let other = binary("").replace("application/json", "application/vnd.acme.status+json");
    assert_eq!(send(&house, &other, DATA).await.status, 202);
}

#[tokio::test]
async fn the_content_type_decides_what_a_body_is() {
    let house = house().await;
    let good = cloud(&format!(r#","data":{DATA}"#));
    for (headers, body, status) in [
        ("Content-Type: application/cloudevents+xml\r\n", good.as_str(), 415),
        ("Content-Type: application/cloudevents\r\n", &good, 415),
        ("Content-Type: application/cloudevents+json; charset=latin1\r\n", &good, 415),
        ("Content-Type: application/vnd.acme+json\r\n", &good, 415),
        ("ce-specversion: 1.0\r\nce-type: sent\r\n", DATA, 415),
        ("Content-Type: text/plain\r\nce-specversion: 1.0\r\n", DATA, 415),
        ("Content-Type: application/json\r\n", &good, 422),
        (JSON, "[]", 422),
        (BATCH, &good, 422),
        (BATCH, "[]", 202),
        (BATCH, "[7]", 422),
        (JSON, "", 400),
        // Headers beside an event in JSON say nothing.
        (&format!("{JSON}ce-specversion: 9\r\nce-id: other\r\n"), &good, 202),
    ] {
        let reply = send(&house, headers, body).await;
        assert_eq!(reply.status, status, "{headers}{body}: {reply:?}");
    }
    assert_eq!(send(&house, BATCH, "[]").await.body, r#"{"events":[]}"#);
    let many = format!("[{}]", vec![good; 11].join(","));
    assert_eq!(send(&house, BATCH, &many).await.status, 422);
}

#[tokio::test]
async fn errors_are_told_in_the_same_precedence_as_of_any_event() {
    let minute = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(60) };
    let shop = crate::config::Publisher { rate: Some(minute), ..publisher("shop", basic("shop", "secret")) };
    let house = house_with(Limits::default(), vec![shop]).await;
    let auth = "Authorization: Basic c2hvcDpzZWNyZXQ=\r\n";
    assert_eq!(send(&house, JSON, "{").await.status, 401);
    assert_eq!(
        send(&house, &format!("{auth}Content-Type: application/cloudevents+avro\r\n"), "{").await.status,
        415
    );
    assert_eq!(send(&house, &format!("{auth}{JSON}"), "{").await.status, 429);
}

#[tokio::test]
async fn an_event_brings_its_own_traceparent() {
    let house = house().await;
    let (own, request) = (
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let headers = format!("{JSON}traceparent: {request}\r\n");
    for (attribute, carried) in [
        (format!(r#","traceparent":"{own}""#), own),
        (r#","traceparent":"odd""#.to_owned(), request),
        (String::new(), request),
    ] {
        let body = cloud(&format!(r#"{attribute},"data":{DATA}"#));
        assert_eq!(send(&house, &headers, &body).await.status, 202);
        assert_eq!(house.events().last().unwrap().traceparent.as_deref(), Some(carried));
    }
}
