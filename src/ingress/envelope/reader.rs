use super::check::{self, Attribute, kind, shown, step, suggest};
use super::members::{Others, Pick};
use super::{MAX_ID, Rules, compose};
use crate::ids::{EVERY_ACCOUNT, Generation, is_name};
use crate::ingress::problem::ItemError;
use crate::spool::{DedupKey, NewEvent};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Errors told about one request.
const MAX_ERRORS: usize = 100;
/// Bytes of `data.message_id`.
const MAX_MESSAGE_ID: usize = 512;

/// Reads one event after another and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) rules: &'a Rules<'a>,
    /// The time of acceptance as a JSON string, once needed.
    stamp: Option<String>,
    /// What is wrong so far,
    pub(super) errors: Vec<ItemError>,
    /// and how much more than is told.
    pub(super) more: usize,
    index: usize,
}

/// An event in which nothing is wrong.
pub(super) struct Checked<'a> {
    pub(super) event: Arc<str>,
    pub(super) product: Arc<str>,
    pub(super) account: Option<Arc<str>>,
    /// A JSON string; none: the time of acceptance.
    pub(super) timestamp: Option<&'a str>,
    /// A JSON object, as it was written.
    pub(super) data: &'a str,
    pub(super) message_id: Arc<str>,
    pub(super) has_details: bool,
    pub(super) dedup: Option<DedupKey>,
    /// Its own, where it has one; else the request's counts.
    pub(super) traceparent: Option<Arc<str>>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rules: &'a Rules<'a>) -> Self {
        Self { rules, stamp: None, errors: Vec::new(), more: 0, index: 0 }
    }

    pub(super) fn wrong(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            let error = ItemError { index: self.index, pointer: pointer.into(), detail: detail.into() };
            self.errors.push(error);
        } else {
            self.more += 1;
        }
    }

    /// How much is wrong so far.
    pub(super) fn wrongs(&self) -> usize {
        self.errors.len() + self.more
    }

    /// One element of an array, an event of ours or a CloudEvent; none: it has errors.
    pub(super) fn element(&mut self, raw: &str, cloud: bool) -> Option<NewEvent> {
        let event = if raw.starts_with('{') {
            let event = if cloud { self.cloud(raw) } else { self.object(raw) };
            event.unwrap_or_else(|error| {
                self.wrong("", format!("cannot be read: {error}."));
                None
            })
        } else {
            self.wrong("", format!("must be an object, and is {}.", kind(raw)));
            None
        };
        self.index += 1;
        event
    }

    /// One event; none: it has errors. Err: it is not JSON.
    pub(super) fn object(&mut self, json: &str) -> Result<Option<NewEvent>, serde_json::Error> {
        const NAMES: [&str; 6] = ["id", "event", "product", "account", "timestamp", "data"];
        let members = Pick { names: NAMES, others: Others::Refused }.read(json)?;
        let before = self.wrongs();
        for name in members.repeated {
            self.wrong(step(name), "appears twice: keep one.");
        }
        for name in members.unknown {
            let hint = suggest(&name, NAMES.into_iter());
            self.wrong(
                step(&name),
                format!("is not a member of an event. {hint} Anything else goes into data.details."),
            );
        }
        let [id, event, product, account, timestamp, data] =
            members.values.map(|value| value.map(RawValue::get));
        let catalogue = self.rules.catalogue;
        let id = self.own_id(id);
        let event = self.name("event", event.map(check::text), &catalogue.events);
        let product = self.name("product", product.map(check::text), &catalogue.products);
        let account = self.account(account.map(check::text));
        self.time("/timestamp", timestamp.map(check::text).as_ref());
        let checked = self.data(data);
        if self.wrongs() > before {
            return Ok(None);
        }
        let (Some(event), Some(product), Some(data), Some((message_id, has_details))) =
            (event, product, data, checked)
        else {
            return Ok(None);
        };
        let dedup = id.map(|id| {
            let said = [Some(&*event), Some(&*product), account.as_deref(), timestamp, Some(data)];
            compose::dedup(self.rules.publisher, &id, said)
        });
        Ok(Some(self.event(Checked {
            event,
            product,
            account,
            timestamp,
            data,
            message_id,
            has_details,
            dedup,
            traceparent: None,
        })))
    }

    /// What may be submitted of an event in which nothing is wrong.
    pub(super) fn event(&mut self, checked: Checked<'_>) -> NewEvent {
        let rules = self.rules;
        let timestamp =
            checked.timestamp.unwrap_or_else(|| self.stamp.get_or_insert_with(|| stamp(rules.stamp_ms)));
        NewEvent {
            body: compose::body(&checked.event, timestamp, checked.data, checked.has_details),
            event: checked.event,
            product: checked.product,
            account: checked.account,
            message_id: checked.message_id,
            traceparent: checked.traceparent.or_else(|| rules.traceparent.cloned()),
            dedup: checked.dedup,
            targets: Vec::new(),
            generation: Generation::default(),
            accepted_ms: rules.accepted_ms,
        }
    }

    /// Whether a timestamp, where there is one, is a date and time.
    pub(super) fn time(&mut self, pointer: &str, text: Option<&Result<Cow<'_, str>, String>>) {
        match text {
            Some(Ok(text)) if !check::is_rfc3339(text) => self.wrong(
                pointer,
                format!("{} is not a date and time of RFC 3339. Write it like 2026-11-23T05:00:00Z, or leave it out.", shown(text)),
            ),
            Some(Err(why)) => self.wrong(pointer, format!("{why}. Leave it out to have it stamped.")),
            _ => {}
        }
    }

    /// The publisher's own id: of the event, or of the request's head.
    fn own_id(&mut self, raw: Option<&str>) -> Option<String> {
        let Some(raw) = raw else { return self.rules.key.map(str::to_owned) };
        match check::text(raw) {
            Ok(id) if id.is_empty() || id.len() > MAX_ID => {
                self.wrong("/id", format!("must have 1 to {MAX_ID} bytes, and has {}.", id.len()));
                None
            }
            Ok(id) if self.rules.key.is_some_and(|key| key != id) => {
                self.wrong("/id", "differs from the Idempotency-Key of the request: send one of them.");
                None
            }
            Ok(id) => Some(id.into_owned()),
            Err(why) => {
                self.wrong("/id", format!("{why}."));
                None
            }
        }
    }

    /// A name of the catalogue, as the catalogue's own copy.
    pub(super) fn name(&mut self, member: &str, text: Attribute<'_>, known: &[Arc<str>]) -> Option<Arc<str>> {
        let names = known.iter().map(AsRef::as_ref);
        let Some(text) = text else {
            let hint = suggest("", names);
            self.wrong(step(member), format!("is missing. {hint}"));
            return None;
        };
        match text {
            Ok(text) => {
                let found = known.iter().find(|name| ***name == *text);
                if found.is_none() {
                    let hint = suggest(&text, names);
                    let detail = format!("{} is no {member} of the catalogue. {hint}", shown(&text));
                    self.wrong(step(member), detail);
                }
                found.cloned()
            }
            Err(why) => {
                self.wrong(step(member), format!("{why}."));
                None
            }
        }
    }

    pub(super) fn account(&mut self, text: Attribute<'_>) -> Option<Arc<str>> {
        let allowed = self.rules.accounts;
        let Some(text) = text else {
            if self.rules.catalogue.accounts_required {
                self.wrong("/account", "is missing: every event here names the account it belongs to.");
            } else if !allowed.is_empty() {
                let detail = format!("is missing: this publisher posts for {} only.", allowed.join(", "));
                self.wrong("/account", detail);
            }
            return None;
        };
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                self.wrong("/account", format!("{why}. Leave it out where an event belongs to no account."));
                return None;
            }
        };
        if text == EVERY_ACCOUNT || !is_name(&text) {
            let detail = "must be 1 to 128 characters, none of them a control character, without white space \
                          around them, and not \"*\".";
            self.wrong("/account", detail);
            return None;
        }
        if allowed.is_empty() {
            return Some(Arc::from(&*text));
        }
        let own = allowed.iter().find(|account| ***account == *text);
        if own.is_none() {
            let list = allowed.join(", ");
            self.wrong(
                "/account",
                format!("{} is not an account of this publisher. It posts for: {list}.", shown(&text)),
            );
        }
        own.cloned()
    }

    /// The message id, and whether there are details; none: something is wrong.
    pub(super) fn data(&mut self, raw: Option<&str>) -> Option<(Arc<str>, bool)> {
        let Some(raw) = raw else {
            self.wrong("/data", "is missing: it holds message_id, status and details.");
            return None;
        };
        if !raw.starts_with('{') {
            self.wrong("/data", format!("must be an object, and is {}.", kind(raw)));
            return None;
        }
        let members =
            match (Pick { names: ["message_id", "status", "details"], others: Others::Any }).read(raw) {
                Ok(members) => members,
                Err(error) => {
                    self.wrong("/data", format!("cannot be read: {error}."));
                    return None;
                }
            };
        for name in members.repeated {
            self.wrong(format!("/data/{name}"), "appears twice: keep one.");
        }
        let [message_id, status, details] = members.values.map(|value| value.map(RawValue::get));
        match status.map(check::text) {
            None => self.wrong("/data/status", "is missing: it is the message's status, a string."),
            Some(Err(why)) => self.wrong("/data/status", format!("{why}.")),
            Some(Ok(_)) => {}
        }
        if let Some(details) = details
            && !details.starts_with('{')
        {
            self.wrong("/data/details", format!("must be an object, and is {}.", kind(details)));
        }
        match message_id.map(check::text) {
            None => self.wrong("/data/message_id", "is missing: it names the message this is about."),
            Some(Err(why)) => self.wrong("/data/message_id", format!("{why}.")),
            Some(Ok(id)) if id.is_empty() || id.len() > MAX_MESSAGE_ID => {
                let detail = format!("must have 1 to {MAX_MESSAGE_ID} bytes, and has {}.", id.len());
                self.wrong("/data/message_id", detail);
            }
            Some(Ok(id)) => return Some((Arc::from(&*id), details.is_some())),
        }
        None
    }
}

/// A moment as a JSON string: UTC with milliseconds.
fn stamp(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("\"{:.3}\"", moment.unwrap_or_default())
}
