//! First pass: TOML text becomes a tree of owned values that know where they stand.

use super::source::{Problems, Span};
use toml::de::{DeTable, DeValue};

/// A value and where it stands. Holds secrets that were written out, so it has no `Debug`.
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) item: Item,
}

/// What a value is.
pub(super) enum Item {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key with its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Node {
    /// What it is, for messages.
    pub(super) const fn describe(&self) -> &'static str {
        match self.item {
            Item::String(_) => "a string",
            Item::Integer(_) => "a whole number",
            Item::Float(_) => "a number",
            Item::Boolean(_) => "a boolean",
            Item::Datetime(_) => "a date",
            Item::Array(_) => "a list",
            Item::Table(_) => "a table",
        }
    }

    /// The entries of a table; of anything else, none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.item {
            Item::Table(entries) => entries,
            _ => &[],
        }
    }

    /// What a string says; of anything else, nothing.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.item {
            Item::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entry at the end of a path of keys.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Entry> {
        let (first, rest) = path.split_first()?;
        let entry = self.entries().iter().find(|entry| entry.key == *first)?;
        if rest.is_empty() { Some(entry) } else { entry.node.find(rest) }
    }
}

/// Parses a file. Syntax errors go to `problems`; then there is no tree.
pub(super) fn parse(text: &str, problems: &Problems) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let broken = !errors.is_empty();
    for error in errors {
        problems.syntax(error.span(), error.message());
    }
    if broken {
        return None;
    }
    let before = problems.count();
    let node = Node { span: 0..0, item: Item::Table(table(root.get_ref(), problems)) };
    (problems.count() == before).then_some(node)
}

fn table(entries: &DeTable<'_>, problems: &Problems) -> Vec<Entry> {
    let mut entries: Vec<Entry> = entries
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: node(value.get_ref(), value.span(), problems),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn node(value: &DeValue<'_>, span: Span, problems: &Problems) -> Node {
    let item = match value {
        DeValue::String(text) => Item::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Item::Integer(number),
            Err(_) => {
                problems.at(span.clone(), "the number is too large");
                Item::Integer(0)
            }
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Item::Float(number),
            Err(_) => {
                problems.at(span.clone(), "not a number");
                Item::Float(0.0)
            }
        },
        DeValue::Boolean(value) => Item::Boolean(*value),
        DeValue::Datetime(date) => Item::Datetime(date.to_string()),
        DeValue::Array(elements) => Item::Array(
            elements.iter().map(|element| node(element.get_ref(), element.span(), problems)).collect(),
        ),
        DeValue::Table(entries) => Item::Table(table(entries, problems)),
    };
    Node { span, item }
}
