use crate::{Secret, SettingsFile};
use std::collections::BTreeMap;
use std::fmt;

/// The settings of a sink: the table of an endpoint file that is named after it.
pub type Table = BTreeMap<String, Value>;

/// One value of the settings. The host has already resolved secrets: a table with the one key `file`, `env` or
/// `credential`, anywhere below the sink's table, arrives as [`Value::Secret`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    Array(Vec<Value>),
    /// A table.
    Table(Table),
    /// A secret given by reference, resolved.
    Secret(Secret),
    /// A file that belongs to the settings, read. Only a sink that asks for it ([`crate::SinkFactory::files`]) sees one.
    File(SettingsFile),
}

impl Value {
    /// What it is, for messages: `a string`.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Secret(_) => "a secret",
            Self::File(_) => "a file",
        }
    }
}

/// The keys from the sink's table down to a value, an element of a list by its index: `auth.basic.credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// The path one key further down.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Which part of the file an error points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The key itself: it is unknown, or should not be there.
    Key,
    /// The value.
    Value,
    /// The table the path names, because something is missing in it.
    Missing,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SettingError {
    /// Which key, below the sink's table.
    pub path: KeyPath,
    /// Which part of it.
    pub at: At,
    /// What is wrong: a lower-case fragment, no secret in it.
    pub message: String,
    /// What to do, a whole sentence.
    pub help: Option<String>,
}

impl SettingError {
    /// The value at `path` is wrong.
    pub fn value(path: KeyPath, message: impl Into<String>) -> Self {
        Self { path, at: At::Value, message: message.into(), help: None }
    }

    /// Something is missing in the table at `path`.
    pub fn missing(path: KeyPath, message: impl Into<String>) -> Self {
        Self { path, at: At::Missing, message: message.into(), help: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
