use super::kit::*;
use crate::HttpSinkFactory;
use postrider_sink::{Secret, Value, Verdict};
use std::sync::Arc;

/// The lines of a head, sorted, and the body.
fn parts(request: &str) -> (&str, Vec<&str>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap();
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    (start, lines, body)
}

#[tokio::test]
async fn a_request_has_exactly_the_promised_bytes() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    let requests = receiver.requests();
    let (start, lines, body) = parts(&requests[0]);
    assert_eq!(start, "POST /in?key=1 HTTP/1.1");
    let wanted = [
        "authorization: Basic YWNtZTpzZWNyZXQ=",
        &format!("content-length: {}", BODY.len()),
        "content-type: application/json",
        "host: hooks.example",
        "postrider-attempt: 3",
        "postrider-product: campaigns",
        "user-agent: postrider/0.1.0",
        "webhook-id: evt_01",
        "webhook-timestamp: 1795410000",
    ];
    assert_eq!(lines, wanted);
    assert_eq!(body, BODY);
}

#[tokio::test]
async fn a_test_event_says_so_and_carries_its_trace_and_the_endpoints_own_headers() {
    let receiver = Receiver::start(vec![ok()]).await;
    let mut settings = settings("http://[::1]:8443");
    let headers = table([("X-Team", text("orders")), ("x-key", Value::Secret(Secret::new("k".into())))]);
    settings.insert("headers".into(), Value::Table(headers));
    let rig = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(receiver.address)).await;
    let mut delivery = delivery();
    delivery.test = true;
    delivery.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    rig.deliver_this(&delivery).await;
    let requests = receiver.requests();
    let (start, lines, _) = parts(&requests[0]);
    assert_eq!(start, "POST / HTTP/1.1");
    for wanted in [
        "host: [::1]:8443",
        "postrider-test: true",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "x-key: k",
        "x-team: orders",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {lines:?}");
    }
}

#[tokio::test]
async fn the_trail_holds_status_and_timings() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let delivery = delivery();
    rig.deliver_this(&delivery).await;
    let timings = delivery.trail.read();
    assert_eq!(timings.status, Some(200));
    assert!(timings.dns.is_some() && timings.connect.is_some() && timings.wait.is_some());
    assert_eq!(timings.tls, None);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let mut delivery = delivery();
    let details = "x".repeat(1 << 20);
    delivery.body = format!("{{\"data\":\"{details}\"}}").into();
    assert_eq!(rig.deliver_this(&delivery).await.verdict, Verdict::Delivered);
    assert!(receiver.requests()[0].ends_with(std::str::from_utf8(&delivery.body).unwrap()));
}

#[tokio::test]
async fn an_id_that_would_break_the_head_is_never_sent() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    for id in ["evt\r\nx-evil: 1", "evt\n", "evt\0"] {
        let mut delivery = delivery();
        delivery.id = Arc::from(id);
        let outcome = rig.deliver_this(&delivery).await;
        assert!(matches!(outcome.verdict, Verdict::Failed { .. }), "{outcome:?}");
    }
    assert_eq!(receiver.requests(), [] as [String; 0]);
}
