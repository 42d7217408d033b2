//! `check`: every file judged, without a daemon.

use super::error::ConfigError;
use super::load::{Loaded, LoadedEndpoint, load};
use super::secrets::SystemSecrets;
use crate::sinks::Sinks;
use crate::table::{EndpointSpec, Lifecycle, Selection};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The daemon's file first, then the endpoints' by name.
    pub files: Vec<FileReport>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

/// What a check found in one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// The file, or the folder that cannot be read.
    pub file: Arc<str>,
    /// What it is, where nothing is wrong.
    pub summary: String,
    /// Everything that is wrong.
    pub errors: Vec<ConfigError>,
}

/// Judges the configuration whose daemon file is `root`, with this machine's files and environment.
#[must_use]
pub fn check(root: &Path, sinks: &Sinks) -> Report {
    Report::of(&load(root, sinks, Arc::new(SystemSecrets)))
}

impl Report {
    /// What was found in a configuration.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Self {
        let daemon = FileReport {
            file: loaded.daemon.file.clone(),
            summary: String::new(),
            errors: loaded.daemon.errors.clone(),
        };
        let mut files = vec![daemon];
        files.extend(loaded.folder.iter().map(|error| FileReport {
            file: error.file.clone(),
            summary: String::new(),
            errors: vec![error.clone()],
        }));
        files.extend(loaded.endpoints.iter().map(endpoint));
        let mut warnings = Vec::new();
        if loaded.folder.is_none() && loaded.endpoints.is_empty() {
            warnings.push("the endpoints' folder is empty: no event will be delivered".to_owned());
        }
        Self { files, warnings }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.files.iter().all(|file| file.errors.is_empty())
    }

    /// Every error.
    pub fn errors(&self) -> impl Iterator<Item = &ConfigError> {
        self.files.iter().flat_map(|file| &file.errors)
    }

    /// The report for people, in colour or not.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let width = self.files.iter().map(|file| file.file.len()).max().unwrap_or(0);
        let mut lines: Vec<String> = self.files.iter().map(|file| file.line(width)).collect();
        for error in self.errors() {
            lines.push(String::new());
            lines.push(error.render(colour));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        let wrong = self.files.iter().filter(|file| !file.errors.is_empty()).count();
        if wrong > 0 {
            lines.push(String::new());
            lines.push(format!("{wrong} of {} files invalid", self.files.len()));
        }
        lines.join("\n")
    }

    /// The report for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "ok": self.is_ok(), "files": self.files, "warnings": self.warnings })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl FileReport {
    fn line(&self, width: usize) -> String {
        let (word, detail) = match self.errors.len() {
            0 => ("ok  ", self.summary.clone()),
            1 => ("FAIL", "1 error".to_owned()),
            count => ("FAIL", format!("{count} errors")),
        };
        format!("{word}  {:width$}  {detail}", self.file).trim_end().to_owned()
    }
}

fn endpoint(endpoint: &LoadedEndpoint) -> FileReport {
    let file = endpoint.file.file.clone();
    let (summary, errors) = match (&endpoint.compiled, &endpoint.file.text) {
        (Some(compiled), _) => match &compiled.result {
            Ok(spec) => (summary(spec), Vec::new()),
            Err(errors) => (String::new(), errors.clone()),
        },
        (None, Ok(_)) => ("not checked: the daemon's file comes first".to_owned(), Vec::new()),
        (None, Err(error)) => (String::new(), vec![(**error).clone()]),
    };
    FileReport { file, summary, errors }
}

fn summary(spec: &EndpointSpec) -> String {
    let state = match spec.lifecycle {
        Lifecycle::Active => "",
        Lifecycle::Draft => "draft, ",
        Lifecycle::Paused => "paused, ",
    };
    let (events, products) = (count(&spec.events, "event"), count(&spec.products, "product"));
    let to = spec.sink.as_ref().map_or(String::new(), |sink| format!(", to {}", sink.destination));
    format!("{state}{events}, {products}{to}")
}

fn count(selection: &Selection, word: &str) -> String {
    match selection {
        Selection::All => format!("all {word}s"),
        Selection::Some(names) if names.len() == 1 => format!("1 {word}"),
        Selection::Some(names) => format!("{} {word}s", names.len()),
    }
}
