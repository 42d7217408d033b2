use crate::hosts::Hosts;
use postrider_sink::{KeyPath, Reader, SettingError, SettingsFile, Table, Value};
use postrider_sink_tls::{self as tls, TlsSettings};

/// `[wasm]` of one endpoint, read; the component itself is not looked at yet.
pub(crate) struct Settings {
    pub(crate) file: SettingsFile,
    pub(crate) hosts: Hosts,
    pub(crate) settings: Table,
    /// Bytes.
    pub(crate) memory: usize,
    pub(crate) tls: TlsSettings,
}

const MIB: usize = 1 << 20;
/// Enough for an interpreter and what it holds of one event.
const MEMORY: usize = 64 * MIB;
/// The most that fits 32-bit memories without a thought.
const MOST_MEMORY: usize = 1024 * MIB;

/// Everything but what only the component knows. Every error at once.
pub(crate) fn read(table: &Table) -> Result<Settings, Vec<SettingError>> {
    const HELP: &str = "Name the file of the component: file = \"sinks/audit.wasm\".";
    let (mut reader, mut errors) = (Reader::new(table), Vec::new());
    if reader.value("file").is_none() {
        reader.error(SettingError::missing(KeyPath::default(), "file is missing").help(HELP));
    }
    let file = reader.file("file");
    let hosts = hosts(&mut reader);
    let settings = settings(&mut reader);
    let memory = memory(&mut reader);
    let tls = tls::read(&mut reader, &mut errors);
    errors.extend(reader.finish());
    match file {
        Some(file) if errors.is_empty() => Ok(Settings { file, hosts, settings, memory, tls }),
        _ => Err(errors),
    }
}

fn hosts(reader: &mut Reader<'_>) -> Hosts {
    let mut hosts = Hosts::default();
    for (index, text) in reader.strings("hosts").unwrap_or_default().into_iter().enumerate() {
        if let Err(message) = hosts.add(text) {
            let path = reader.path("hosts").join(&index.to_string());
            let help = "Write a name or an address as it stands in the URL, with a port where only that one shall be \
                        used: \"hooks.example\", \"hooks.example:8443\". Ports are 80, 443, and those from 1024 on.";
            reader.error(SettingError::value(path, message).help(help));
        }
    }
    hosts
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

fn memory(reader: &mut Reader<'_>) -> usize {
    let Some(text) = reader.string("memory") else { return MEMORY };
    let mebibytes =
        text.trim().strip_suffix("MiB").and_then(|number| number.trim_end().parse::<usize>().ok());
    let bytes = mebibytes.and_then(|number| number.checked_mul(MIB));
    if let Some(bytes) = bytes.filter(|bytes| (MIB..=MOST_MEMORY).contains(bytes)) {
        return bytes;
    }
    let error = SettingError::value(reader.path("memory"), "not a size from 1 MiB to 1024 MiB");
    reader.error(error.help("Write a whole number of MiB: \"64 MiB\"."));
    MEMORY
}
