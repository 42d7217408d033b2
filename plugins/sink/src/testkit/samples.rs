use crate::Delivery;
use bytes::Bytes;
use std::sync::Arc;

/// A delivery of an event with this id.
#[must_use]
pub fn delivery(id: &str) -> Delivery {
    with(id, "delivered", "campaigns", r#"{"message_id":"wamid.42","status":"delivered","details":{}}"#)
}

/// So many deliveries of different events.
#[must_use]
pub fn burst(count: usize) -> Vec<Delivery> {
    (0..count).map(|number| delivery(&format!("evt_burst_{number}"))).collect()
}

/// One delivery of every shape a publisher may give an event.
#[must_use]
pub fn golden() -> Vec<Delivery> {
    let mut all: Vec<Delivery> = ["sent", "delivered", "read", "failed"]
        .iter()
        .zip(["automation", "crm", "developer-apis", "campaigns"])
        .map(|(event, product)| {
            let data = format!(r#"{{"message_id":"wamid.{event}","status":"{event}","details":{{}}}}"#);
            with(&format!("evt_{event}"), event, product, &data)
        })
        .collect();
    let large = format!(
        r#"{{"message_id":"wamid.large","status":"read","details":{{"text":"{}"}}}}"#,
        "0123456789abcdef".repeat(12 * 1024)
    );
    let nested = format!(
        r#"{{"message_id":"wamid.deep","status":"read","details":{}{}}}"#,
        r#"{"a":"#.repeat(60),
        format_args!("1{}", "}".repeat(60))
    );
    for (id, data) in [
        (
            "evt_unicode",
            r#"{"message_id":"wamid.é\u4e2d\ud83d\ude00","status":"read","details":{"text":"naïve \"quoted\" \\ \u0000 \n 中文 😀"}}"#,
        ),
        (
            "evt_numbers",
            r#"{"message_id":"wamid.n","status":"read","details":{"cost":1.00,"big":123456789012345678901234567890,"e":1E+2,"z":-0}}"#,
        ),
        (
            "evt_white_space",
            "{ \"status\" : \"read\",\r\n\t\"message_id\":\"wamid.w\",\n \"details\" : { } }",
        ),
        ("evt_large", large.as_str()),
        ("evt_deep", nested.as_str()),
    ] {
        all.push(with(id, "read", "crm", data));
    }
    let mut full = delivery("evt_full");
    full.account = Some("acme \"inc\"".into());
    full.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    full.attempt = 7;
    all.push(full);
    let mut test = delivery("evt_test_1");
    test.test = true;
    all.push(test);
    all
}

fn with(id: &str, event: &str, product: &str, data: &str) -> Delivery {
    let body = format!(r#"{{"event":"{event}","timestamp":"2026-11-23T05:00:00.123Z","data":{data}}}"#);
    Delivery {
        id: id.into(),
        event: event.into(),
        product: product.into(),
        account: None,
        body: Bytes::from(body),
        attempt: 1,
        test: false,
        traceparent: None,
        trail: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_golden_body_is_json() {
        for delivery in golden() {
            let body: Result<serde_json::Value, _> = serde_json::from_slice(&delivery.body);
            assert!(body.is_ok(), "{}: {body:?}", delivery.id);
        }
    }
}
