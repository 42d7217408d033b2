//! Sample events with the shape that WhatsApp Business reports message statuses in: every event of every product.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The events of the default catalogue, in the order a message lives through them.
pub(super) const EVENTS: [&str; 4] = ["sent", "delivered", "read", "failed"];

/// The products of the default catalogue.
pub(super) const PRODUCTS: [&str; 4] = ["automation", "crm", "developer-apis", "campaigns"];

/// An event to be posted.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) event: &'static str,
    pub(super) product: &'static str,
    pub(super) data: Value,
}

/// All sixteen. A product's first three are about one message, `failed` about another; `unix_ms` makes the ids of
/// one run differ from those of the next.
pub(super) fn samples(unix_ms: u64) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(EVENTS.len() * PRODUCTS.len());
    for (number, product) in (0_u64..).zip(PRODUCTS) {
        for event in EVENTS {
            samples.push(Sample { event, product, data: data(event, product, number, unix_ms) });
        }
    }
    samples
}

fn data(event: &str, product: &str, number: u64, unix_ms: u64) -> Value {
    let failed = event == "failed";
    // 555-01xx is set aside for fiction in the North American numbering plan.
    let recipient = format!("155501001{:02}", number * 2 + u64::from(failed));
    let message_id = message_id(&recipient, unix_ms, number);
    let mut details = json!({
        "recipient_id": recipient,
        "timestamp": (unix_ms / 1000).to_string(),
        "biz_opaque_callback_data": format!("{product}-{number:04}"),
    });
    let category = category(product);
    let more = if failed {
        json!({ "errors": [error(product)] })
    } else {
        let mut conversation = json!({
            "id": format!("{:032x}", u128::from(unix_ms) << 64 | u128::from(number)),
            "origin": { "type": category },
        });
        if event == "sent" {
            merge(
                &mut conversation,
                json!({ "expiration_timestamp": (unix_ms / 1000 + 86_400).to_string() }),
            );
        }
        let billable = category != "service";
        let kind = if billable { "regular" } else { "free_customer_service" };
        json!({
            "conversation": conversation,
            "pricing": { "billable": billable, "pricing_model": "PMP", "category": category, "type": kind },
        })
    };
    merge(&mut details, more);
    json!({ "message_id": message_id, "status": event, "details": details })
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

/// `wamid.` and the base64 of a small record that holds the recipient's number and a random-looking id.
fn message_id(recipient: &str, unix_ms: u64, number: u64) -> String {
    let own = format!("{:018X}", u128::from(unix_ms) << 8 | u128::from(number));
    let mut record = vec![0x1c, 0x18, 0x0b];
    record.extend_from_slice(recipient.as_bytes());
    record.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, 0x12]);
    record.extend_from_slice(own.as_bytes());
    record.push(0x00);
    format!("wamid.{}", STANDARD.encode(record))
}

fn category(product: &str) -> &'static str {
    match product {
        "automation" => "utility",
        "crm" => "service",
        "developer-apis" => "authentication",
        _ => "marketing",
    }
}

fn error(product: &str) -> Value {
    let (code, title, details) = match product {
        "automation" => (131_026, "Message undeliverable", "The recipient cannot take this message."),
        "crm" => {
            (131_047, "Re-engagement message", "More than 24 hours have passed since the customer wrote.")
        }
        "developer-apis" => (131_053, "Media upload error", "The media file could not be fetched."),
        _ => (131_049, "Message not sent", "The recipient has had enough marketing messages for now."),
    };
    json!({ "code": code, "title": title, "message": title, "error_data": { "details": details } })
}
