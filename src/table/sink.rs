//! The sink's table of an endpoint file, in as little memory as can be: most endpoints of a large table have nothing to do.

use postrider_sink::{Secret, SettingsFile, SinkFactory, SinkPlan, Table, Value};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// The sink's table of an endpoint file, which its plugin found right.
#[derive(Clone)]
pub struct SinkSpec {
    /// The table's name: `http`.
    pub kind: &'static str,
    /// Where deliveries go, for people: no secret in it.
    pub destination: Box<str>,
    settings: Settings,
    fingerprint: u64,
    plan: Plan,
}

/// Where the plan of a sink comes from.
#[derive(Clone)]
enum Plan {
    /// It is there.
    Made(Arc<dyn SinkPlan>),
    /// It is made from the settings when somebody needs it. A plan is several times as large as they are.
    Again(Arc<dyn SinkFactory>),
}

/// What a sink's table says, secrets resolved, as one text: equal for equal tables and no others. As a tree it would
/// be most of what an endpoint takes in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    text: Secret,
    files: Box<[SettingsFile]>,
}

impl SinkSpec {
    /// What `factory` made of `table`. Where the settings have files the plan is kept: it may have been dear.
    #[must_use]
    pub fn checked(factory: &Arc<dyn SinkFactory>, table: &Table, plan: Arc<dyn SinkPlan>) -> Self {
        let mut spec = Self::planned(factory.kind(), table, plan);
        if spec.settings.files.is_empty() {
            spec.plan = Plan::Again(Arc::clone(factory));
        }
        spec
    }

    /// A sink whose plan is kept.
    #[must_use]
    pub fn planned(kind: &'static str, table: &Table, plan: Arc<dyn SinkPlan>) -> Self {
        let (destination, fingerprint) = (plan.destination().into(), plan.fingerprint());
        Self { kind, destination, settings: Settings::of(table), fingerprint, plan: Plan::Made(plan) }
    }

    /// The plan of the sink.
    ///
    /// # Errors
    /// What its plugin says against settings that it found right before: a defect of the plugin.
    pub fn plan(&self) -> Result<Arc<dyn SinkPlan>, String> {
        match &self.plan {
            Plan::Made(plan) => Ok(Arc::clone(plan)),
            Plan::Again(factory) => factory.check(&self.settings.table()).map_err(|errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                format!("its settings were right, and now are not: {}", errors.join("; "))
            }),
        }
    }

    /// Changes exactly when the destination or the credentials change.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The files that its settings name.
    #[must_use]
    pub fn files(&self) -> &[SettingsFile] {
        &self.settings.files
    }
}

impl PartialEq for SinkSpec {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.settings == other.settings
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

impl Settings {
    fn of(table: &Table) -> Self {
        let (mut text, mut files) = (String::new(), Vec::new());
        write_table(table, &mut text, &mut files);
        text.shrink_to_fit();
        Self { text: Secret::new(text), files: files.into() }
    }

    /// The table again.
    fn table(&self) -> Table {
        let mut reader = Reader { rest: self.text.expose(), files: self.files.iter() };
        match reader.value() {
            Some(Value::Table(table)) => table,
            _ => Table::new(),
        }
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
        Value::Integer(number) => drop(write!(text, "i{number}:")),
        Value::Float(number) => drop(write!(text, "f{}:", number.to_bits())),
        Value::Boolean(truth) => text.push_str(if *truth { "b1:" } else { "b0:" }),
        Value::File(file) => {
            let _ = write!(text, "d{}:", file.digest());
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

/// Reads what [`write_table`] wrote.
struct Reader<'a> {
    rest: &'a str,
    files: std::slice::Iter<'a, SettingsFile>,
}

impl<'a> Reader<'a> {
    /// The letter that says what comes, and the number after it.
    fn head<T: std::str::FromStr>(&mut self) -> Option<(&'a str, T)> {
        let (head, rest) = self.rest.split_once(':')?;
        let (kind, number) = head.split_at_checked(1)?;
        self.rest = rest;
        Some((kind, number.parse().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let (_, length) = self.head::<usize>()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.rest.get(..1)? {
            "s" => Value::String(self.text()?.to_owned()),
            "x" => Value::Secret(Secret::new(self.text()?.to_owned())),
            "i" => Value::Integer(self.head()?.1),
            "f" => Value::Float(f64::from_bits(self.head()?.1)),
            "b" => Value::Boolean(self.head::<u8>()?.1 == 1),
            "d" => {
                let _digest = self.head::<u128>()?;
                let _path = self.text()?;
                Value::File(self.files.next()?.clone())
            }
            "t" => {
                let (_, length) = self.head::<usize>()?;
                let entry = |_| Some((self.text()?.to_owned(), self.value()?));
                Value::Table((0..length).map(entry).collect::<Option<_>>()?)
            }
            "a" => {
                let (_, length) = self.head::<usize>()?;
                Value::Array((0..length).map(|_| self.value()).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
        entries.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn file(path: &str, content: &'static [u8]) -> Value {
        Value::File(SettingsFile::new(path.to_owned(), bytes::Bytes::from_static(content)))
    }

    fn tables() -> Vec<Table> {
        let nested = |text: &str| Value::Table([("c".to_owned(), string(text))].into());
        vec![
            table([]),
            table([("a", string("b"))]),
            table([("a", string("ü:s1:"))]),
            table([("a", Value::Secret(Secret::new("b".to_owned())))]),
            table([("a", string("bs1:c"))]),
            table([("a", string("b")), ("c", string(""))]),
            table([("a", Value::Array(vec![string("b"), string("c")]))]),
            table([("a", Value::Array(vec![string("bc")]))]),
            table([("a", nested("b"))]),
            table([("a", nested("d"))]),
            table([
                ("a", Value::Array(vec![nested("b"), file("b", b"c"), file("e", b"f")])),
                ("b", string("b")),
            ]),
            table([("a", Value::Integer(1))]),
            table([("a", Value::Integer(i64::MIN))]),
            table([("a", Value::Float(1.0))]),
            table([("a", Value::Float(-0.0))]),
            table([("a", Value::Float(f64::MAX))]),
            table([("a", Value::Boolean(true))]),
            table([("a", Value::Boolean(false))]),
            table([("a", file("b", b"c"))]),
            table([("a", file("b", b"d"))]),
            table([("a", file("d", b"c"))]),
        ]
    }

    #[test]
    fn settings_are_equal_exactly_when_their_tables_are() {
        let all: Vec<Settings> = tables().iter().map(Settings::of).collect();
        for (left, one) in all.iter().enumerate() {
            for (right, other) in all.iter().enumerate() {
                assert_eq!(one == other, left == right, "{left} and {right}");
            }
        }
        assert_eq!(all, tables().iter().map(Settings::of).collect::<Vec<_>>());
    }

    #[test]
    fn a_table_is_made_again_as_it_was() {
        for table in tables() {
            assert_eq!(Settings::of(&table).table(), table);
        }
    }

    #[test]
    fn settings_print_no_secret() {
        let shown =
            format!("{:?}", Settings::of(&table([("a", Value::Secret(Secret::new("hush".to_owned())))])));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
