use super::check::{self, kind, shown, step, suggest};
use super::members::Pick;
use super::{MAX_ID, Rules, compose};
use crate::ids::Generation;
use crate::ingress::problem::ItemError;
use crate::spool::NewEvent;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Errors told about one request.
const MAX_ERRORS: usize = 100;
/// Bytes of `data.message_id`.
const MAX_MESSAGE_ID: usize = 512;
/// Bytes of `account`.
const MAX_ACCOUNT: usize = 128;

/// Reads one event after another and collects what is wrong with them.
pub(super) struct Reader<'a> {
    rules: &'a Rules<'a>,
    /// The time of acceptance as a JSON string, once needed.
    stamp: Option<String>,
    /// What is wrong so far,
    pub(super) errors: Vec<ItemError>,
    /// and how much more than is told.
    pub(super) more: usize,
    index: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rules: &'a Rules<'a>) -> Self {
        Self { rules, stamp: None, errors: Vec::new(), more: 0, index: 0 }
    }

    fn wrong(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            let error = ItemError { index: self.index, pointer: pointer.into(), detail: detail.into() };
            self.errors.push(error);
        } else {
            self.more += 1;
        }
    }

    /// One element of an array; none: it has errors.
    pub(super) fn element(&mut self, raw: &str) -> Option<NewEvent> {
        let event = if raw.starts_with('{') {
            self.object(raw).unwrap_or_else(|error| {
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
        let members = Pick { names: NAMES, closed: true }.read(json)?;
        let before = self.errors.len() + self.more;
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
        let event = self.name("event", event, &catalogue.events);
        let product = self.name("product", product, &catalogue.products);
        let account = self.account(account);
        if let Some(raw) = timestamp {
            match check::text(raw) {
                Ok(text) if check::is_rfc3339(&text) => {}
                Ok(text) => self.wrong(
                    "/timestamp",
                    format!("{} is not a date and time of RFC 3339. Write it like 2026-11-23T05:00:00Z, or leave it out.", shown(&text)),
                ),
                Err(why) => self.wrong("/timestamp", format!("{why}. Leave it out to have it stamped.")),
            }
        }
        let checked = self.data(data);
        if self.errors.len() + self.more > before {
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
        let timestamp =
            timestamp.unwrap_or_else(|| self.stamp.get_or_insert_with(|| stamp(self.rules.accepted_ms)));
        Ok(Some(NewEvent {
            body: compose::body(&event, timestamp, data, has_details),
            event,
            product,
            account,
            message_id,
            traceparent: self.rules.traceparent.cloned(),
            dedup,
            targets: Vec::new(),
            generation: Generation::default(),
            accepted_ms: self.rules.accepted_ms,
        }))
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
    fn name(&mut self, member: &str, raw: Option<&str>, known: &[Arc<str>]) -> Option<Arc<str>> {
        let names = known.iter().map(AsRef::as_ref);
        let Some(raw) = raw else {
            let hint = suggest("", names);
            self.wrong(step(member), format!("is missing. {hint}"));
            return None;
        };
        match check::text(raw) {
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

    fn account(&mut self, raw: Option<&str>) -> Option<Arc<str>> {
        let allowed = self.rules.accounts;
        let Some(raw) = raw else {
            if self.rules.catalogue.accounts_required {
                self.wrong("/account", "is missing: every event here names the account it belongs to.");
            } else if !allowed.is_empty() {
                let detail = format!("is missing: this publisher posts for {} only.", allowed.join(", "));
                self.wrong("/account", detail);
            }
            return None;
        };
        let text = match check::text(raw) {
            Ok(text) => text,
            Err(why) => {
                self.wrong("/account", format!("{why}. Leave it out where an event belongs to no account."));
                return None;
            }
        };
        if text.is_empty()
            || text.len() > MAX_ACCOUNT
            || text.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            let detail = format!("must be 1 to {MAX_ACCOUNT} bytes of visible characters.");
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
    fn data(&mut self, raw: Option<&str>) -> Option<(Arc<str>, bool)> {
        let Some(raw) = raw else {
            self.wrong("/data", "is missing: it holds message_id, status and details.");
            return None;
        };
        if !raw.starts_with('{') {
            self.wrong("/data", format!("must be an object, and is {}.", kind(raw)));
            return None;
        }
        let members = match (Pick { names: ["message_id", "status", "details"], closed: false }).read(raw) {
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
