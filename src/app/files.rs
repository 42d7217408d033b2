use crate::admin::{ConfigIssue, ExplainEvent, Explanation};
use crate::config::{self, ConfigError, ConfigErrors, FileKind, Loader, SystemSecrets};
use crate::ids::{EndpointUid, Generation};
use crate::sinks::Sinks;
use crate::table::{Entry, Table};
use postrider_sink::SinkFactory;
use serde::Serialize;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file that was looked at by [`check`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckedFile {
    /// Its path.
    pub file: String,
    /// One line about a file without errors: `4 events, 2 products`.
    pub summary: String,
    /// What is wrong with it.
    pub errors: Vec<ConfigIssue>,
    /// The same with carets, ready to be printed.
    #[serde(skip)]
    pub carets: String,
}

/// Why [`effective`] has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum EffectiveError {
    /// The files are invalid.
    #[error("{0}")]
    Invalid(String),
    /// The event is none of this configuration's.
    #[error("{0}")]
    Event(String),
    /// There is no such endpoint.
    #[error("no endpoint is called {0:?}")]
    NotFound(String),
}

/// Checks the daemon's file and every endpoint file, offline.
#[must_use]
pub fn check(path: &Path, added: &[Arc<dyn SinkFactory>], colour: bool) -> Vec<CheckedFile> {
    let report = config::check(path, &all(added));
    let checked = |file: &config::FileReport| CheckedFile {
        file: file.file.to_string(),
        summary: file.summary.clone(),
        errors: file.errors.iter().map(ConfigIssue::from).collect(),
        carets: file.errors.iter().map(|error| error.render(colour)).collect::<Vec<_>>().join("\n\n"),
    };
    report.files.iter().map(checked).collect()
}

/// What holds for the daemon and all endpoints, or for one of them, once defaults are merged: each value with its
/// origin, secrets as fingerprints. For people, or as JSON.
///
/// # Errors
/// What is wrong with the files, or that no endpoint has this name.
pub fn effective(
    path: &Path,
    added: &[Arc<dyn SinkFactory>],
    endpoint: Option<&str>,
    json: bool,
) -> Result<String, EffectiveError> {
    fn shown(all: &(impl Serialize + Display), json: bool) -> String {
        if json { serde_json::to_string(all).unwrap_or_default() } else { all.to_string() }
    }
    let loader = Loader::new(path, all(added), Arc::new(SystemSecrets));
    let invalid = |errors: ConfigErrors| EffectiveError::Invalid(errors.to_string());
    match endpoint {
        None => config::effective_all(&loader).map(|all| shown(&all, json)).map_err(invalid),
        Some(name) => config::effective(&loader, name)
            .map_err(invalid)?
            .map(|one| shown(&one, json))
            .ok_or_else(|| EffectiveError::NotFound(name.to_owned())),
    }
}

/// Where the daemon of this file keeps its spool.
///
/// # Errors
/// The file is invalid.
pub fn spool_path(path: &Path, added: &[Arc<dyn SinkFactory>]) -> Result<PathBuf, EffectiveError> {
    let loaded = config::load(path, &all(added), Arc::new(SystemSecrets));
    match loaded.daemon.valid() {
        Some(daemon) => Ok(daemon.spool.path.clone()),
        None => Err(EffectiveError::Invalid(ConfigErrors(loaded.daemon.errors).to_string())),
    }
}

/// Which endpoints get an event by the files as they are, without a daemon; and the files that were left out, because
/// they are invalid.
///
/// # Errors
/// The daemon's file is invalid, or the event is none of its catalogue.
pub fn explain(
    path: &Path,
    added: &[Arc<dyn SinkFactory>],
    event: &ExplainEvent,
) -> Result<(Explanation, Vec<String>), EffectiveError> {
    let loaded = config::load(path, &all(added), Arc::new(SystemSecrets));
    let Some(daemon) = loaded.daemon.valid() else {
        return Err(EffectiveError::Invalid(ConfigErrors(loaded.daemon.errors).to_string()));
    };
    let specs = loaded.endpoints.iter().filter_map(|file| file.compiled.as_ref()?.result.as_ref().ok());
    let entries =
        (0..).map(EndpointUid).zip(specs).map(|(uid, spec)| Entry { uid, spec: Arc::new(spec.clone()) });
    let table = Table::new(Generation(0), daemon.catalogue.clone(), entries.collect());
    let explanation = Explanation::of(&table, event).map_err(EffectiveError::Event)?;
    let valid = |file: &&config::LoadedEndpoint| file.compiled.as_ref().is_some_and(|it| it.result.is_ok());
    let out = loaded.endpoints.iter().filter(|file| !valid(file)).map(|file| file.file.file.to_string());
    Ok((explanation, out.chain(loaded.folder.iter().map(|error| error.file.to_string())).collect()))
}

/// The JSON Schemas of the configuration files, by file.
#[must_use]
pub fn schema(added: &[Arc<dyn SinkFactory>]) -> String {
    let sinks = all(added);
    let both = serde_json::json!({
        "postrider.toml": config::schema(FileKind::Daemon, &sinks),
        "endpoints/NAME.toml": config::schema(FileKind::Endpoint, &sinks),
    });
    format!("{both:#}")
}

/// Every sink there is, built-in ones included, by its kind.
#[must_use]
pub fn sinks(added: &[Arc<dyn SinkFactory>]) -> Vec<Arc<dyn SinkFactory>> {
    let all = all(added);
    all.kinds().filter_map(|kind| all.get(kind).cloned()).collect()
}

pub(super) fn all(added: &[Arc<dyn SinkFactory>]) -> Sinks {
    let mut sinks = Sinks::standard();
    for sink in added {
        sinks.register(Arc::clone(sink));
    }
    sinks
}

impl From<&ConfigError> for ConfigIssue {
    fn from(error: &ConfigError) -> Self {
        let number = |n: Option<usize>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        Self {
            file: error.file.to_string(),
            line: number(error.line),
            column: number(error.column),
            message: error.message.clone(),
            help: error.advice(),
            note: error.note.clone(),
        }
    }
}
