use crate::settings::Settings;
use postrider_sink::{Delivery, HostContext, Table, Value};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};
use std::time::Duration;

/// The version of the protocol.
pub(crate) const PROTOCOL: u64 = 1;

/// The first line, with the settings of the endpoint.
pub(crate) fn hello(settings: &Settings, host: &HostContext) -> Vec<u8> {
    let hello = json!({
        "postrider": PROTOCOL,
        "endpoint": &*host.endpoint,
        "in_flight": host.concurrency,
        "settings": json(&settings.settings),
    });
    let mut line = hello.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Settings as the program gets them, secrets included: its standard input is nobody else's.
pub(crate) fn json(table: &Table) -> serde_json::Value {
    table.iter().map(|(key, value)| (key.clone(), one(value))).collect::<Map<_, _>>().into()
}

fn one(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Array(values) => values.iter().map(one).collect(),
        Value::Table(table) => json(table),
        Value::Secret(secret) => secret.expose().into(),
        Value::File(file) => file.path().into(),
    }
}

#[derive(Serialize)]
struct Event<'a> {
    n: u64,
    id: &'a str,
    event: &'a str,
    product: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    attempt: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
    deadline_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    body: &'a RawValue,
}

/// An attempt as one line. The body keeps the publisher's bytes, except that a line break between two tokens becomes a
/// space: within a string JSON has none.
pub(crate) fn event(n: u64, delivery: &Delivery, timeout: Duration) -> Result<Vec<u8>, serde_json::Error> {
    let body: &RawValue = serde_json::from_slice(&delivery.body)?;
    let mut line = Vec::with_capacity(delivery.body.len() + 320);
    let event = Event {
        n,
        id: &delivery.id,
        event: &delivery.event,
        product: &delivery.product,
        account: delivery.account.as_deref(),
        attempt: delivery.attempt,
        test: delivery.test,
        deadline_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        traceparent: delivery.traceparent.as_deref(),
        body,
    };
    serde_json::to_writer(&mut line, &event)?;
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}
