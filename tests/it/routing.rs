//! Who gets which event, and exactly which bytes.

use crate::support::{Receiver, daemon};
use postrider_checker::event::{EVENTS, PRODUCTS};

fn event(event: &str, product: &str, number: usize) -> String {
    format!(
        r#"{{"event":"{event}","product":"{product}","timestamp":"2026-11-23T05:00:00Z","data":{{"message_id":"m{number}","status":"{event}","details":{{}}}}}}"#
    )
}

#[tokio::test]
async fn each_combination_of_event_and_product_reaches_exactly_its_subscribers() {
    let receiver = Receiver::start().await;
    for name in ["one", "some", "all"] {
        receiver.want_credentials(&format!("/{name}"), name);
    }
    let mut daemon = daemon()
        .endpoint("one", |e| {
            e.url(receiver.url("/one")).events(&["delivered"]).products(&["campaigns"]);
        })
        .endpoint("some", |e| {
            e.url(receiver.url("/some")).events(&["delivered", "read"]).products(&["campaigns", "crm"]);
        })
        .endpoint("all", |e| {
            e.url(receiver.url("/all"));
        })
        .start()
        .await;

    let (mut one, mut some, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (name, product)) in
        EVENTS.iter().flat_map(|name| PRODUCTS.iter().map(move |product| (*name, *product))).enumerate()
    {
        let mut deliveries = 1;
        let answer = daemon.post(event(name, product, number)).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.id();
        if name == "delivered" && product == "campaigns" {
            one.push(id.clone());
            deliveries += 1;
        }
        if ["delivered", "read"].contains(&name) && ["campaigns", "crm"].contains(&product) {
            some.push(id.clone());
            deliveries += 1;
        }
        all.push(id);
        assert_eq!(answer.json()["deliveries"], deliveries, "{name} of {product}");
    }
    assert_eq!((one.len(), some.len(), all.len()), (1, 4, 16));
    for (path, mut expected) in [("/one", one), ("/some", some), ("/all", all)] {
        receiver.wait_for(path, expected.len()).await;
        daemon.wait_until("nothing is pending", |m| m.sum("postrider_deliveries_pending", &[]) == 0.0).await;
        let mut got: Vec<String> =
            receiver.requests(path).iter().map(|r| r.header("webhook-id").to_owned()).collect();
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "at {path}");
    }
}

#[tokio::test]
async fn a_subscriber_gets_the_documented_headers_and_the_publishers_bytes() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).http("headers = { x-team = \"orders\" }");
        })
        .start()
        .await;
    // Spelled as no serializer would.
    let data = r#"{ "status":"delivered",  "details":{"n":1.50e+1,"big":123456789012345678901234567890,"text":"\u00e9\/","b":1,"a":2},"message_id":"wamid.42" }"#;
    let body = format!(
        r#"{{ "data":{data}, "timestamp":"2026-11-23T05:00:00Z","product":"campaigns" ,"event":"delivered","id":"mine"}}"#
    );
    let answer = daemon.post(body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.id().starts_with("evt_"));

    let request = &receiver.wait_for("/acme", 1).await[0];
    assert_eq!(
        request.text(),
        format!(r#"{{"event":"delivered","timestamp":"2026-11-23T05:00:00Z","data":{data}}}"#)
    );
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), postrider_checker::authorization("acme"));
    assert_eq!(request.header("user-agent"), format!("postrider/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.header("webhook-id"), answer.id());
    assert!(request.header("webhook-timestamp").parse::<u64>().is_ok());
    assert_eq!(request.header("postrider-product"), "campaigns");
    assert_eq!(request.header("postrider-attempt"), "1");
    assert_eq!(request.header("x-team"), "orders");
}

#[tokio::test]
async fn absent_details_are_put_before_the_closing_brace_and_an_absent_timestamp_is_stamped() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let answer =
        daemon.post(r#"{"event":"read","product":"crm","data":{"message_id":"m","status":"read" }}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let request = &receiver.wait_for("/acme", 1).await[0];
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let stamp = body["timestamp"].as_str().expect("a timestamp");
    assert!(stamp.ends_with('Z') && stamp.len() == "2026-11-23T05:00:00.000Z".len(), "{stamp}");
    assert!(
        request.text().ends_with(r#""data":{"message_id":"m","status":"read" ,"details":{}}}"#),
        "{}",
        request.text()
    );
}

#[tokio::test]
async fn an_event_nobody_wants_is_accepted_and_counted() {
    let mut daemon = daemon().start().await;
    let answer = daemon.post(event("sent", "crm", 1)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["deliveries"], 0);
    daemon
        .wait_until("it is counted", |m| {
            m.sum("postrider_events_unmatched_total", &[("event", "sent"), ("product", "crm")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn an_array_is_answered_in_order_and_delivered_whole() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let events: Vec<String> = (0..50).map(|number| event("sent", "crm", number)).collect();
    let answer = daemon.post(format!("[{}]", events.join(","))).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let json = answer.json();
    let ids: Vec<&str> = json["events"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|event| event["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 50);
    for request in receiver.wait_for("/acme", 50).await {
        let at = ids.iter().position(|id| *id == request.header("webhook-id")).expect("one of them");
        assert!(request.text().contains(&format!("\"m{at}\"")), "{}", request.text());
    }
}
