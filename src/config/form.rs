//! An endpoint's file as settings for programs: JSON with the keys of the file, and without a secret in it.
//!
//! A secret that is written out becomes `{"fingerprint": "9f3c"}`; one by reference keeps its reference and gains the
//! fingerprint. What always holds: the text shown, its version and the settings are made from the same bytes.

use super::effective::fingerprint;
use super::load::Loader;
use super::mask::{self, is_secret, is_secret_name};
use super::secrets::{self, Resolver};
use super::source::{Problems, Span};
use super::tree::{self, Item, Node};
use postrider_sink::Secret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// An endpoint's file without its secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// The keys as JSON; none where the text is no TOML.
    pub settings: Option<Map<String, Value>>,
    /// The text, with fingerprints where secrets were.
    pub toml: String,
    /// Changes with the text.
    pub version: String,
}

impl Loader {
    /// The form of an endpoint file's text. Secrets by reference are read for their fingerprints.
    #[must_use]
    pub fn form(&self, text: &str) -> Form {
        let problems = Problems::unshown(text);
        let Some(root) = tree::parse(text, &problems) else {
            let toml = mask::blank(text);
            let version = version(&format!("{}{toml}", fingerprint(&Secret::new(text.to_owned()))));
            return Form { settings: None, toml, version };
        };
        let filter = root.find(&["filter"]).map(|entry| entry.node.span.clone());
        let mut shower =
            Shower { resolver: self.resolver(), filter, covered: Vec::new(), leaves: Vec::new() };
        let settings = match shower.show(&root, false) {
            Value::Object(settings) => Some(settings),
            _ => None,
        };
        let toml = cover(text, shower);
        Form { settings, version: version(&toml), toml }
    }
}

/// The account that an endpoint's text names, if any; none at all: the text is no TOML.
#[must_use]
pub fn account_of(text: &str) -> Option<Option<String>> {
    let problems = Problems::unshown(text);
    let root = tree::parse(text, &problems)?;
    Some(root.find(&["account"]).and_then(|entry| match &entry.node.item {
        Item::String(text) if text != "*" => Some(text.clone()),
        _ => None,
    }))
}

/// The keys from the top of a file to what stands at `at`: the innermost key whose name or value is there.
#[must_use]
pub fn keys_at(text: &str, at: usize) -> Vec<String> {
    let problems = Problems::unshown(text);
    let Some(root) = tree::parse(text, &problems) else { return Vec::new() };
    let mut found = Vec::new();
    locate(&root, at, &mut Vec::new(), &mut found);
    found
}

fn locate(node: &Node, at: usize, path: &mut Vec<String>, found: &mut Vec<String>) {
    let mut visit = |key: String, node: &Node, here: bool| {
        path.push(key);
        if here && path.len() > found.len() {
            found.clone_from(path);
        }
        locate(node, at, path, found);
        path.pop();
    };
    match &node.item {
        Item::Table(entries) => {
            for entry in entries {
                let here = entry.key_span.contains(&at) || entry.node.span.contains(&at);
                visit(entry.key.clone(), &entry.node, here);
            }
        }
        Item::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                visit(index.to_string(), element, element.span.contains(&at));
            }
        }
        _ => {}
    }
}

fn version(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

struct Shower<'a> {
    resolver: Resolver<'a>,
    /// Where the filter stands: an expression, whatever URLs it compares with.
    filter: Option<Span>,
    /// Secrets that are written out, with their fingerprints.
    covered: Vec<(Span, String)>,
    /// Where values stand: a `#` within is no comment.
    leaves: Vec<Span>,
}

impl Shower<'_> {
    fn show(&mut self, node: &Node, secret: bool) -> Value {
        if let Some(reference) = secrets::reference(node) {
            return self.reference(node, &reference);
        }
        match &node.item {
            Item::Table(entries) => {
                let show = |entry: &tree::Entry| {
                    let secret = is_secret(&entry.key, entry.node.text(), secret);
                    (entry.key.clone(), self.show(&entry.node, secret))
                };
                Value::Object(entries.iter().map(show).collect())
            }
            Item::Array(elements) => {
                Value::Array(elements.iter().map(|element| self.show(element, secret)).collect())
            }
            item => {
                self.leaves.push(node.span.clone());
                let (value, text) = match item {
                    Item::Boolean(value) => return Value::Bool(*value),
                    Item::Integer(number) => (json!(number), number.to_string()),
                    Item::Float(number) => (json!(number), number.to_string()),
                    Item::String(text) | Item::Datetime(text) => (json!(text), text.clone()),
                    Item::Array(_) | Item::Table(_) => return Value::Null,
                };
                if !secret && (self.filter.as_ref() == Some(&node.span) || !has_user(&text)) {
                    return value;
                }
                let fingerprint = fingerprint(&Secret::new(text));
                self.covered.push((node.span.clone(), format!("\"fingerprint {fingerprint}\"")));
                json!({ "fingerprint": fingerprint })
            }
        }
    }

    fn reference(&mut self, node: &Node, reference: &secrets::Reference<'_>) -> Value {
        let problems = Problems::unshown("");
        let mut shown = Map::new();
        for entry in node.entries() {
            if !reference.is_plain() {
                // What should name a secret and does not look like a name may be the secret.
                shown.insert(entry.key.clone(), self.show(&entry.node, true));
            } else if let Item::String(text) = &entry.node.item {
                self.leaves.push(entry.node.span.clone());
                shown.insert(entry.key.clone(), json!(text));
            }
        }
        if let Some(secret) = self.resolver.resolve(reference, &problems) {
            shown.insert("fingerprint".to_owned(), json!(fingerprint(&secret)));
        }
        Value::Object(shown)
    }
}

/// Whether a text is a URL that holds a user name or password.
pub(super) fn has_user(text: &str) -> bool {
    text.contains("://")
        && text.contains('@')
        && url::Url::parse(text).map_or(true, |url| !url.username().is_empty() || url.password().is_some())
}

/// The text with fingerprints in the place of secrets, and without comments that may hold one.
fn cover(text: &str, shower: Shower<'_>) -> String {
    let Shower { mut covered, leaves, .. } = shower;
    let inside = |at: usize| leaves.iter().any(|leaf| leaf.contains(&at));
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let hash = line.match_indices('#').map(|(at, _)| start + at).find(|at| !inside(*at));
        let end = start + line.trim_end_matches(['\n', '\r']).len();
        if let Some(comment) = hash.and_then(|hash| text.get(hash..end))
            && comment.contains(['=', ':'])
            && comment.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(is_secret_name)
        {
            covered.push((end - comment.len()..end, "# (hidden: it may hold a secret)".to_owned()));
        }
        start += line.len();
    }
    covered.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut shown = text.to_owned();
    for (span, instead) in covered {
        if text.is_char_boundary(span.start) && text.is_char_boundary(span.end) {
            shown.replace_range(span, &instead);
        }
    }
    shown
}
