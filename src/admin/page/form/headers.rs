//! An endpoint's own headers as lines of text, and back. A value that is secret is not in the text: a word stands for it.

use super::plain;
use serde_json::{Map, Value, json};

/// Stands for a value that is saved and not shown.
pub(in crate::admin::page) const SAVED: &str = "(saved)";

/// As the field shows them, one on each line.
pub(super) fn lines(headers: &Map<String, Value>) -> String {
    let line = |(name, value): (&String, &Value)| format!("{name}: {}", shown(value));
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What is wrong with the lines; `before` are the headers that are saved.
pub(super) fn problem(text: &str, before: &Map<String, Value>) -> Option<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).find_map(|line| {
        let Some((name, value)) = parts(line).filter(|(name, _)| !name.is_empty()) else {
            return Some("Write each header on a line of its own, for example x-team: orders".to_owned());
        };
        let unknown = value == SAVED && known(before, name).is_none_or(|(_, old)| shown(old) != SAVED);
        unknown.then(|| format!("{name} has no saved value. Enter its value in place of {SAVED}"))
    })
}

/// The headers that the lines stand for. A value that is as it was shown stays what it is in `before`.
pub(super) fn settings(text: &str, before: &Map<String, Value>) -> Map<String, Value> {
    let header = |(name, value): (&str, &str)| match known(before, name) {
        Some((name, old)) if shown(old).trim() == value => (name.clone(), old.clone()),
        Some((name, _)) => (name.clone(), json!(value)),
        None => (name.to_ascii_lowercase(), json!(value)),
    };
    text.lines().filter_map(parts).map(header).collect()
}

fn parts(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim(), value.trim()))
}

/// Names ignore case; the file keeps its spelling.
fn known<'a>(headers: &'a Map<String, Value>, name: &str) -> Option<(&'a String, &'a Value)> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

fn shown(value: &Value) -> String {
    if value.is_object() { SAVED.to_owned() } else { plain(value) }
}
