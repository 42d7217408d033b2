//! Commands that read the files without a daemon: `check`, `config`.

use super::args::{CheckArgs, ConfigCommand, Global};
use super::exit::{Exit, Failure};
use super::out::{self, Style};
use crate::app::{self, EffectiveError};
use postrider_sink::SinkFactory;
use std::sync::Arc;

/// The last line goes to stderr: it is talk, and the exit code says the same.
pub(super) fn check(
    args: &CheckArgs,
    sinks: &[Arc<dyn SinkFactory>],
    global: &Global,
) -> Result<(), Failure> {
    let style = Style::stdout();
    let files = app::check(&args.path, sinks, style.is_on() && !global.json);
    let bad = files.iter().filter(|file| !file.errors.is_empty()).count();
    if global.json {
        out::json(&serde_json::json!({ "ok": bad == 0, "files": files }))?;
    } else {
        let width = files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0);
        for file in &files {
            if file.errors.is_empty() {
                let line = format!("{}    {:<width$}  {}", style.green("ok"), file.file, file.summary);
                out::line(line.trim_end())?;
            } else {
                let count = file.errors.len();
                let errors = if count == 1 { "error" } else { "errors" };
                out::line(&format!("{}  {:<width$}  {count} {errors}", style.red("FAIL"), file.file))?;
                out::line(&format!("{}\n", file.carets.trim_end()))?;
            }
        }
        out::say(&match (files.len(), bad) {
            (1, 0) => "1 file, valid; no endpoint: no event will be delivered".to_owned(),
            (total, 0) => format!("{total} files, all valid"),
            (1, _) => "the file is invalid".to_owned(),
            (total, _) => format!("{bad} of {total} files invalid"),
        });
    }
    if bad == 0 { Ok(()) } else { Err(Failure::said(Exit::Config)) }
}

pub(super) fn config(
    command: &ConfigCommand,
    sinks: &[Arc<dyn SinkFactory>],
    global: &Global,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Schema => out::line(app::schema(sinks).trim_end()),
        ConfigCommand::Effective { endpoint, config } => {
            match app::effective(config, sinks, endpoint.as_deref(), global.json) {
                Ok(text) => out::line(text.trim_end()),
                Err(error @ EffectiveError::NotFound(_)) => {
                    Err(Failure::new(Exit::NotFound, error.to_string()))
                }
                Err(error @ (EffectiveError::Invalid(_) | EffectiveError::Event(_))) => {
                    Err(Failure::new(Exit::Config, error.to_string()))
                }
            }
        }
    }
}
