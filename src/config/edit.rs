//! Settings back into an endpoint's file: only what differs is written, so comments, order and spelling stay.

mod list;

use super::form::Form;
use super::mask::is_secret;
use serde_json::{Map, Value};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, TableLike};

/// What is wrong with settings, before they are judged as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditError {
    /// The keys from the top of the settings.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// A secret that is written out in settings.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// The keys from the top of the settings.
    pub path: Vec<String>,
    /// What it says.
    pub text: String,
}

/// The keys that a new file starts with, in this order; then the others by name, tables last.
const FIRST: [&str; 4] = ["state", "events", "products", "account"];

/// The text of a file that says `wanted`. Where it already does, the text stays as it is. `form` is that of `text`.
///
/// # Errors
/// What cannot be written: a fingerprint that is not of the secret that stands there, a null.
pub fn edit(text: &str, form: &Form, wanted: &Map<String, Value>) -> Result<String, Vec<EditError>> {
    if form.settings.as_ref() == Some(wanted) {
        return Ok(text.to_owned());
    }
    let empty = Map::new();
    let shown = form.settings.as_ref().unwrap_or(&empty);
    // What is no TOML cannot be changed in place.
    let mut document = text.parse::<DocumentMut>().unwrap_or_default();
    let mut editor = Editor { path: Vec::new(), errors: Vec::new() };
    editor.merge(document.as_table_mut(), shown, wanted);
    if editor.errors.is_empty() { Ok(document.to_string()) } else { Err(editor.errors) }
}

/// The text with another `state`.
///
/// # Errors
/// The text is no TOML.
pub fn set_state(text: &str, state: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        error.message().lines().next().unwrap_or("not valid TOML").to_owned()
    })?;
    let table = document.as_table_mut();
    match table.get_mut("state").and_then(Item::as_value_mut) {
        Some(value) => replace(value, state.into()),
        None => drop(table.insert("state", toml_edit::value(state))),
    }
    Ok(document.to_string())
}

/// The text of a form for somebody who puts it into a file: a secret that stood in it is left out together with its
/// key, since a fingerprint in its place would be taken for the secret. A comment on top says which.
#[must_use]
pub fn without_secrets(form: &Form) -> String {
    let (Some(settings), Ok(mut document)) = (&form.settings, form.toml.parse::<DocumentMut>()) else {
        return form.toml.clone();
    };
    let mut secrets = Vec::new();
    walk(settings, &mut |path, value| {
        if is_written_out(value) {
            secrets.push(path.to_vec());
        }
    });
    if secrets.is_empty() {
        return form.toml.clone();
    }
    // From the last to the first, so that places in lists stay what they are.
    for path in secrets.iter().rev() {
        leave_out(document.as_table_mut(), path);
    }
    let name =
        |path: &Vec<String>| path.iter().map(|key| Key::new(key).to_string()).collect::<Vec<_>>().join(".");
    let names: Vec<String> = secrets.iter().map(name).collect();
    let which = format!("# Left out because it is secret: {}", names.join(", "));
    format!("{which}\n# Put it in, or a reference such as {{ file = \"secrets/acme\" }}.\n{document}")
}

fn leave_out(table: &mut dyn TableLike, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.remove(key);
        return;
    }
    match table.get_mut(key) {
        Some(Item::Value(value)) => leave_out_of_value(value, rest),
        Some(Item::Table(below)) => leave_out(below, rest),
        Some(Item::ArrayOfTables(tables)) => {
            let Some((index, rest)) = rest.split_first() else { return };
            if let Some(below) = index.parse().ok().and_then(|index| tables.get_mut(index)) {
                leave_out(below, rest);
            }
        }
        _ => {}
    }
}

fn leave_out_of_value(value: &mut toml_edit::Value, path: &[String]) {
    match value {
        toml_edit::Value::InlineTable(table) => {
            leave_out(table, path);
            table.fmt();
        }
        toml_edit::Value::Array(array) => {
            let Some((index, rest)) = path.split_first() else { return };
            let Some(index) = index.parse().ok().filter(|index| *index < array.len()) else { return };
            if rest.is_empty() {
                array.remove(index);
                array.fmt();
            } else if let Some(below) = array.get_mut(index) {
                leave_out_of_value(below, rest);
            }
        }
        _ => {}
    }
}

/// The secrets that are written out in settings.
#[must_use]
pub fn new_secrets(settings: &Map<String, Value>) -> Vec<NewSecret> {
    let mut found = Vec::new();
    walk(settings, &mut |path, value| {
        if let Value::String(text) = value {
            found.push(NewSecret { path: path.to_vec(), text: text.clone() });
        }
    });
    found
}

/// The paths of the secrets that shall stay as they are.
#[must_use]
pub fn kept_secrets(settings: &Map<String, Value>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    walk(settings, &mut |path, value| {
        if is_kept(value) {
            found.push(path.to_vec());
        }
    });
    found
}

/// The references to secrets that are given anew, each with its path.
#[must_use]
pub fn new_references(settings: &Map<String, Value>) -> Vec<(Vec<String>, Value)> {
    let mut found = Vec::new();
    walk(settings, &mut |path, value| {
        if is_reference(value) && !is_kept(value) {
            found.push((path.to_vec(), value.clone()));
        }
    });
    found
}

/// Whether a value stands for a secret that is saved.
fn is_kept(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    object.get("fingerprint").is_some_and(Value::is_string) && (object.len() == 1 || is_reference(value))
}

/// Whether a file holds the secret itself, and not where it is kept.
fn is_written_out(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    is_kept(value) && object.len() == 1 || is_reference(value) && object.values().any(Value::is_object)
}

/// Whether the file says so already. A reference is the same whatever is found there by now.
fn same(shown: Option<&Value>, wanted: &Value) -> bool {
    match (shown, wanted) {
        (Some(Value::Object(shown)), Value::Object(object)) if is_reference(wanted) => {
            without_fingerprint(shown) == without_fingerprint(object)
        }
        (shown, wanted) => shown == Some(wanted),
    }
}

/// A reference as a file has it.
fn without_fingerprint(reference: &Map<String, Value>) -> Map<String, Value> {
    let others = reference.iter().filter(|(key, _)| *key != "fingerprint");
    others.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether a value names a secret that is kept elsewhere. The file, too, takes such a table for a reference wherever
/// it stands.
fn is_reference(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let mut keys = object.keys().filter(|key| *key != "fingerprint");
    matches!((keys.next().map(String::as_str), keys.next()), (Some("file" | "env" | "credential"), None))
}

/// Visits every value that is, or stands for, a secret.
fn walk(settings: &Map<String, Value>, visit: &mut impl FnMut(&[String], &Value)) {
    walk_table(settings, false, &mut Vec::new(), visit);
}

fn walk_table(
    table: &Map<String, Value>,
    within: bool,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], &Value),
) {
    for (key, value) in table {
        path.push(key.clone());
        walk_value(value, is_secret(key, value.as_str(), within), path, visit);
        path.pop();
    }
}

fn walk_value(
    value: &Value,
    secret: bool,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], &Value),
) {
    if is_kept(value) || is_reference(value) {
        return visit(path, value);
    }
    match value {
        Value::Object(table) => walk_table(table, secret, path, visit),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                path.push(index.to_string());
                walk_value(element, secret, path, visit);
                path.pop();
            }
        }
        _ if secret => visit(path, value),
        _ => {}
    }
}

struct Editor {
    path: Vec<String>,
    errors: Vec<EditError>,
}

impl Editor {
    fn merge(&mut self, table: &mut dyn TableLike, shown: &Map<String, Value>, wanted: &Map<String, Value>) {
        let gone: Vec<String> =
            table.iter().map(|(key, _)| key.to_owned()).filter(|key| !wanted.contains_key(key)).collect();
        for key in gone {
            table.remove(&key);
        }
        let mut keys: Vec<&String> = wanted.keys().collect();
        keys.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
        for key in keys {
            let Some(value) = wanted.get(key) else { continue };
            self.path.push(key.clone());
            self.put(table, key, shown.get(key), value);
            self.path.pop();
        }
    }

    fn put(&mut self, table: &mut dyn TableLike, key: &str, shown: Option<&Value>, wanted: &Value) {
        let here = table.get_mut(key);
        if here.is_some() && same(shown, wanted) {
            return;
        }
        if let (Some(below), Some(Value::Object(shown)), Value::Object(wanted)) =
            (here.and_then(Item::as_table_like_mut), shown, plain(wanted))
            && !shown.contains_key("fingerprint")
        {
            return self.merge(below, shown, wanted);
        }
        if let (Some(Item::ArrayOfTables(tables)), Some(Value::Array(shown)), Value::Array(wanted)) =
            (table.get_mut(key), shown, wanted)
            && self.tables(tables, shown, wanted)
        {
            return;
        }
        let top = self.path.len() == 1;
        if let (true, Value::Object(wanted)) = (top && !plain(wanted).is_null(), wanted) {
            let mut new = Table::new();
            self.merge(&mut new, &Map::new(), wanted);
            table.insert(key, Item::Table(new));
            return;
        }
        let Some(value) = self.value(wanted, shown, table.get(key).and_then(Item::as_value)) else { return };
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => replace(old, value),
            None => drop(table.insert(key, Item::Value(value))),
        }
    }

    /// Changes tables one by one, if those that stay do so in the order of the file.
    fn tables(&mut self, tables: &mut ArrayOfTables, shown: &[Value], wanted: &[Value]) -> bool {
        let objects: Option<Vec<&Map<String, Value>>> = wanted.iter().map(Value::as_object).collect();
        let places = list::places(shown, wanted);
        let (Some(objects), true) = (objects, places.iter().flatten().is_sorted()) else { return false };
        if objects.is_empty() || tables.len() != shown.len() {
            return false;
        }
        let empty = Map::new();
        let mut changed = ArrayOfTables::new();
        for (index, ((object, element), place)) in objects.into_iter().zip(wanted).zip(places).enumerate() {
            let stays = place.filter(|at| same(shown.get(*at), element));
            if let Some(table) = stays.and_then(|at| tables.get(at)) {
                changed.push(table.clone());
                continue;
            }
            self.path.push(index.to_string());
            if is_kept(element) && position(shown, None, element).is_none() {
                self.another_secret::<()>();
            }
            let reference = is_reference(element).then(|| without_fingerprint(object));
            // In a table that is another one, a saved secret is not that one's.
            let place = place.filter(|_| kept_secrets(object).is_empty());
            let mut table = place.and_then(|at| tables.get(at)).cloned().unwrap_or_default();
            let shown = place.and_then(|at| shown.get(at)?.as_object());
            self.merge(&mut table, shown.unwrap_or(&empty), reference.as_ref().unwrap_or(object));
            changed.push(table);
            self.path.pop();
        }
        *tables = changed;
        true
    }

    fn value(
        &mut self,
        wanted: &Value,
        shown: Option<&Value>,
        old: Option<&toml_edit::Value>,
    ) -> Option<toml_edit::Value> {
        if let (Some(old), true) = (old, same(shown, wanted)) {
            return Some(old.clone());
        }
        match wanted {
            Value::Null => self.error("null stands for nothing here", "Leave the key out."),
            Value::Bool(value) => Some((*value).into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Some(whole.into()),
                (None, Some(float)) if !number.is_u64() => Some(float.into()),
                _ => self.error("the number is too large", "Write at most 9223372036854775807."),
            },
            Value::String(text) => Some(text.as_str().into()),
            Value::Array(elements) => {
                let shown = shown.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let old = old.and_then(toml_edit::Value::as_array).filter(|old| old.len() == shown.len());
                let mut values = Vec::with_capacity(elements.len());
                for (index, (element, place)) in
                    elements.iter().zip(list::places(shown, elements)).enumerate()
                {
                    self.path.push(index.to_string());
                    let from = position(shown, place, element);
                    let value = self.value(element, from.map(|_| element), from.and_then(|at| old?.get(at)));
                    values.extend(value.map(|value| (value, place)));
                    self.path.pop();
                }
                let nothing = Array::new();
                Some(list::arrange(old.unwrap_or(&nothing), values).into())
            }
            Value::Object(_) if is_kept(wanted) => self.another_secret(),
            Value::Object(object) => {
                let mut table = InlineTable::new();
                for (key, value) in object {
                    self.path.push(key.clone());
                    let below = shown.and_then(|shown| shown.get(key));
                    let old = old.and_then(|old| old.as_inline_table()?.get(key));
                    if let Some(value) = self.value(value, below, old) {
                        table.insert(key, value.decorated(" ", ""));
                    }
                    self.path.pop();
                }
                table.fmt();
                Some(table.into())
            }
        }
    }

    fn another_secret<T>(&mut self) -> Option<T> {
        self.error("the secret that stands there is another one", "Enter the secret again.")
    }

    fn error<T>(&mut self, message: &str, help: &str) -> Option<T> {
        let (message, help) = (message.to_owned(), Some(help.to_owned()));
        self.errors.push(EditError { path: self.path.clone(), message, help });
        None
    }
}

/// The value, or null where it stands for a secret.
fn plain(value: &Value) -> &Value {
    if is_kept(value) || is_reference(value) { &Value::Null } else { value }
}

/// Where an element stands in the list that the file has: in its place, or elsewhere.
fn position(shown: &[Value], place: Option<usize>, element: &Value) -> Option<usize> {
    place
        .filter(|at| same(shown.get(*at), element))
        .or_else(|| shown.iter().position(|other| same(Some(other), element)))
}

/// Puts another value in the place of one, with the space and the comment around it.
fn replace(old: &mut toml_edit::Value, mut new: toml_edit::Value) {
    *new.decor_mut() = old.decor().clone();
    *old = new;
}
