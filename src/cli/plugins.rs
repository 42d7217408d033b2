//! Sinks: those there are, and how to make one of your own.

mod templates;

use super::args::Global;
use super::args::{Language, PluginsCommand};
use super::exit::{Exit, Failure};
use super::out;
use crate::app::{self, LoneEndpoint};
use crate::policy::DeliverySettings;
use async_trait::async_trait;
use postrider_sink::testkit::{Behaviour, Report, Subject, conform};
use postrider_sink::{CONTRACT, Host, HostContext, SinkFactory, Table};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn plugins(
    command: &PluginsCommand,
    sinks: &[Arc<dyn SinkFactory>],
    global: &Global,
) -> Result<(), Failure> {
    match command {
        PluginsCommand::List => list(sinks, global),
        PluginsCommand::New { name, lang, dir, source } => {
            new(name, *lang, dir.as_deref(), source.as_deref(), global)
        }
        PluginsCommand::Test { path } => super::client(test(path, sinks, global)),
    }
}

fn list(sinks: &[Arc<dyn SinkFactory>], global: &Global) -> Result<(), Failure> {
    let sinks = app::sinks(sinks);
    if global.json {
        let all: Vec<_> = sinks
            .iter()
            .map(|sink| serde_json::json!({ "kind": sink.kind(), "about": sink.about(), "contract": CONTRACT }))
            .collect();
        return out::json(&all);
    }
    let rows: Vec<Vec<String>> =
        sinks.iter().map(|sink| vec![sink.kind().to_owned(), sink.about().to_owned()]).collect();
    out::table(&rows).iter().try_for_each(|row| out::line(row))
}

fn new(
    name: &str,
    language: Language,
    dir: Option<&Path>,
    source: Option<&Path>,
    global: &Global,
) -> Result<(), Failure> {
    let fits = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if !name.starts_with(|char: char| char.is_ascii_lowercase()) || !name.chars().all(fits) || name.len() > 40
    {
        let hint = "Lower-case letters, digits and hyphens, at most 40, the first a letter: audit-log.";
        return Err(Failure::usage(format!("{name:?} is no name for a sink")).hint(hint));
    }
    if language == Language::Wasm && crate::sinks::Sinks::standard().get("wasm").is_none() {
        let hint = "Build it with cargo build --release --features wasm, or write the sink as a program: --lang node.";
        return Err(Failure::failed("this binary was built without [wasm]").hint(hint));
    }
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| failed(path, &error));
    let dir = absolute(dir.unwrap_or(Path::new(name)))?;
    let source = source.map(absolute).transpose()?;
    if dir.exists() {
        let hint = "Choose another name, or another folder with --dir.";
        return Err(Failure::failed(format!("{} is there already", dir.display())).hint(hint));
    }
    let mut files = templates::files(name, language, &dir, source.as_deref());
    if let (Language::Rust, Some(source)) = (language, &source) {
        // The versions that it was tested with. Without the file, the newest that fit.
        let lock = source.join("Cargo.lock");
        match fs::read_to_string(&lock) {
            Ok(text) => files.push(("Cargo.lock", text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&lock, &error)),
        }
    }
    for (path, text) in &files {
        write(&dir.join(path), text)?;
    }
    if global.json {
        let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        return out::json(&serde_json::json!({ "folder": dir, "files": names }));
    }
    for (path, _) in &files {
        out::line(&dir.join(path).display().to_string())?;
    }
    out::say(&templates::next_steps(name, language, &dir));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    let mut file = fs::File::create_new(path).map_err(|error| failed(path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

async fn test(path: &Path, sinks: &[Arc<dyn SinkFactory>], global: &Global) -> Result<(), Failure> {
    let file = if path.is_dir() { path.join("endpoint.toml") } else { path.to_owned() };
    if !file.is_file() {
        let hint = "Name a folder that postrider plugins new wrote, or an endpoint file.";
        return Err(Failure::new(Exit::NotFound, format!("{}: no such file", file.display())).hint(hint));
    }
    let LoneEndpoint { factory, settings, delivery } =
        app::lone_endpoint(&file, sinks).map_err(|text| Failure::new(Exit::Config, text))?;
    let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let report = conform(&*factory, &FromFile { settings, delivery, folder }).await;
    say(&report, global)?;
    if report.is_ok() { Ok(()) } else { Err(Failure::said(Exit::Failed)) }
}

fn say(report: &Report, global: &Global) -> Result<(), Failure> {
    let made = report.checks.iter().filter_map(|check| Some((check.name, check.result.as_ref()?)));
    if global.json {
        let checks: Vec<_> = made
            .map(|(name, result)| {
                let (Ok(seen) | Err(seen)) = result;
                serde_json::json!({ "check": name, "ok": result.is_ok(), "seen": seen })
            })
            .collect();
        return out::json(&serde_json::json!({ "ok": report.is_ok(), "checks": checks }));
    }
    let style = out::Style::stdout();
    for (name, result) in made {
        match result {
            Ok(seen) => out::line(&format!("{}    {name}: {}", style.green("ok"), style.dim(seen)))?,
            Err(wrong) => out::line(&format!("{}  {name}: {wrong}", style.red("FAIL")))?,
        }
    }
    let bad = report.checks.iter().filter(|check| matches!(check.result, Some(Err(_)))).count();
    out::say(&match bad {
        0 => format!("{} checks, all passed", report.made()),
        _ => format!("{bad} of {} checks failed", report.made()),
    });
    Ok(())
}

/// The sink of an endpoint file. How its destination behaves is not ours to choose: it must take everything.
struct FromFile {
    settings: Table,
    delivery: DeliverySettings,
    folder: PathBuf,
}

#[async_trait]
impl Subject for FromFile {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        (behaviour == Behaviour::Takes).then(|| self.settings.clone())
    }

    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        app::lone_context(&self.folder, &self.delivery, host)
    }
}
