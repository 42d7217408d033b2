use crate::{At, KeyPath, Secret, SettingError, SettingsFile, Table, Value};
use std::collections::BTreeSet;

/// Reads a table key by key and collects every error. A key that nobody asked for is an error in the end.
pub struct Reader<'a> {
    table: &'a Table,
    path: KeyPath,
    asked: BTreeSet<&'static str>,
    free: bool,
    errors: Vec<SettingError>,
}

impl<'a> Reader<'a> {
    /// Starts at the sink's own table.
    #[must_use]
    pub fn new(table: &'a Table) -> Self {
        Self::at(table, KeyPath::default())
    }

    /// Starts at the table that `path` names.
    #[must_use]
    pub const fn at(table: &'a Table, path: KeyPath) -> Self {
        Self { table, path, asked: BTreeSet::new(), free: false, errors: Vec::new() }
    }

    /// The path of a key of this table.
    #[must_use]
    pub fn path(&self, key: &str) -> KeyPath {
        self.path.join(key)
    }

    /// Notes an error.
    pub fn error(&mut self, error: SettingError) {
        self.errors.push(error);
    }

    /// The value of a key, whatever it is.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.insert(key);
        self.table.get(key)
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            other => self.wrong(key, "a string", other),
        }
    }

    /// A secret, written out or by reference.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        match self.value(key)? {
            Value::String(text) => Some(Secret::new(text.clone())),
            Value::Secret(secret) => Some(secret.clone()),
            other => self.wrong(key, "a string, or a table with the one key file, env or credential", other),
        }
    }

    /// A file that belongs to the settings.
    pub fn file(&mut self, key: &'static str) -> Option<SettingsFile> {
        match self.value(key)? {
            Value::File(file) => Some(file.clone()),
            other => self.wrong(key, "the path of a file", other),
        }
    }

    /// A table.
    pub fn table(&mut self, key: &'static str) -> Option<Reader<'a>> {
        match self.value(key)? {
            Value::Table(table) => Some(Reader::at(table, self.path(key))),
            other => self.wrong(key, "a table", other),
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(value) => Some(*value),
            other => self.wrong(key, "true or false", other),
        }
    }

    /// A whole number.
    pub fn integer(&mut self, key: &'static str) -> Option<i64> {
        match self.value(key)? {
            Value::Integer(value) => Some(*value),
            other => self.wrong(key, "a whole number", other),
        }
    }

    /// A string that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<&'a str> {
        if self.value(key).is_none() {
            self.errors.push(SettingError::missing(self.path.clone(), format!("{key} is missing")));
        }
        self.string(key)
    }

    /// A list of strings. What in it is none is an error of its own.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        let elements = match self.value(key)? {
            Value::Array(elements) => elements,
            other => return self.wrong(key, "a list of strings", other),
        };
        let mut found = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            if let Value::String(text) = element {
                found.push(text.as_str());
            } else {
                let message = format!("expected a string, found {}", element.describe());
                self.errors.push(SettingError::value(self.path(key).join(&index.to_string()), message));
            }
        }
        (found.len() == elements.len()).then_some(found)
    }

    /// The keys that are there and that nobody asked for, with their values: for a table whose keys are free.
    pub fn rest(&mut self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.free = true;
        let asked = self.asked.clone();
        self.table
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(move |(key, _)| !asked.contains(key))
    }

    /// The errors so far, unknown keys included.
    #[must_use]
    pub fn finish(mut self) -> Vec<SettingError> {
        let free = self.free;
        for key in self.table.keys().filter(|key| !free && !self.asked.contains(key.as_str())) {
            let allowed: Vec<&str> = self.asked.iter().copied().collect();
            let near = allowed
                .iter()
                .map(|known| (strsim::damerau_levenshtein(key, known), *known))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
                .min();
            let help = match near {
                Some((_, known)) => format!("Did you mean {known:?}? Allowed: {}.", allowed.join(", ")),
                None => format!("Allowed: {}.", allowed.join(", ")),
            };
            self.errors.push(SettingError {
                path: self.path.join(key),
                at: At::Key,
                message: format!("unknown key {key:?}"),
                help: Some(help),
            });
        }
        self.errors
    }

    fn wrong<T>(&mut self, key: &'static str, wanted: &str, got: &Value) -> Option<T> {
        let error =
            SettingError::value(self.path(key), format!("expected {wanted}, found {}", got.describe()));
        self.errors.push(error);
        None
    }
}
