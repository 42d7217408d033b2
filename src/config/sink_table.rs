//! A sink's table as its plugin gets it, and the way back from a plugin's errors to the file.

use super::secrets::{self, Resolver};
use super::source::{Problems, Span};
use super::tree::{Entry, Item, Node};
use postrider_sink::{At, Bytes, Secret, SettingError, SettingsFile, Table, Value};

/// The table with secrets resolved, and with the files that the keys `files` name. What cannot be resolved is noted, and
/// the rest still checked for it.
pub(super) fn settings(
    entry: &Entry,
    files: &[&str],
    resolver: &mut Resolver<'_>,
    problems: &Problems,
) -> Option<Table> {
    match &entry.node.item {
        Item::Table(entries) => {
            let mut table = table(entries, resolver, problems);
            for entry in entries.iter().filter(|entry| files.contains(&entry.key.as_str())) {
                if let Item::String(name) = &entry.node.item {
                    // As with a secret: the plugin still checks the rest.
                    let file = resolver.settings_file(name, &entry.node.span, problems);
                    let file = file.unwrap_or_else(|| SettingsFile::new(name.clone(), Bytes::new()));
                    table.insert(entry.key.clone(), Value::File(file));
                }
            }
            Some(table)
        }
        _ => {
            let message = format!("expected a table, found {}", entry.node.describe());
            problems.at(entry.node.span.clone(), message);
            None
        }
    }
}

fn table(entries: &[Entry], resolver: &mut Resolver<'_>, problems: &Problems) -> Table {
    entries.iter().map(|entry| (entry.key.clone(), value(&entry.node, resolver, problems))).collect()
}

fn value(node: &Node, resolver: &mut Resolver<'_>, problems: &Problems) -> Value {
    if let Some(reference) = secrets::reference(node) {
        // The plugin still checks the rest; what it says about the placeholder is not reported.
        let secret = resolver.resolve(&reference, problems);
        return Value::Secret(secret.unwrap_or_else(|| Secret::new("unresolved".to_owned())));
    }
    match &node.item {
        Item::String(text) | Item::Datetime(text) => Value::String(text.clone()),
        Item::Integer(number) => Value::Integer(*number),
        Item::Float(number) => Value::Float(*number),
        Item::Boolean(value) => Value::Boolean(*value),
        Item::Array(elements) => {
            Value::Array(elements.iter().map(|element| value(element, resolver, problems)).collect())
        }
        Item::Table(entries) => Value::Table(table(entries, resolver, problems)),
    }
}

/// Notes a plugin's error at the place it means, unless that is a secret that could not be resolved.
pub(super) fn report(entry: &Entry, error: &SettingError, unresolved: &[Span], problems: &Problems) {
    let (mut key_span, mut node) = (&entry.key_span, &entry.node);
    for step in &error.path.0 {
        let next = match &node.item {
            Item::Table(entries) => {
                entries.iter().find(|entry| entry.key == *step).map(|entry| (&entry.key_span, &entry.node))
            }
            Item::Array(elements) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| elements.get(index))
                .map(|element| (&element.span, element)),
            _ => None,
        };
        let Some((span, below)) = next else { break };
        (key_span, node) = (span, below);
    }
    if unresolved.iter().any(|at| node.span.start <= at.start && at.end <= node.span.end)
        && error.at == At::Value
    {
        return;
    }
    let span = if error.at == At::Key { key_span } else { &node.span };
    let mut found = problems.error(span.clone(), error.message.clone());
    found.help = error.help.clone();
    problems.add(found);
}
