//! How fast an endpoint is sent to.

use crate::support::{EndpointFile, Receiver, Way, daemon};
use serde_json::{Value, json};
use std::time::Duration;

fn events(count: usize) -> String {
    let event = |number: usize| {
        json!({ "event": "sent", "product": "crm",
                "data": { "message_id": format!("m{number}"), "status": "sent", "details": {} } })
    };
    Value::Array((0..count).map(event).collect()).to_string()
}

#[tokio::test]
async fn a_rate_holds_and_a_reload_changes_it_at_once() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("rate = \"5/s\"");
        })
        .start()
        .await;
    assert_eq!(daemon.post(events(200)).await.status, 202);
    // A second's worth at once, then one every 200 ms.
    let arrived = receiver.wait_for("/acme", 10).await;
    let took = arrived[9].at - arrived[0].at;
    assert!(took >= Duration::from_millis(900), "ten within {took:?} at five a second");
    let mut file = EndpointFile::new("acme");
    file.url(receiver.url("/acme")).key("rate = \"none\"");
    let start = tokio::time::Instant::now();
    daemon.files.write(Way::Rename, "acme", &file.text());
    assert_eq!(daemon.reload().await.status, 200);
    receiver.wait_for("/acme", 200).await;
    assert!(start.elapsed() < Duration::from_secs(15), "at five a second it would be 38 s");
}

#[tokio::test]
async fn deliveries_do_not_expire_because_a_person_paused_their_endpoint() {
    let receiver = Receiver::start().await;
    let file = |state: &str| {
        let mut file = EndpointFile::new("acme");
        file.url(receiver.url("/acme")).key(&format!("state = \"{state}\"\nretry = {{ max_age = \"2s\" }}"));
        file.text()
    };
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("state = \"paused\"\nretry = { max_age = \"2s\" }");
        })
        .start()
        .await;
    let start = tokio::time::Instant::now();
    assert_eq!(daemon.post(events(5)).await.status, 202);
    // Paused for longer than they may live, across a kill.
    daemon.restart().await;
    crate::support::until(Duration::from_secs(10), "the pause is longer than max_age", async || {
        start.elapsed() > Duration::from_millis(3200)
    })
    .await;
    daemon.files.write(Way::Rename, "acme", &file("active"));
    assert_eq!(daemon.reload().await.status, 200);
    receiver.wait_for("/acme", 5).await;
    let expired = [("endpoint", "acme"), ("result", "expired")];
    assert_eq!(daemon.metrics().await.sum("postrider_deliveries_finished_total", &expired), 0.0);
}
