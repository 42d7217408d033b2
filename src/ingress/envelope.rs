//! What a publisher posts, checked against the catalogue and made into what subscribers get (D3).
//!
//! The document is read for the members that matter; each of them, `data` above all, is kept as the bytes it was
//! written with. Nothing is ever parsed and written again.

mod check;
mod cloud;
mod compose;
mod depth;
mod members;
mod reader;
#[cfg(test)]
mod tests;

use super::problem::{ItemError, Kind, Problem};
use crate::spool::NewEvent;
use crate::table::Catalogue;
use check::kind;
use depth::{Depth, MAX_DEPTH};
use http::HeaderMap;
use reader::Reader;
use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// Bytes of `id`, and of `Idempotency-Key`.
pub(super) const MAX_ID: usize = 256;

/// What an event is checked against.
pub(super) struct Rules<'a> {
    /// The names there are.
    pub(super) catalogue: &'a Catalogue,
    /// Events of one request.
    pub(super) max_batch: usize,
    /// Who posts.
    pub(super) publisher: &'a str,
    /// The accounts it may post for; empty: all.
    pub(super) accounts: &'a [Arc<str>],
    /// The `Idempotency-Key` of the request.
    pub(super) key: Option<&'a str>,
    /// The `traceparent` of the request.
    pub(super) traceparent: Option<&'a Arc<str>>,
    /// When it is accepted, as it is kept. Milliseconds since the Unix epoch.
    pub(super) accepted_ms: u64,
    /// The same as subscribers are told.
    pub(super) stamp_ms: u64,
}

/// How a request carries its events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    /// Ours: one event, or an array of them.
    Plain,
    /// A CloudEvent in JSON.
    Cloud,
    /// An array of CloudEvents in JSON.
    CloudBatch,
    /// A CloudEvent whose attributes are headers and whose data is the body.
    CloudBinary(&'a HeaderMap),
}

/// Events that may be submitted.
#[derive(Debug)]
pub(super) struct Parsed {
    /// In the order they were written.
    pub(super) events: Vec<NewEvent>,
    /// Whether they came as an array.
    pub(super) array: bool,
}

/// Reads a request's body. All errors of all events are reported, up to 100.
pub(super) fn parse(body: &[u8], form: Form<'_>, rules: &Rules<'_>) -> Result<Parsed, Problem> {
    let json = std::str::from_utf8(body)
        .map_err(|error| not_json(&format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    let first = json.trim_ascii_start().bytes().next();
    // The event around its data is one level more, and the array around an event is none of its own.
    let most = match (form, first) {
        (Form::CloudBinary(_), _) => MAX_DEPTH - 1,
        (Form::Plain | Form::CloudBatch, Some(b'[')) => MAX_DEPTH + 1,
        _ => MAX_DEPTH,
    };
    match depth::depth(json, most) {
        Depth::Fine => {}
        Depth::TooDeep => {
            let detail = format!("nests deeper than {MAX_DEPTH}: flatten data.details");
            return Err(whole(1, &detail));
        }
        Depth::Unclosed => return Err(not_json("its brackets do not close")),
    }
    let mut reader = Reader::new(rules);
    let cloud = !matches!(form, Form::Plain);
    let (events, count, array) = match (form, first) {
        (Form::CloudBinary(headers), _) => {
            let event = reader.binary(headers, json).map_err(|error| not_json(&error.to_string()))?;
            (Vec::from_iter(event), 1, false)
        }
        (Form::Plain | Form::CloudBatch, Some(b'[')) => {
            let (items, count) =
                elements(json, rules.max_batch).map_err(|error| not_json(&error.to_string()))?;
            if count == 0 && !cloud {
                return Err(whole(1, "is an empty array: send at least one event"));
            }
            if count > rules.max_batch {
                let detail = format!(
                    "has {count} events, and {} are taken at once (max_batch in [ingress]): send several requests",
                    rules.max_batch
                );
                return Err(whole(count, &detail));
            }
            if rules.key.is_some() {
                let detail =
                    "is an array, and Idempotency-Key is for a single event: give each event its own id";
                return Err(whole(count, detail));
            }
            (items.iter().filter_map(|item| reader.element(item.get(), cloud)).collect(), count, true)
        }
        (Form::Plain | Form::Cloud, Some(b'{')) => {
            let event = if cloud { reader.cloud(json) } else { reader.object(json) };
            let event = event.map_err(|error| not_json(&error.to_string()))?;
            (Vec::from_iter(event), 1, false)
        }
        _ => {
            let raw: &RawValue = serde_json::from_str(json).map_err(|error| not_json(&error.to_string()))?;
            let wanted = match form {
                Form::Cloud => "one CloudEvent",
                Form::CloudBatch => "an array of CloudEvents",
                _ => "an event or an array of events",
            };
            return Err(whole(1, &format!("must be {wanted}, and is {}", kind(raw.get()))));
        }
    };
    if reader.errors.is_empty() {
        return Ok(Parsed { events, array });
    }
    let mut detail = match reader.errors.first() {
        Some(first) if array => format!("event {} at {:?}: {}", first.index, first.pointer, first.detail),
        Some(first) => format!("{:?}: {}", first.pointer, first.detail),
        None => String::new(),
    };
    let others = reader.errors.len() + reader.more - 1;
    if others > 0 {
        detail.push_str(&format!(" ({others} more, see errors)"));
    }
    detail.push_str(" Nothing was stored.");
    Err(Problem::new(Kind::NotAnEvent, detail).errors(reader.errors).about(count))
}

/// The `data` of a test event, held to what a publisher's is, with empty details where it has none.
///
/// # Errors
/// Where it is wrong, and what to do.
pub(crate) fn test_data(data: &str) -> Result<String, String> {
    if !matches!(depth::depth(data, MAX_DEPTH - 1), Depth::Fine) {
        return Err(format!("data nests deeper than {MAX_DEPTH}: flatten data.details"));
    }
    let rules = Rules {
        catalogue: &Catalogue::default(),
        max_batch: 1,
        publisher: "",
        accounts: &[],
        key: None,
        traceparent: None,
        accepted_ms: 0,
        stamp_ms: 0,
    };
    let mut reader = Reader::new(&rules);
    let checked = reader.data(Some(data));
    if let Some(error) = reader.errors.first() {
        return Err(format!("{} {}", error.pointer, error.detail));
    }
    let has_details = checked.is_none_or(|(_, has_details)| has_details);
    let (data, details) = compose::with_details(data, has_details);
    Ok([data, details].concat())
}

fn not_json(why: &str) -> Problem {
    Problem::new(Kind::NotJson, format!("The body is not valid JSON: {why}. Nothing was stored."))
}

/// A refusal of the body as a whole.
fn whole(count: usize, detail: &str) -> Problem {
    let text = format!("The body {detail}. Nothing was stored.");
    let error = ItemError { index: 0, pointer: String::new(), detail: format!("{detail}.") };
    Problem::new(Kind::NotAnEvent, text).errors(vec![error]).about(count)
}

/// The elements of an array, the first `max` of them, and how many there are.
fn elements(json: &str, max: usize) -> Result<(Vec<&RawValue>, usize), serde_json::Error> {
    struct Elements(usize);
    impl<'de> Visitor<'de> for Elements {
        type Value = (Vec<&'de RawValue>, usize);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while items.len() < self.0 {
                let Some(item) = array.next_element::<&RawValue>()? else { break };
                items.push(item);
            }
            let mut count = items.len();
            while array.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok((items, count))
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = deserializer.deserialize_seq(Elements(max))?;
    deserializer.end()?;
    Ok(found)
}
