//! CloudEvents 1.0 as our events: in JSON (the JSON event format) or with their attributes as headers (the HTTP
//! protocol binding, version 1.0.2). The last part of `type` is the event, `source` and `id` together name it,
//! `product` and `account` are extension attributes, and `data` is ours. Other attributes are passed over.

use super::check::{self, Attribute, shown, step, suggest};
use super::depth::{Depth, depth};
use super::members::{Others, Pick};
use super::reader::{Checked, Reader};
use super::{MAX_DEPTH, MAX_ID, compose};
use crate::ingress::hygiene;
use crate::spool::NewEvent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::HeaderName;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of `source`.
const MAX_SOURCE: usize = 1024;

/// The members that matter, in the order of [`Attributes`].
const NAMES: [&str; 11] = [
    "specversion",
    "type",
    "source",
    "id",
    "time",
    "datacontenttype",
    "product",
    "account",
    "traceparent",
    "data",
    "data_base64",
];

/// The attributes that matter.
struct Attributes<'a> {
    specversion: Attribute<'a>,
    kind: Attribute<'a>,
    source: Attribute<'a>,
    id: Attribute<'a>,
    time: Attribute<'a>,
    /// `datacontenttype`; of an event in binary mode the content type says it, and it was looked at already.
    media: Attribute<'a>,
    product: Attribute<'a>,
    account: Attribute<'a>,
    traceparent: Attribute<'a>,
}

/// What they say, checked.
struct Said<'a> {
    event: Arc<str>,
    product: Arc<str>,
    account: Option<Arc<str>>,
    source: Cow<'a, str>,
    id: Cow<'a, str>,
    /// A JSON string.
    timestamp: Option<String>,
    traceparent: Option<Arc<str>>,
}

impl Reader<'_> {
    /// One CloudEvent in JSON; none: it has errors. Err: it is not JSON.
    pub(super) fn cloud(&mut self, json: &str) -> Result<Option<NewEvent>, serde_json::Error> {
        let members = Pick { names: NAMES, others: Others::Once }.read(json)?;
        let before = self.wrongs();
        for name in members.repeated {
            self.wrong(step(name), "appears twice: keep one.");
        }
        for name in &members.unknown {
            self.wrong(step(name), "appears twice: keep one.");
        }
        // An attribute that is null is one that is not there (JSON event format, section 2.2).
        let values = members.values.map(|value| value.map(RawValue::get).filter(|raw| *raw != "null"));
        let [specversion, kind, source, id, time, media, product, account, traceparent, data, base64] =
            values;
        let attributes = Attributes {
            specversion: specversion.map(check::text),
            kind: kind.map(check::text),
            source: source.map(check::text),
            id: id.map(check::text),
            time: time.map(check::text),
            media: media.map(check::text),
            product: product.map(check::text),
            account: account.map(check::text),
            traceparent: traceparent.map(check::text),
        };
        if base64.is_some() && data.is_some() {
            self.wrong("/data_base64", "stands beside data: keep one of them.");
        }
        let decoded = base64.map(|raw| check::text(raw).and_then(|text| decoded(&text)));
        Ok(match decoded {
            Some(Err(why)) => {
                self.wrong("/data_base64", format!("{why}."));
                self.attributes(attributes);
                None
            }
            Some(Ok(data)) => self.made(attributes, Some(trimmed(&data)), before),
            None => self.made(attributes, data, before),
        })
    }

    /// One CloudEvent in binary mode; none: it has errors. Err: its data is not JSON.
    pub(super) fn binary(
        &mut self,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<Option<NewEvent>, serde_json::Error> {
        let data = trimmed(body);
        if !data.is_empty() {
            serde_json::from_str::<&RawValue>(data)?;
        }
        let header = |name| attribute(headers, &HeaderName::from_static(name));
        let attributes = Attributes {
            specversion: header("ce-specversion"),
            kind: header("ce-type"),
            source: header("ce-source"),
            id: header("ce-id"),
            time: header("ce-time"),
            media: None,
            product: header("ce-product"),
            account: header("ce-account"),
            traceparent: header("ce-traceparent"),
        };
        let before = self.wrongs();
        Ok(self.made(attributes, Some(data).filter(|data| !data.is_empty()), before))
    }

    /// The event, if nothing more is wrong than before.
    fn made(&mut self, attributes: Attributes<'_>, data: Option<&str>, before: usize) -> Option<NewEvent> {
        let said = self.attributes(attributes);
        let checked = self.data(data);
        if self.wrongs() > before {
            return None;
        }
        let (said, (message_id, has_details), data) = (said?, checked?, data?);
        let content = [
            Some(&*said.event),
            Some(&*said.product),
            said.account.as_deref(),
            said.timestamp.as_deref(),
            Some(data),
        ];
        let dedup = compose::cloud_dedup(self.rules.publisher, &said.source, &said.id, content);
        Some(self.event(Checked {
            event: said.event,
            product: said.product,
            account: said.account,
            timestamp: said.timestamp.as_deref(),
            data,
            message_id,
            has_details,
            dedup: Some(dedup),
            traceparent: said.traceparent,
        }))
    }

    /// What the attributes say; none: something is wrong.
    fn attributes<'a>(&mut self, attributes: Attributes<'a>) -> Option<Said<'a>> {
        match attributes.specversion {
            None => self.wrong("/specversion", "is missing: write \"1.0\"."),
            Some(Err(why)) => self.wrong("/specversion", format!("{why}.")),
            Some(Ok(version)) if version != "1.0" => {
                let detail = format!("{} is not taken: send CloudEvents \"1.0\".", shown(&version));
                self.wrong("/specversion", detail);
            }
            Some(Ok(_)) => {}
        }
        let source = self.named("/source", attributes.source, MAX_SOURCE);
        let id = self.named("/id", attributes.id, MAX_ID);
        if self.rules.key.is_some() {
            let detail = "names the event together with source: leave the Idempotency-Key header out.";
            self.wrong("/id", detail);
        }
        let event = self.last_part(attributes.kind);
        let product = self.name("product", attributes.product, &self.rules.catalogue.products);
        let account = self.account(attributes.account);
        self.time("/time", attributes.time.as_ref());
        match attributes.media {
            Some(Ok(media)) if hygiene::json_media(&media).is_none() => {
                let detail = format!("{} is not JSON: the data of an event is a JSON object.", shown(&media));
                self.wrong("/datacontenttype", detail);
            }
            Some(Err(why)) => self.wrong("/datacontenttype", format!("{why}.")),
            _ => {}
        }
        let time = attributes.time.and_then(Result::ok);
        let trace = attributes.traceparent.and_then(Result::ok).filter(|text| hygiene::is_traceparent(text));
        Some(Said {
            event: event?,
            product: product?,
            account,
            source: source?,
            id: id?,
            // A date and time has nothing in it that JSON would escape.
            timestamp: time.map(|time| format!("\"{time}\"")),
            traceparent: trace.as_deref().map(Arc::from),
        })
    }

    /// An attribute that must be there.
    fn named<'a>(&mut self, pointer: &str, text: Attribute<'a>, most: usize) -> Option<Cow<'a, str>> {
        let why = match text {
            None => "is missing: source and id together name the event".to_owned(),
            Some(Err(why)) => why,
            Some(Ok(text)) if text.is_empty() || text.len() > most => {
                format!("must have 1 to {most} bytes, and has {}", text.len())
            }
            Some(Ok(text)) => return Some(text),
        };
        self.wrong(pointer, format!("{why}."));
        None
    }

    /// The event of the catalogue that `type` ends with.
    fn last_part(&mut self, text: Attribute<'_>) -> Option<Arc<str>> {
        let known = &self.rules.catalogue.events;
        let names = known.iter().map(AsRef::as_ref);
        let why = match text {
            None => format!("is missing: its last part is the event. {}", suggest("", names)),
            Some(Err(why)) => format!("{why}."),
            Some(Ok(text)) => {
                let last = text.rsplit('.').next().unwrap_or_default();
                let found = known.iter().find(|name| ***name == *last);
                if let Some(found) = found {
                    return Some(found.clone());
                }
                let hint = suggest(last, names);
                format!(
                    "{} does not end with an event of the catalogue, after its last dot. {hint}",
                    shown(&text)
                )
            }
        };
        self.wrong("/type", why);
        None
    }
}

/// Without the white space around it.
fn trimmed(json: &str) -> &str {
    json.trim_matches([' ', '\t', '\r', '\n'])
}

/// What `data_base64` holds.
fn decoded(text: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(text).map_err(|_| "is not base64 (with padding)".to_owned())?;
    let json = String::from_utf8(bytes).map_err(|_| "does not hold UTF-8".to_owned())?;
    let held = trimmed(&json);
    // The event around it is one level.
    if depth(held, MAX_DEPTH - 1) != Depth::Fine {
        return Err(format!("nests deeper than {MAX_DEPTH} or does not close its brackets"));
    }
    let valid = serde_json::from_str::<&RawValue>(held);
    valid.map_err(|error| format!("does not hold JSON, which an event's data is: {error}"))?;
    Ok(json)
}

/// An attribute as a header.
fn attribute<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Attribute<'a> {
    match hygiene::only(headers, name) {
        Err(()) => Some(Err(format!("is given twice as {name}: give it once"))),
        Ok(value) => value.map(|value| from_header(value.as_bytes())),
    }
}

/// The text of a header's value: quoted parts are unquoted first, then percent-encoded bytes are decoded, once (HTTP
/// protocol binding, section 3.1.3.2).
fn from_header(value: &[u8]) -> Result<Cow<'_, str>, String> {
    const NOT_UTF8: &str = "is not UTF-8 once it is decoded";
    let value = value.trim_ascii();
    if !value.iter().any(|byte| matches!(byte, b'"' | b'%')) {
        return std::str::from_utf8(value).map(Cow::Borrowed).map_err(|_| NOT_UTF8.to_owned());
    }
    let mut plain = Vec::with_capacity(value.len());
    let (mut bytes, mut quoted) = (value.iter().copied(), false);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => plain.extend(bytes.next()),
            byte => plain.push(byte),
        }
    }
    if quoted {
        return Err("has a quote that does not end".to_owned());
    }
    let mut text = Vec::with_capacity(plain.len());
    let mut rest = plain.as_slice();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            text.push(*byte);
            continue;
        }
        let hex = rest.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let hex = hex.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text.push(
            byte.ok_or("has a % without two hexadecimal digits behind it: write %25 for the sign itself")?,
        );
        rest = rest.get(2..).unwrap_or_default();
    }
    String::from_utf8(text).map(Cow::Owned).map_err(|_| NOT_UTF8.to_owned())
}

#[cfg(test)]
mod tests {
    use super::from_header;

    #[test]
    fn a_header_is_unquoted_and_then_decoded_once() {
        for (header, text) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("caf%c3%a9", "café"),
            ("%2525", "%25"),
            ("a%62c", "abc"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#),
            (r#"x"y z"w"#, "xy zw"),
            (r#""100%25""#, "100%"),
            ("plain", "plain"),
            ("", ""),
            ("schön", "schön"),
        ] {
            assert_eq!(from_header(header.as_bytes()).as_deref(), Ok(text), "{header}");
        }
        for header in ["%", "%2", "%zz", "100% sure", "%C0%A0", "%E2%82", "\"open", "%+1", "a%ff"] {
            assert!(from_header(header.as_bytes()).is_err(), "{header}");
        }
        assert!(from_header(b"\xff").is_err());
    }
}
