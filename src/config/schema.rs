//! The table of keys as a JSON Schema, for editors, and as the manual's page.

use super::keys::{DAEMON, DELIVERY, ENDPOINT, Key, Kind};
use crate::sinks::Sinks;
use postrider_sink::SinkFactory;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Which file a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `postrider.toml`.
    Daemon,
    /// A file in `endpoints`.
    Endpoint,
}

/// The JSON Schema (2020-12) of a file, the tables of its sinks as their plugins describe them.
#[must_use]
pub fn schema(kind: FileKind, sinks: &Sinks) -> Value {
    let mut root = match kind {
        FileKind::Daemon => {
            let mut root = object(DAEMON);
            insert(&mut root, "defaults", object(DELIVERY));
            root
        }
        FileKind::Endpoint => {
            let keys: Vec<Key> = ENDPOINT.iter().chain(DELIVERY).copied().collect();
            let (mut root, mut complete, mut one) = (object(&keys), Map::new(), Vec::new());
            for kind in sinks.kinds() {
                let mut table = sinks.get(kind).map_or_else(|| json!({}), |sink| sink_table(&**sink));
                if let Some(required) = table.as_object_mut().and_then(|table| table.remove("required")) {
                    complete.insert(kind.to_owned(), json!({ "required": required }));
                }
                insert(&mut root, kind, table);
                one.push(json!({ "required": [kind] }));
            }
            // A draft may leave out what else has to be there.
            if let Some(root) = root.as_object_mut() {
                let draft = json!({ "properties": { "state": { "const": "draft" } }, "required": ["state"] });
                root.insert("if".to_owned(), draft);
                let rest =
                    json!({ "properties": complete, "required": ["events", "products"], "oneOf": one });
                root.insert("else".to_owned(), rest);
            }
            root
        }
    };
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    }
    root
}

/// A sink's table as its plugin describes it; where it takes a secret, a reference is as good.
fn sink_table(sink: &dyn SinkFactory) -> Value {
    let mut schema = serde_json::from_str(&sink.schema()).unwrap_or_else(|_| json!({ "type": "object" }));
    references(&mut schema);
    schema
}

fn references(schema: &mut Value) {
    match schema {
        Value::Object(members) if members.get("format").is_some_and(|format| format == "password") => {
            let secret = std::mem::take(schema);
            *schema = json!({ "anyOf": [secret, reference()] });
        }
        Value::Object(members) => members.values_mut().for_each(references),
        Value::Array(elements) => elements.iter_mut().for_each(references),
        _ => {}
    }
}

fn insert(object: &mut Value, key: &str, schema: Value) {
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(key.to_owned(), schema);
    }
}

fn object(keys: &[Key]) -> Value {
    let mut root = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    for key in keys {
        place(&mut root, key.path, key);
    }
    root
}

fn place(object: &mut Value, path: &str, key: &Key) {
    let Some((head, rest)) = path.split_once('.') else { return insert(object, path, leaf(key)) };
    let (name, list) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let table = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let fresh = if list { json!({ "type": "array", "items": table }) } else { table };
    let below = properties.entry(name.to_owned()).or_insert(fresh);
    let below = if list { below.get_mut("items") } else { Some(below) };
    if let Some(below) = below {
        place(below, rest, key);
    }
}

fn leaf(key: &Key) -> Value {
    let mut schema: Map<String, Value> = match key.kind {
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Share => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        Kind::Text | Kind::Address => json!({ "type": "string" }),
        Kind::Duration => duration(),
        Kind::Durations => json!({ "type": "array", "items": duration(), "maxItems": 100 }),
        Kind::Size => {
            json!({ "type": ["string", "integer"], "pattern": "^ *[0-9]+ *(([KkMmGgTt][Ii]?)?[Bb])? *$" })
        }
        Kind::Rate => json!({ "type": "string", "pattern": "^([0-9]+ */ *[smh]|none)$" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Texts => texts(),
        Kind::TextsOrAll => json!({ "anyOf": [{ "const": "all" }, texts()] }),
        Kind::Table => json!({ "type": "object" }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::Secret => json!({ "anyOf": [{ "type": "string" }, reference()] }),
    }
    .as_object()
    .cloned()
    .unwrap_or_default();
    schema.insert("description".to_owned(), json!(key.meaning));
    schema.insert("x-live".to_owned(), json!(key.live));
    if let Some(default) = default(key) {
        schema.insert("default".to_owned(), default);
    }
    Value::Object(schema)
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": "^ *[0-9]+ *(ms|s|m|h|d|w) *$" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn reference() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": {
            "file": { "type": "string" },
            "env": { "type": "string" },
            "credential": { "type": "string" },
        },
    })
}

/// The default as JSON: the literals used are the same in both.
fn default(key: &Key) -> Option<Value> {
    serde_json::from_str(key.default).ok()
}

/// The manual's page of all keys.
#[must_use]
pub fn manual() -> String {
    let mut page = String::from(INTRODUCTION);
    section(&mut page, "The daemon's file, `postrider.toml`", DAEMON, "");
    section(&mut page, "`[defaults]`, and every endpoint file", DELIVERY, DEFAULTS);
    section(&mut page, "An endpoint file, `endpoints/NAME.toml`", ENDPOINT, ENDPOINTS);
    page
}

fn section(page: &mut String, title: &str, keys: &[Key], text: &str) {
    let _ = write!(
        page,
        "\n## {title}\n{text}\n| key | takes | default | live | meaning |\n|---|---|---|---|---|\n"
    );
    for key in keys {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let live = if key.live { "yes" } else { "no" };
        let _ =
            writeln!(page, "| `{}` | {} | {default} | {live} | {} |", key.path, takes(key.kind), key.meaning);
    }
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Integer(least, most) if least == most => format!("{least}"),
        Kind::Integer(least, most) => format!("whole number, {least} to {most}"),
        Kind::Boolean => "`true`, `false`".to_owned(),
        Kind::Number | Kind::Share => "number".to_owned(),
        Kind::Text => "string".to_owned(),
        Kind::Address => "address and port".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Durations => "list of durations".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Rate => "rate".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Texts => "list of strings".to_owned(),
        Kind::TextsOrAll => "list of strings, or `\"all\"`".to_owned(),
        Kind::Table => "table".to_owned(),
        Kind::Truth => "`true`, `false`".to_owned(),
        Kind::Secret => "secret".to_owned(),
    }
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the code by a test. After a change of the keys: UPDATE_DOCS=1 cargo test --lib manual -->

One file for the daemon, `postrider.toml`, and one file for each endpoint in the folder `endpoints` next to it.
Relative paths start at the folder of `postrider.toml`. Unknown keys are errors. `postrider check` reads the files
as the daemon does and reports every error at once; `postrider config schema` prints a JSON Schema for editors.

A running daemon applies a changed file by itself, on `SIGHUP` and on `POST /-/reload`. Of the endpoints' files it reads
those that look different since they were read last, in inode, size or times. The daemon's file applies as
a whole or not at all. Each endpoint file stands alone: a bad one keeps its last good version running and is
reported. A change of a key that is not live is refused by name, and the rest applies.

- A **duration** is a whole number and `ms`, `s`, `m`, `h`, `d` or `w`: `\"250ms\"`, `\"5m\"`.
- A **size** is a whole number and `B`, `KiB`, `MiB`, `GiB`, `TiB` (or `kB`, `MB`, `GB`, `TB`), or a number of bytes.
- A **rate** is a count and `/s`, `/m` or `/h`: `\"50/s\"`.
- A **secret** is a string, `{ file = \"path\" }`, `{ env = \"NAME\" }` or `{ credential = \"name\" }` (systemd). One
  newline at its end is cut. Files of secrets are watched like the configuration. At most 64 KiB.
";

const DEFAULTS: &str = "
What `[defaults]` says, every endpoint inherits, key by key; a list replaces the whole list. In an endpoint file the
same keys stand at the top: `timeout = \"5s\"`, `[retry]`, `[breaker]`.
";

const ENDPOINTS: &str = r#"
The endpoint is named after its file: lower-case letters, digits, dots, hyphens and underscores, at most 63, the
first a letter or a digit. Files that do not end in `.toml`, hidden files and what editors leave behind are ignored.
Beside these keys a file has exactly one table named after a sink, `[http]` for example, that the sink's plugin reads
and checks; it says which of them may be secrets.

A **filter** is an expression of the [Common Expression Language](https://cel.dev) over `event`, `product`, `account`
(null where an event has none) and `data`:
```toml
filter = 'data.status == "failed" && has(data.details.code) && data.details.code >= 500'

[[test]]
event = "failed"
product = "campaigns"
data = { status = "failed", details = { code = 503 } }
matches = true
```
It may call `size`, `contains`, `startsWith`, `endsWith`, `int`, `uint`, `double`, `string`, `bool`, `type` and the
macros `has`, `all`, `exists`, `exists_one`, `map` and `filter`, and has at most 2 KiB, 1,000 parts and 32 levels. One
evaluation may take 10,000 steps and 25 ms of a processor. An event for which the filter fails (a member is missing, a type does not
fit) or takes longer is not delivered; it is counted in `postrider_filter_failures_total` and shown in the endpoint's
status. `postrider explain` says for an event which endpoints get it, and why the others do not.
"#;
