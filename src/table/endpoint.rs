use super::Filter;
use crate::ids::Identity;
use crate::policy::DeliverySettings;
use postrider_sink::{Secret, SettingsFile, SinkPlan, Table, Value};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// One endpoint as its file and the defaults say it: checked, and comparable, so that a reload knows what changed.
#[derive(Clone)]
pub struct EndpointSpec {
    /// Its name and account.
    pub identity: Identity,
    /// Whether it collects and sends.
    pub lifecycle: Lifecycle,
    /// Which events it wants.
    pub events: Selection,
    /// Of which products.
    pub products: Selection,
    /// And of those only the ones for which this holds.
    pub filter: Option<Arc<Filter>>,
    /// How deliveries are made.
    pub delivery: DeliverySettings,
    /// The kind of its sink; none only in a draft.
    pub sink: Option<SinkSpec>,
}

/// The sink's table of an endpoint file.
#[derive(Clone)]
pub struct SinkSpec {
    /// The table's name: `http`.
    pub kind: Arc<str>,
    /// What it says, for noticing a change.
    pub settings: Settings,
    /// The same, checked by the plugin.
    pub plan: Arc<dyn SinkPlan>,
}

/// What a sink's table says, secrets resolved, as one text: equal for equal tables and no others. As a tree it would
/// be most of what an endpoint takes in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    text: Secret,
    files: Vec<SettingsFile>,
}

impl From<&Table> for Settings {
    fn from(table: &Table) -> Self {
        let (mut text, mut files) = (String::new(), Vec::new());
        write_table(table, &mut text, &mut files);
        text.shrink_to_fit();
        Self { text: Secret::new(text), files }
    }
}

impl Settings {
    /// The files that it names.
    #[must_use]
    pub fn files(&self) -> &[SettingsFile] {
        &self.files
    }
}

fn write_table(table: &Table, text: &mut String, files: &mut Vec<SettingsFile>) {
    // Writing to a string cannot fail. Lengths come first: no content can be taken for an end.
    let _ = write!(text, "t{}:", table.len());
    for (key, value) in table {
        write_text('k', key, text);
        write_value(value, text, files);
    }
}

fn write_value(value: &Value, text: &mut String, files: &mut Vec<SettingsFile>) {
    match value {
        Value::String(string) => write_text('s', string, text),
        Value::Secret(secret) => write_text('x', secret.expose(), text),
        Value::Integer(number) => drop(write!(text, "i{number};")),
        Value::Float(number) => drop(write!(text, "f{:x};", number.to_bits())),
        Value::Boolean(truth) => text.push_str(if *truth { "b1" } else { "b0" }),
        Value::File(file) => {
            let _ = write!(text, "d{:x};", file.digest());
            write_text('p', file.path(), text);
            files.push(file.clone());
        }
        Value::Table(table) => write_table(table, text, files),
        Value::Array(values) => {
            let _ = write!(text, "a{}:", values.len());
            values.iter().for_each(|value| write_value(value, text, files));
        }
    }
}

fn write_text(kind: char, content: &str, text: &mut String) {
    let _ = write!(text, "{kind}{}:{content}", content.len());
}

/// Whether an endpoint collects and sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifecycle {
    /// Saved and incomplete perhaps: matches nothing.
    Draft,
    /// Matches and sends.
    #[default]
    Active,
    /// Matches and holds.
    Paused,
}

/// Some names of the catalogue, or all it has now and will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `"all"`.
    All,
    /// These.
    Some(Vec<Arc<str>>),
}

impl Selection {
    /// Whether `name` is in it.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(|wanted| wanted.as_ref() == name),
        }
    }
}

impl EndpointSpec {
    /// Changes exactly when the destination or its credentials change; none in a draft without a sink.
    #[must_use]
    pub fn fingerprint(&self) -> Option<u64> {
        self.sink.as_ref().map(|sink| sink.plan.fingerprint())
    }
}

impl PartialEq for SinkSpec {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.settings == other.settings
    }
}

impl PartialEq for EndpointSpec {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.lifecycle == other.lifecycle
            && self.events == other.events
            && self.products == other.products
            && self.filter == other.filter
            && self.delivery == other.delivery
            && self.sink == other.sink
    }
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSpec")
            .field("kind", &self.kind)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSpec")
            .field("identity", &self.identity)
            .field("lifecycle", &self.lifecycle)
            .field("events", &self.events)
            .field("products", &self.products)
            .field("filter", &self.filter)
            .field("delivery", &self.delivery)
            .field("sink", &self.sink)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings<const N: usize>(entries: [(&str, Value); N]) -> Settings {
        Settings::from(&entries.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<Table>())
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn file(path: &str, content: &'static [u8]) -> Value {
        Value::File(SettingsFile::new(path.to_owned(), bytes::Bytes::from_static(content)))
    }

    #[test]
    fn settings_are_equal_exactly_when_their_tables_are() {
        let nested = |text: &str| Value::Table([("c".to_owned(), string(text))].into());
        let all = [
            settings([]),
            settings([("a", string("b"))]),
            settings([("a", Value::Secret(Secret::new("b".to_owned())))]),
            settings([("a", string("bs1:c"))]),
            settings([("a", string("b")), ("c", string(""))]),
            settings([("a", Value::Array(vec![string("b"), string("c")]))]),
            settings([("a", Value::Array(vec![string("bc")]))]),
            settings([("a", nested("b"))]),
            settings([("a", nested("d"))]),
            settings([("a", Value::Integer(1))]),
            settings([("a", Value::Float(1.0))]),
            settings([("a", Value::Boolean(true))]),
            settings([("a", Value::Boolean(false))]),
            settings([("a", file("b", b"c"))]),
            settings([("a", file("b", b"d"))]),
            settings([("a", file("d", b"c"))]),
        ];
        for (left, one) in all.iter().enumerate() {
            for (right, other) in all.iter().enumerate() {
                assert_eq!(one == other, left == right, "{left} and {right}");
            }
        }
        assert_eq!(settings([("a", nested("b"))]), settings([("a", nested("b"))]));
    }

    #[test]
    fn settings_print_no_secret() {
        let shown = format!("{:?}", settings([("a", Value::Secret(Secret::new("hush".to_owned())))]));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
