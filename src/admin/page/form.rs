//! The fields of an endpoint as a person fills them in, to and from its settings.
//!
//! Only what the form has is changed; members it does not know stay as they are. A field left empty takes the value
//! that the daemon's file or the program has. What is saved and not shown stays as it is until something is typed in
//! its place.

mod headers;

pub(super) use headers::SAVED;

use serde_json::{Map, Value, json};
use std::net::IpAddr;
use url::Url;

/// How the value of a delivery setting is written in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    /// Separated by commas or spaces.
    List,
    Choice(&'static [(&'static str, &'static str)]),
}

/// A delivery setting that an endpoint may have for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knob {
    /// Its key in the file, which is the field's name too.
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    pub(super) hint: &'static str,
}

const fn knob(key: &'static str, label: &'static str, kind: Kind, hint: &'static str) -> Knob {
    Knob { key, label, kind, hint }
}

const ORDERING: Kind = Kind::Choice(&[
    ("message", "Within one message"),
    ("endpoint", "Strictly one after another"),
    ("none", "As they come"),
]);

/// All of them, in the order of the form.
pub(super) const KNOBS: [Knob; 15] = [
    knob("timeout", "Time for one attempt", Kind::Text, "From the look-up of the name to the answer"),
    knob("connect_timeout", "Of it to connect", Kind::Text, "Look-up, TCP and TLS together"),
    knob("concurrency", "Attempts at once", Kind::Integer, "1 to 1,024"),
    knob("ordering", "Order of deliveries", ORDERING, "What waits for what"),
    knob("rate", "Most attempts", Kind::Text, "For example 50/s; empty is no limit"),
    knob(
        "retry.schedule",
        "Waits between attempts",
        Kind::List,
        "For example 5s, 5m, 30m; one attempt more than waits",
    ),
    knob("retry.jitter", "Spread of each wait", Kind::Number, "0 to 1; 0.2 is plus or minus a fifth"),
    knob("retry.max_age", "Give up after", Kind::Text, "Counted from when the event was accepted"),
    knob(
        "breaker.failures",
        "Hold after failures in a row",
        Kind::Integer,
        "Deliveries are held, never dropped",
    ),
    knob("breaker.ratio", "Or when this part fails", Kind::Number, "More than 0, at most 1"),
    knob("breaker.window", "Within", Kind::Text, ""),
    knob("breaker.min_attempts", "With at least so many attempts", Kind::Integer, ""),
    knob("breaker.open", "First wait while held", Kind::Text, "Doubles after each try"),
    knob("breaker.max_open", "Longest wait while held", Kind::Text, ""),
    knob("breaker.probes", "Resume after successes", Kind::Integer, "In a row"),
];

/// How the endpoint proves itself to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Auth {
    /// What is saved stays.
    Keep,
    /// The encoded form: base64 of `username:password`.
    #[default]
    Encoded,
    /// User name and password.
    Basic,
}

impl Auth {
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Encoded => "encoded",
            Self::Basic => "basic",
        }
    }
}

/// The form as it stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) products: Vec<String>,
    pub(super) account: String,
    pub(super) filter: String,
    pub(super) auth: Auth,
    pub(super) credentials: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) signing: String,
    pub(super) drop_signing: bool,
    pub(super) headers: String,
    /// By key of [`KNOBS`]; empty: inherited.
    pub(super) knobs: Vec<(&'static str, String)>,
    /// The file's version that the form was filled from; empty: a new endpoint.
    pub(super) base: String,
    /// The host of the saved URL: when another is entered, the credentials must be too.
    pub(super) saved_host: String,
    /// Of the test event.
    pub(super) test_event: String,
    pub(super) test_product: String,
    pub(super) test_data: String,
}

/// Something a person must change: the field's id and what to do.
pub(super) type FieldError = (String, String);

impl Form {
    /// From what a browser posted.
    pub(super) fn posted(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let text = || value.trim().to_owned();
            match name.as_ref() {
                "name" => form.name = text(),
                "url" => form.url = text(),
                "events" => form.events.push(text()),
                "products" => form.products.push(text()),
                "account" => form.account = text(),
                "filter" => form.filter = text(),
                "auth" => {
                    form.auth = match value.as_ref() {
                        "keep" => Auth::Keep,
                        "basic" => Auth::Basic,
                        _ => Auth::Encoded,
                    }
                }
                "credentials" => form.credentials = text(),
                "username" => form.username = text(),
                // A password may begin or end with a space.
                "password" => form.password = value.into_owned(),
                "signing" => form.signing = text(),
                "drop_signing" => form.drop_signing = true,
                "headers" => form.headers = value.into_owned(),
                "base" => form.base = text(),
                "saved_host" => form.saved_host = text(),
                "test_event" => form.test_event = text(),
                "test_product" => form.test_product = text(),
                "test_data" => form.test_data = text(),
                key => {
                    if let Some(knob) = KNOBS.iter().find(|knob| knob.key == key) {
                        form.knobs.push((knob.key, text()));
                    }
                }
            }
        }
        form
    }

    /// From saved settings.
    pub(super) fn saved(name: &str, settings: &Value, base: &str, known: (&[String], &[String])) -> Self {
        let text =
            |path: &[&str]| find(settings, path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |key: &str, all: &[String]| match settings.get(key) {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(word)) if word == "all" => all.to_vec(),
            _ => Vec::new(),
        };
        let url = text(&["http", "url"]);
        Self {
            name: name.to_owned(),
            events: list("events", known.0),
            products: list("products", known.1),
            account: text(&["account"]),
            filter: text(&["filter"]),
            auth: if find(settings, &["http", "auth"]).is_some() { Auth::Keep } else { Auth::Encoded },
            headers: own_headers(settings).map(headers::lines).unwrap_or_default(),
            knobs: KNOBS.iter().map(|knob| (knob.key, written(settings, knob.key))).collect(),
            base: base.to_owned(),
            saved_host: host(&url).unwrap_or_default(),
            url,
            ..Self::default()
        }
    }

    /// The value of a delivery setting; empty: inherited.
    pub(super) fn knob(&self, key: &str) -> &str {
        self.knobs.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }

    /// What a person must change before this can be saved; a draft may be incomplete, but what is there must be right.
    /// `before` is what is saved.
    pub(super) fn problems(&self, before: &Value, draft: bool, is_http: bool) -> Vec<FieldError> {
        let mut found: Vec<FieldError> = Vec::new();
        let mut add = |field: &str, text: &str| found.push((field.to_owned(), text.to_owned()));
        if self.name.is_empty() {
            add("name", "Enter a name");
        } else if !is_name(&self.name) {
            add("name", "Use lower-case letters, digits and hyphens, for example acme-prod");
        }
        if !draft && self.events.is_empty() {
            add("events", "Select at least one event");
        }
        if !draft && self.products.is_empty() {
            add("products", "Select at least one product");
        }
        if !is_http {
            return found;
        }
        if let Some(text) = url_problem(&self.url, draft) {
            add("url", text);
        }
        self.auth_problems(draft, &mut add);
        if let Some(text) = headers::problem(&self.headers, own_headers(before).unwrap_or(&Map::new())) {
            add("headers", &text);
        }
        found.extend(self.knob_problems());
        found
    }

    fn auth_problems(&self, draft: bool, add: &mut impl FnMut(&str, &str)) {
        match self.auth {
            Auth::Keep => {
                let now = host(&self.url).unwrap_or_default();
                if !now.is_empty() && !self.saved_host.is_empty() && now != self.saved_host {
                    add("auth", "The URL's host has changed. Enter the credentials for the new one");
                }
            }
            Auth::Encoded => {
                if self.credentials.is_empty() && !draft {
                    add("credentials", "Enter the encoded credentials, or choose user name and password");
                }
            }
            Auth::Basic => {
                if self.username.is_empty() && (!self.password.is_empty() || !draft) {
                    add("username", "Enter the user name, or remove the password");
                } else if self.username.contains(':') {
                    add("username", "Remove the colon. A Basic Auth user name cannot contain one");
                }
                if self.password.is_empty() && !self.username.is_empty() {
                    add("password", "Enter the password");
                }
            }
        }
        // What is entered for a way that is not chosen would be lost without a word.
        for (field, entered, way, words) in [
            ("credentials", &self.credentials, Auth::Encoded, "Encoded credentials"),
            ("username", &self.username, Auth::Basic, "User name and password"),
            ("password", &self.password, Auth::Basic, "User name and password"),
        ] {
            if !entered.is_empty() && self.auth != way {
                let text = format!(
                    "{words} is not chosen above. Choose it and enter this again, or leave this empty"
                );
                add(field, &text);
            }
        }
    }

    fn knob_problems(&self) -> Vec<FieldError> {
        let wrong = |knob: &&Knob| {
            let value = self.knob(knob.key);
            !value.is_empty()
                && match knob.kind {
                    Kind::Integer => value.parse::<u64>().is_err(),
                    Kind::Number => value.parse::<f64>().is_err(),
                    _ => false,
                }
        };
        KNOBS
            .iter()
            .filter(wrong)
            .map(|knob| (knob.key.to_owned(), format!("Enter a number. {}", knob.hint)))
            .collect()
    }

    /// The settings it stands for: `before` with what the form has in place of what was there.
    pub(super) fn settings(
        &self,
        before: &Value,
        state: &str,
        known: (&[String], &[String]),
        is_http: bool,
    ) -> Value {
        let mut settings = before.as_object().cloned().unwrap_or_default();
        settings.insert("state".to_owned(), json!(state));
        let chosen = |names: &[String], all: &[String], key: &str| {
            let whole = !all.is_empty() && all.iter().all(|name| names.contains(name));
            // Written as a list it stays one, so that a new event of the catalogue does not come along unasked.
            let was_list = before.get(key).is_some_and(Value::is_array);
            if whole && !was_list { json!("all") } else { json!(names) }
        };
        for (key, names, all) in [("events", &self.events, known.0), ("products", &self.products, known.1)] {
            if names.is_empty() {
                settings.remove(key);
            } else {
                settings.insert(key.to_owned(), chosen(names, all, key));
            }
        }
        for (key, value) in [("account", &self.account), ("filter", &self.filter)] {
            put_text(&mut settings, &[key], value);
        }
        if is_http {
            self.http(&mut settings);
        }
        for knob in &KNOBS {
            let path: Vec<&str> = knob.key.split('.').collect();
            put(&mut settings, &path, as_value(knob.kind, self.knob(knob.key)));
        }
        Value::Object(settings)
    }

    fn http(&self, settings: &mut Map<String, Value>) {
        put_text(settings, &["http", "url"], &self.url);
        let basic = match self.auth {
            Auth::Keep => None,
            Auth::Encoded => {
                (!self.credentials.is_empty()).then(|| json!({ "credentials": self.credentials }))
            }
            Auth::Basic => (!self.username.is_empty())
                .then(|| json!({ "username": self.username, "password": self.password })),
        };
        if let Some(basic) = basic {
            put(settings, &["http", "auth"], Some(json!({ "basic": basic })));
        }
        if !self.signing.is_empty() {
            put(settings, &["http", "signing"], Some(json!({ "secrets": [self.signing] })));
        } else if self.drop_signing {
            put(settings, &["http", "signing"], None);
        }
        let before = settings.get("http").and_then(|http| http.get("headers")).and_then(Value::as_object);
        let headers = headers::settings(&self.headers, before.unwrap_or(&Map::new()));
        put(settings, &["http", "headers"], (!headers.is_empty()).then_some(Value::Object(headers)));
        if settings.get("http").is_none() {
            settings.insert("http".to_owned(), json!({}));
        }
    }
}

/// The member at a path.
pub(super) fn find<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| value.get(part))
}

fn own_headers(settings: &Value) -> Option<&Map<String, Value>> {
    find(settings, &["http", "headers"])?.as_object()
}

/// Sets a text, or takes it away where the field is empty. One that is saved and not shown was never in the field.
fn put_text(table: &mut Map<String, Value>, path: &[&str], text: &str) {
    let (first, rest) = path.split_first().map_or(("", path), |(first, rest)| (*first, rest));
    let hidden = table.get(first).and_then(|first| find(first, rest)).is_some_and(Value::is_object);
    if !text.is_empty() || !hidden {
        put(table, path, (!text.is_empty()).then(|| json!(text)));
    }
}

/// Sets or takes away the member at a path; a table that is left empty goes too.
fn put(table: &mut Map<String, Value>, path: &[&str], value: Option<Value>) {
    match path {
        [] => {}
        [key] => match value {
            Some(value) => drop(table.insert((*key).to_owned(), value)),
            None => drop(table.remove(*key)),
        },
        [key, rest @ ..] => {
            if value.is_none() && !table.contains_key(*key) {
                return;
            }
            let inner = table.entry((*key).to_owned()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
                if inner.is_empty() {
                    table.remove(*key);
                }
            }
        }
    }
}

fn as_value(kind: Kind, text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    Some(match kind {
        Kind::Integer => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
        Kind::Number => text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number)),
        Kind::List => {
            let parts = text.split([',', ' ']).map(|part| part.trim_matches(['"', '[', ']', ' ']));
            json!(parts.filter(|part| !part.is_empty()).collect::<Vec<_>>())
        }
        Kind::Text | Kind::Choice(_) => json!(text),
    })
}

fn written(settings: &Value, key: &str) -> String {
    let path: Vec<&str> = key.split('.').collect();
    find(settings, &path).map(plain).unwrap_or_default()
}

/// A value as a field shows it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// `[a-z0-9][a-z0-9._-]{0,62}`, as endpoint files are named.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
}

fn url_problem(text: &str, draft: bool) -> Option<&'static str> {
    if text.is_empty() {
        return (!draft).then_some("Enter the endpoint URL");
    }
    let full = "Enter a full URL that starts with https://, for example https://example.com/webhooks";
    let Ok(url) = Url::parse(text) else { return Some(full) };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Some(full);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("Remove the user name and password from the URL and enter them under Basic Auth");
    }
    url.fragment().is_some().then_some("Remove everything from # on. It is never sent to a server")
}

/// Whether a password would go over the open network: http to anything but this machine.
pub(super) fn is_open(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let local = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        url.scheme() == "http" && !local
    })
}

#[cfg(test)]
mod tests;
