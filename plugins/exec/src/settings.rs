use crate::sink::ExecSink;
use postrider_sink::{
    BuildError, HostContext, KeyPath, Reader, Secret, SettingError, Sink, SinkFactory, SinkPlan, Table,
    Value, async_trait,
};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes the sinks of endpoints with an `[exec]` table:
///
/// - `command = ["python3", "main.py"]`: the program and its arguments. A name without a slash is looked up in `PATH`.
/// - `dir`: where it runs, and where a relative path in `command` starts; the folder of `postrider.toml` without it.
/// - `env = { NAME = "value" }`: its environment; values may be secrets.
/// - `inherit = ["PATH"]`: what else it gets, from the daemon's own environment.
/// - `settings = { … }`: handed to it in the first line.
/// - `memory = "1 GiB"`: the most data it may hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecSinkFactory;

/// `[exec]` of one endpoint, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) command: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) env: Vec<(String, Secret)>,
    pub(crate) inherit: Vec<String>,
    pub(crate) settings: Table,
    pub(crate) memory: u64,
}

/// Enough for a program that sends events on, too little to hurt its neighbours.
const MEMORY: u64 = 1 << 30;
/// Less than this no interpreter starts with.
const LEAST_MEMORY: u64 = 16 << 20;

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["command"],"properties":{
"command":{"type":"array","minItems":1,"items":{"type":"string"},"description":"The program and its arguments. A name without a slash is looked up in PATH."},
"dir":{"type":"string","description":"Where it runs, and where a relative path in command starts. Without it, the folder of postrider.toml."},
"env":{"type":"object","additionalProperties":{"type":"string","format":"password"},"description":"Its environment."},
"inherit":{"type":"array","items":{"type":"string"},"default":["PATH"],"description":"Variables it gets from the daemon's own environment, and no others."},
"settings":{"type":"object","description":"Handed to it in the first line."},
"memory":{"type":"string","default":"1 GiB","description":"The most data it may hold."}}}"#;

impl SinkFactory for ExecSinkFactory {
    fn kind(&self) -> &'static str {
        "exec"
    }

    fn about(&self) -> &'static str {
        "a program in any language, JSON lines on its standard input and output"
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(SCHEMA)
    }

    fn check(&self, table: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let mut reader = Reader::new(table);
        let command = command(&mut reader);
        let dir = reader.string("dir").map(PathBuf::from).unwrap_or_default();
        let env = env(&mut reader);
        let inherit = inherit(&mut reader);
        let settings = settings(&mut reader);
        let memory = memory(&mut reader);
        let errors = reader.finish();
        match command {
            Some(command) if errors.is_empty() => {
                Ok(Arc::new(ExecPlan(Settings { command, dir, env, inherit, settings, memory })))
            }
            _ => Err(errors),
        }
    }
}

fn command(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const HELP: &str = "Write the program and its arguments as a list: [\"python3\", \"main.py\"].";
    if reader.value("command").is_none() {
        reader.error(SettingError::missing(KeyPath::default(), "command is missing").help(HELP));
        return None;
    }
    let words = reader.strings("command")?;
    let wrong = match words.first() {
        None => Some("command is empty"),
        Some(&"") => Some("the program has no name"),
        _ if words.iter().any(|word| word.contains('\0')) => Some("a NUL in a word"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        reader.error(SettingError::value(reader.path("command"), wrong).help(HELP));
        return None;
    }
    Some(words.into_iter().map(str::to_owned).collect())
}

fn env(reader: &mut Reader<'_>) -> Vec<(String, Secret)> {
    let Some(mut table) = reader.table("env") else { return Vec::new() };
    let mut env = Vec::new();
    for (name, value) in table.rest() {
        let path = table.path(name);
        let secret = match value {
            Value::String(text) => Secret::new(text.clone()),
            Value::Secret(secret) => secret.clone(),
            other => {
                let message = format!("expected a string or a secret, found {}", other.describe());
                reader.error(SettingError::value(path, message));
                continue;
            }
        };
        if !is_name(name) {
            reader.error(SettingError { at: postrider_sink::At::Key, ..not_a_name(path) });
        } else if secret.expose().contains('\0') {
            reader.error(SettingError::value(path, "a NUL in the value"));
        } else {
            env.push((name.to_owned(), secret));
        }
    }
    env
}

fn inherit(reader: &mut Reader<'_>) -> Vec<String> {
    let Some(names) = reader.strings("inherit") else { return vec![String::from("PATH")] };
    for (index, name) in names.iter().enumerate() {
        if !is_name(name) {
            let path = reader.path("inherit").join(&index.to_string());
            reader.error(not_a_name(path));
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn not_a_name(path: KeyPath) -> SettingError {
    SettingError::value(path, "not the name of a variable")
}

fn settings(reader: &mut Reader<'_>) -> Table {
    match reader.value("settings") {
        None => Table::new(),
        Some(Value::Table(table)) => table.clone(),
        Some(other) => {
            let message = format!("expected a table, found {}", other.describe());
            let error = SettingError::value(reader.path("settings"), message);
            reader.error(match other {
                Value::Secret(_) => error.help(
                    "A table with the one key file, env or credential is a secret. Give the key another name.",
                ),
                _ => error,
            });
            Table::new()
        }
    }
}

fn memory(reader: &mut Reader<'_>) -> u64 {
    let Some(text) = reader.string("memory") else { return MEMORY };
    let parsed = size(text).filter(|bytes| *bytes >= LEAST_MEMORY);
    if parsed.is_none() {
        let error = SettingError::value(reader.path("memory"), "not a size of at least 16 MiB");
        reader.error(error.help("Write a whole number and MiB or GiB: \"512 MiB\"."));
    }
    parsed.unwrap_or(MEMORY)
}

fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    let unit = match unit.trim() {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

struct ExecPlan(Settings);

#[async_trait]
impl SinkPlan for ExecPlan {
    fn destination(&self) -> String {
        // A program given as an argument has line breaks.
        self.0.command.join(" ").replace(char::is_control, " ")
    }

    fn fingerprint(&self) -> u64 {
        let mut all = format!("{:?}{:?}", self.0.command, self.0.dir);
        for (name, value) in &self.0.env {
            all.push_str(&format!("\n{name}={}", value.digest()));
        }
        all.push_str(&crate::message::json(&self.0.settings).to_string());
        Secret::new(all).digest()
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Ok(Arc::new(ExecSink::start(Arc::new(self.0.clone()), host.clone()).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn errors(settings: &Table) -> Vec<String> {
        let errors = ExecSinkFactory.check(settings).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_error_is_told_at_once_with_its_key() {
        let settings = Table::from([
            ("command".into(), Value::Array(vec![text("python3"), Value::Integer(3)])),
            (
                "env".into(),
                Value::Table(Table::from([("A=B".into(), text("x")), ("C".into(), Value::Integer(1))])),
            ),
            ("inherit".into(), Value::Array(vec![text("")])),
            ("settings".into(), Value::Secret(Secret::new("s".into()))),
            ("memory".into(), text("1 MiB")),
            ("comand".into(), text("x")),
        ]);
        let found = errors(&settings);
        for key in ["command.1:", "env.A=B:", "env.C:", "inherit.0:", "settings:", "memory:", "comand:"] {
            assert!(found.iter().any(|error| error.starts_with(key)), "{key} {found:?}");
        }
        assert_eq!(found.len(), 7, "{found:?}");
        assert_eq!(errors(&Table::new()), [": command is missing"]);
        assert_eq!(errors(&Table::from([("command".into(), Value::Array(Vec::new()))])).len(), 1);
    }

    #[test]
    fn the_fingerprint_changes_with_what_it_reaches_and_not_with_its_memory() {
        let print = |key: &str, value: Value| {
            let mut settings = Table::from([("command".into(), Value::Array(vec![text("cat")]))]);
            settings.insert(key.to_owned(), value);
            ExecSinkFactory.check(&settings).map(|plan| plan.fingerprint()).unwrap()
        };
        let plain = print("memory", text("1 GiB"));
        assert_eq!(plain, print("memory", text("64 MiB")));
        let env = |value: &str| {
            Value::Table(Table::from([("KEY".into(), Value::Secret(Secret::new(value.into())))]))
        };
        assert_ne!(plain, print("env", env("a")));
        assert_ne!(print("env", env("a")), print("env", env("b")));
        assert_ne!(plain, print("settings", env("a")));
    }
}
