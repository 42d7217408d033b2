//! What must hold for any body that a publisher posts.

use super::envelope::{Form, Parsed, Rules, parse};
use super::problem::Problem;
use crate::spool::NewEvent;
use crate::table::Catalogue;
use crate::table::filter::Facts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::{Arc, LazyLock};

const MAX_BATCH: usize = 4;
const NOW_MS: u64 = 1_795_410_000_123;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);
static ACCOUNTS: LazyLock<[Arc<str>; 1]> = LazyLock::new(|| ["acme".into()]);

/// What subscribers get.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivered<'a> {
    event: String,
    timestamp: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Data<'a> {
    message_id: String,
    #[expect(dead_code, reason = "that it is a string is what is looked at")]
    status: String,
    /// Numbers no machine holds and halves of characters are JSON all the same, and leave as they came.
    #[serde(borrow)]
    details: &'a RawValue,
}

/// A request with an event of ours, or an array of them. The first byte chooses who posts it.
///
/// # Panics
/// When something does not hold.
pub fn envelope(input: &[u8]) {
    let Some((chooser, body)) = input.split_first() else { return };
    let (accounts, key) = (chooser & 1 == 1, chooser & 2 == 2);
    let rules = rules(if accounts { &*ACCOUNTS } else { &[] }, key.then_some("key"));
    let Some(parsed) = taken(parse(body, Form::Plain, &rules), body.len()) else { return };
    assert!(!parsed.events.is_empty());
    for event in &parsed.events {
        let data = holds(event, body.len());
        assert!(!accounts || event.account.as_deref() == Some("acme"));
        assert!(stands_in(&data, body), "data does not stand in the body as it leaves");
        // What left says itself again.
        let again = serde_json::json!({ "event": &*event.event, "product": &*event.product });
        let mut again = again.to_string();
        again.truncate(again.len() - 1);
        let sent = std::str::from_utf8(&event.body).expect("UTF-8");
        let after = sent.split_once(",\"timestamp\":").expect("a timestamp").1;
        let again = format!("{again},\"timestamp\":{after}");
        let repeated = parse(again.as_bytes(), Form::Plain, &self::rules(&[], None)).expect("taken again");
        assert_eq!(repeated.events.first().map(|event| &event.body), Some(&event.body));
    }
}

/// A CloudEvent. The first byte chooses the mode; in binary mode the headers come first, a line each, and an empty
/// line ends them.
///
/// # Panics
/// When something does not hold.
pub fn cloud_events(input: &[u8]) {
    let Some((chooser, rest)) = input.split_first() else { return };
    let rules = rules(&[], None);
    let mut headers = HeaderMap::new();
    let (form, body) = match chooser % 3 {
        0 => (Form::Cloud, rest),
        1 => (Form::CloudBatch, rest),
        _ => {
            let end = rest.windows(2).position(|two| two == b"\n\n");
            let (head, body) = end.map_or((rest, &[][..]), |end| rest.split_at(end));
            for line in head.split(|byte| *byte == b'\n') {
                let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                {
                    headers.append(name, value);
                }
            }
            (Form::CloudBinary(&headers), body.get(2..).unwrap_or_default())
        }
    };
    let Some(parsed) = taken(parse(body, form, &rules), input.len()) else { return };
    for event in &parsed.events {
        assert!(event.dedup.is_some(), "source and id name it");
        let data = holds(event, input.len());
        assert!(
            stands_in(&data, body) || encoded(&data, body),
            "data does not stand in the body as it leaves: {data}"
        );
    }
}

fn rules<'a>(accounts: &'a [Arc<str>], key: Option<&'a str>) -> Rules<'a> {
    let (publisher, catalogue) = ("shop", &*CATALOGUE);
    Rules {
        catalogue,
        max_batch: MAX_BATCH,
        publisher,
        accounts,
        key,
        traceparent: None,
        accepted_ms: NOW_MS,
        stamp_ms: NOW_MS,
    }
}

/// What was taken, if it was; a refusal says why, in bounds.
fn taken(result: Result<Parsed, Problem>, length: usize) -> Option<Parsed> {
    match result {
        Ok(parsed) => {
            assert!(parsed.events.len() <= MAX_BATCH && (parsed.array || parsed.events.len() == 1));
            Some(parsed)
        }
        Err(problem) => {
            let status = problem.kind.status();
            assert!(matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY), "{status}");
            assert!(!problem.detail.is_empty() && problem.errors.len() <= 100);
            assert!(status != StatusCode::UNPROCESSABLE_ENTITY || !problem.errors.is_empty());
            let document = problem.document();
            assert!(document.len() <= 64 * 1024 + 2 * length, "{} bytes about {length}", document.len());
            serde_json::from_slice::<serde_json::Value>(&document).expect("a document");
            None
        }
    }
}

/// An event that may be submitted; its `data` as it leaves.
fn holds(event: &NewEvent, length: usize) -> String {
    assert!(CATALOGUE.events.contains(&event.event) && CATALOGUE.products.contains(&event.product));
    assert!((1..=512).contains(&event.message_id.len()));
    assert!(event.targets.is_empty() && event.accepted_ms == NOW_MS);
    assert!(event.body.len() <= length + 512);
    let body: Delivered<'_> = serde_json::from_slice(&event.body).expect("what subscribers get");
    assert_eq!(body.event, *event.event);
    // As many digits of a second as one likes are RFC 3339, and more than anybody reads.
    let (time, zone) = body.timestamp.split_at_checked(19).expect("date and time");
    time.to_uppercase().parse::<jiff::civil::DateTime>().expect("a time that exists");
    assert!(zone.ends_with(['Z', 'z']) || zone.len() >= 6, "{zone:?}");
    let start = format!("{{\"event\":\"{}\",\"timestamp\":\"", event.event);
    assert!(event.body.starts_with(start.as_bytes()), "compact, in this order");
    let data = body.data.get();
    let read: Data<'_> = serde_json::from_str(data).expect("data as it must be");
    assert!(read.message_id == *event.message_id && read.details.get().starts_with('{'));
    Facts::of_body(&event.event, &event.product, None, &event.body).expect("filters can read what was taken");
    data.to_owned()
}

/// Whether `data` stands in the body to the byte, but for empty details that were put at its end.
fn stands_in(data: &str, body: &[u8]) -> bool {
    let within = |part: &[u8]| body.windows(part.len().max(1)).any(|window| window == part);
    within(data.as_bytes())
        || data.strip_suffix(",\"details\":{}}").is_some_and(|open| within(format!("{open}}}").as_bytes()))
}

/// The same where the body holds it in base64.
fn encoded(data: &str, body: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
    let events = if let serde_json::Value::Array(events) = json { events } else { vec![json] };
    events.iter().any(|event| {
        let text = event.get("data_base64").and_then(serde_json::Value::as_str).unwrap_or_default();
        STANDARD.decode(text).is_ok_and(|bytes| stands_in(data, &bytes))
    })
}
