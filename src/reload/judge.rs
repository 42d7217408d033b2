//! Judges the endpoints' files one by one, and finds the version that runs instead of a bad one.

use super::by_name::Named;
use super::evaluate::Running;
use super::last_good::{Good, LastGood, Texts};
use super::snapshot::Look;
use crate::config::{ConfigError, DaemonConfig, DaemonFile, Loader};
use crate::table::EndpointSpec;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The endpoints of one reading of the files.
pub(super) struct Judge<'a> {
    loader: &'a Loader,
    last_good: &'a LastGood,
    before: Option<&'a Running>,
    daemon: DaemonConfig,
    endpoints: Vec<Arc<EndpointSpec>>,
    invalid: Vec<Arc<str>>,
    errors: Vec<ConfigError>,
    secret_files: BTreeSet<PathBuf>,
    good: Vec<Good>,
    texts: Texts,
    looks: Vec<Looked>,
    now: Duration,
    /// Whether endpoints are judged by the configuration that is in force.
    same_daemon: bool,
}

/// How the files of an endpoint looked that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked {
    name: Arc<str>,
    look: Look,
    /// Those beside its own: secrets, and what its sink read.
    others: Box<[PathBuf]>,
}

impl<'a> Judge<'a> {
    /// Judges by `daemon`. `before` is what runs; none at a start. Nothing was read before `now`, a time since the Unix
    /// epoch.
    pub(super) fn new(
        loader: &'a Loader,
        last_good: &'a LastGood,
        before: Option<&'a Running>,
        daemon: DaemonConfig,
        file: &DaemonFile,
        now: Duration,
    ) -> Self {
        Self {
            loader,
            last_good,
            before,
            endpoints: Vec::new(),
            invalid: Vec::new(),
            errors: Vec::new(),
            secret_files: file.secret_files.iter().cloned().collect(),
            good: Vec::new(),
            texts: Texts::default(),
            looks: Vec::new(),
            now,
            same_daemon: before.is_some_and(|before| *before.daemon == daemon),
            daemon,
        }
    }

    /// Judges every file. A folder that is unreadable or suddenly empty removes nobody but those in `removing`.
    pub(super) fn endpoints(
        &mut self,
        files: Result<Vec<String>, Box<ConfigError>>,
        removing: &BTreeSet<Arc<str>>,
    ) {
        let files = match files {
            Ok(files) => files,
            Err(error) => return self.nobody_goes(*error),
        };
        let stay = self.names_before().into_iter().any(|name| !removing.contains(&name));
        if files.is_empty() && stay {
            let folder = self.loader.endpoints_folder();
            let message = "the endpoints' folder is suddenly empty";
            let store = self.last_good.path("NAME");
            self.nobody_goes(ConfigError::about(&folder.to_string_lossy(), message).help(format!(
                "Put the files back. To be rid of the last endpoint leave a draft in its place, or stop the daemon \
                 and delete {}.",
                store.display()
            )));
            return;
        }
        files.iter().for_each(|file| self.endpoint(file));
    }

    /// What shall be in force, `errors` of the daemon's file before those of the endpoints'.
    pub(super) fn finish(self, mut errors: Vec<ConfigError>) -> Running {
        errors.extend(self.errors);
        let daemon = match self.before {
            Some(before) if *before.daemon == self.daemon => before.daemon.clone(),
            _ => Arc::new(self.daemon),
        };
        Running {
            daemon,
            endpoints: self.endpoints.into_iter().collect(),
            invalid: self.invalid,
            errors,
            secret_files: self.secret_files,
            good: self.good.into_iter().collect(),
            looks: self.looks.into_iter().collect(),
        }
    }

    /// Who runs now, and who ran before its file was rejected; at a start, who ran when the daemon stopped.
    fn names_before(&self) -> BTreeSet<Arc<str>> {
        let Some(before) = self.before else { return self.last_good.names().cloned().collect() };
        let rejected = before.invalid.iter().filter(|name| self.last_good.knows(name));
        before.endpoints.iter().map(Named::name).chain(rejected).cloned().collect()
    }

    /// The folder says nothing: everybody keeps running, and who has no version that can be used stays known.
    fn nobody_goes(&mut self, error: ConfigError) {
        let (mut running, mut without) = (0, 0);
        let mut names = self.names_before();
        names.extend(self.before.into_iter().flat_map(|before| before.invalid.iter().cloned()));
        for name in names {
            match self.fall_back(&name) {
                Some(spec) => {
                    self.endpoints.push(spec);
                    running += 1;
                }
                None => {
                    self.invalid.push(name);
                    without += 1;
                }
            }
        }
        let mut note = format!("{running} endpoint(s) keep running; none is removed");
        if without > 0 {
            note = format!("{note}; {without} more have no version to run, what waits for them is held");
        }
        self.errors.push(error.note(note));
    }

    fn endpoint(&mut self, file: &str) {
        let path = self.loader.endpoints_folder().join(file);
        if let Some(spec) = self.looks_the_same(file, &path) {
            self.endpoints.push(spec);
            return;
        }
        let file = self.loader.read_endpoint(file);
        let compiled = self.loader.endpoint(&file, &self.daemon);
        let others: Box<[PathBuf]> = compiled.secret_files.iter().cloned().collect();
        self.secret_files.extend(compiled.secret_files);
        let name = file.name;
        let errors = match compiled.result {
            Ok(spec) => {
                let spec = self.same_as_before(&name, spec);
                let name = spec.identity.name.clone();
                let files: Box<[_]> = spec.sink.iter().flat_map(|sink| sink.files()).cloned().collect();
                self.endpoints.push(spec);
                let look = Look::at(paths(&path, &others), self.now);
                self.looks.extend(look.map(|look| Looked { name: name.clone(), look, others }));
                let Ok(text) = file.text else { return };
                // Whether other files of a sink are kept is not looked at.
                if !files.is_empty() || !self.last_good.has(&name, text.as_bytes()) {
                    self.good.push(Good { name, text: self.texts.keep(&text), files });
                }
                return;
            }
            Err(errors) => errors,
        };
        let spec = self.fall_back(&name);
        let note = match spec {
            Some(_) => format!("{name} keeps its last good version; the other files apply"),
            None => format!("{name} has no version to run; the other files apply"),
        };
        self.errors.extend(errors.into_iter().map(|error| error.note(note.clone())));
        if let Some(spec) = spec {
            self.endpoints.push(spec);
        }
        self.invalid.push(name);
    }

    /// The endpoint as it runs, if nothing that it was read from looks different.
    fn looks_the_same(&mut self, file: &str, path: &Path) -> Option<Arc<EndpointSpec>> {
        let before = self.before.filter(|_| self.same_daemon)?;
        let name = file.strip_suffix(".toml")?;
        let looked = before.looks.get(name)?;
        let spec = before.endpoints.get(name)?;
        if Look::at(paths(path, &looked.others), self.now) != Some(looked.look) {
            return None;
        }
        self.secret_files.extend(looked.others.iter().cloned());
        self.looks.push(looked.clone());
        // What a start found good is kept by the round after it.
        self.good.extend(before.good.get(name).cloned());
        Some(Arc::clone(spec))
    }

    /// The last good version judged by today's daemon file; where that fails too, for a secret that is gone perhaps,
    /// or where a later one could not be kept, the one that runs.
    fn fall_back(&mut self, name: &Arc<str>) -> Option<Arc<EndpointSpec>> {
        let running = self.before.and_then(|before| before.endpoints.get(name));
        if let Some(running) = running.filter(|_| self.last_good.is_behind(name)) {
            return Some(Arc::clone(running));
        }
        if let Some(text) = self.last_good.text(name) {
            let file = Arc::from(self.last_good.path(name).to_string_lossy());
            let as_it_was = self.loader.reading(|others| self.last_good.files(name, others));
            let compiled = as_it_was.endpoint_text(name, file, &text, &self.daemon);
            self.secret_files.extend(compiled.secret_files);
            if let Ok(spec) = compiled.result {
                return Some(self.same_as_before(name, spec));
            }
        }
        running.cloned()
    }

    /// The value that runs already, if it is the same.
    fn same_as_before(&self, name: &str, spec: EndpointSpec) -> Arc<EndpointSpec> {
        let before = self.before.and_then(|running| running.endpoints.get(name));
        before.filter(|before| ***before == spec).cloned().unwrap_or_else(|| Arc::new(spec))
    }
}

impl Named for Looked {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// The files of an endpoint: its own first.
fn paths<'a>(own: &'a Path, others: &'a [PathBuf]) -> impl Iterator<Item = &'a Path> {
    std::iter::once(own).chain(others.iter().map(PathBuf::as_path))
}
