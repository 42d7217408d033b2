//! Reads every file and decides what shall be in force. Blocking, and it changes nothing.

use super::by_name::ByName;
use super::fixed;
use super::judge::{Judge, Looked};
use super::last_good::{Good, LastGood};
use crate::config::{ConfigError, DaemonConfig, DaemonFile, EndpointText, Loader};
use crate::table::{EndpointSpec, Selection};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A configuration that is in force, or shall be.
#[derive(Debug, Clone)]
pub struct Running {
    /// The daemon's part.
    pub daemon: Arc<DaemonConfig>,
    /// Every endpoint that has a version to run.
    pub endpoints: ByName<Arc<EndpointSpec>>,
    /// Names whose file is rejected.
    pub invalid: Vec<Arc<str>>,
    /// Everything that is rejected, and what runs instead.
    pub errors: Vec<ConfigError>,
    /// The secret files in use.
    pub(super) secret_files: BTreeSet<PathBuf>,
    /// Endpoint files found good that are not kept yet.
    pub(super) good: ByName<Good>,
    /// How the files of endpoints looked that were found good.
    pub(super) looks: ByName<Looked>,
}

/// What a daemon needs to start.
#[derive(Debug)]
pub struct Initial {
    /// What shall be in force.
    pub running: Running,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
    /// The last good versions there are.
    pub last_good: LastGood,
}

/// Reads the configuration for a start. A bad endpoint file does not stop it: it falls back to its last good version.
/// `now` is the time since the Unix epoch.
///
/// # Errors
/// Everything that is wrong with the daemon's file; or the endpoints' folder, when there is no last good version of
/// any endpoint.
pub fn initial(loader: &Loader, now: Duration) -> Result<Initial, Vec<ConfigError>> {
    let (file, files) = (loader.daemon_now(), loader.list());
    let Some(config) = file.valid() else {
        return Err(file.errors.into_iter().chain(files.err().map(|error| *error)).collect());
    };
    let mut last_good = LastGood::open(&config.spool.path);
    if let Err(error) = &files
        && last_good.names().next().is_none()
    {
        return Err(vec![(**error).clone()]);
    }
    let mut judge = Judge::new(loader, &last_good, None, config.clone(), &file, now);
    judge.endpoints(files, &BTreeSet::new());
    let running = judge.finish(Vec::new());
    last_good.share_names(&running.endpoints);
    let mut warnings = Vec::new();
    if running.endpoints.is_empty() && running.errors.is_empty() {
        warnings.push("the endpoints' folder is empty: no event will be delivered".to_owned());
    }
    Ok(Initial { running, warnings, last_good })
}

/// Reads the files again, those of endpoints only where they look different. `removing` names endpoints that shall go, so
/// that the last of them may. `now` is the time since the Unix epoch.
pub(super) fn evaluate(
    loader: &Loader,
    last_good: &LastGood,
    running: &Running,
    removing: &BTreeSet<Arc<str>>,
    now: Duration,
) -> Running {
    let (file, files) = (loader.daemon_now(), loader.list());
    let texts = || -> Vec<EndpointText> {
        let said = files.as_ref().ok().filter(|files| !files.is_empty());
        match said {
            Some(files) => files.iter().map(|file| loader.read_endpoint(file)).collect(),
            // Whoever runs goes on, so theirs count.
            None => running.endpoints.iter().map(|spec| kept(last_good, &spec.identity.name)).collect(),
        }
    };
    let keeps = "the daemon keeps the configuration it has; endpoint files still apply";
    let (config, errors) = match file.valid().cloned() {
        None => (None, file.errors.iter().cloned().map(|error| error.note(keeps)).collect()),
        Some(next) if file.is_blank() && next != *running.daemon => {
            let error = ConfigError::about(&file.file, "the file is suddenly empty");
            let help = "Put back what was in it. For the defaults alone, write version = 1.";
            (None, vec![error.help(help).note(keeps)])
        }
        Some(mut next) => {
            let dropped = dropped(loader, running, &next, &file, &texts);
            if dropped.is_empty() {
                let refused = fixed::keep(&running.daemon, &mut next, &file);
                (Some(next), refused)
            } else {
                (None, dropped.into_iter().map(|error| error.note(keeps)).collect())
            }
        }
    };
    let config = config.unwrap_or_else(|| DaemonConfig::clone(&running.daemon));
    let mut judge = Judge::new(loader, last_good, Some(running), config, &file, now);
    judge.endpoints(files, removing);
    judge.finish(errors)
}

/// The last good file of an endpoint.
fn kept(last_good: &LastGood, name: &Arc<str>) -> EndpointText {
    let file: Arc<str> = Arc::from(last_good.path(name).to_string_lossy());
    let text = last_good.text(name).ok_or_else(|| Box::new(ConfigError::about(&file, "it is not kept")));
    EndpointText { name: Arc::clone(name), file, text }
}

/// The names the next catalogue drops although endpoints use them, an error each.
fn dropped(
    loader: &Loader,
    running: &Running,
    next: &DaemonConfig,
    file: &DaemonFile,
    texts: &dyn Fn() -> Vec<EndpointText>,
) -> Vec<ConfigError> {
    let (old, new) = (&running.daemon.catalogue, &next.catalogue);
    let gone = |old: &[Arc<str>], new: &[Arc<str>]| -> Vec<Arc<str>> {
        old.iter().filter(|name| !new.contains(name)).cloned().collect()
    };
    let (events, products) = (gone(&old.events, &new.events), gone(&old.products, &new.products));
    let accounts = unnamed(loader, running, next, file, texts);
    if events.is_empty() && products.is_empty() {
        return accounts;
    }
    // What the files say now counts, even where it is not in force yet: both may have been edited together.
    let mut either = next.clone();
    either.catalogue.events.extend(events.iter().cloned());
    either.catalogue.products.extend(products.iter().cloned());
    let current = |text: &EndpointText| {
        let spec = loader.endpoint(text, &either).result.ok().map(Arc::new);
        spec.or_else(|| running.endpoints.get(&text.name).cloned())
    };
    let specs: Vec<Arc<EndpointSpec>> = texts().iter().filter_map(current).collect();
    let report = |key: &str, name: &Arc<str>, of: fn(&EndpointSpec) -> &Selection| {
        let uses = |spec: &&Arc<EndpointSpec>| match of(spec) {
            Selection::All => false,
            Selection::Some(names) => names.contains(name),
        };
        let users: Vec<&str> = specs.iter().filter(uses).map(|spec| &*spec.identity.name).collect();
        (!users.is_empty()).then(|| {
            let message = format!("{name:?} cannot go from {key}: used by {}", users.join(", "));
            file.error_at(&["catalogue", key], &message).help("Take it out of those endpoints' files first.")
        })
    };
    let events = events.iter().filter_map(|name| report("events", name, |spec| &spec.events));
    let products = products.iter().filter_map(|name| report("products", name, |spec| &spec.products));
    events.chain(products).chain(accounts).collect()
}

/// The endpoints that name no account although the next catalogue asks for one, in one error.
fn unnamed(
    loader: &Loader,
    running: &Running,
    next: &DaemonConfig,
    file: &DaemonFile,
    texts: &dyn Fn() -> Vec<EndpointText>,
) -> Vec<ConfigError> {
    if running.daemon.catalogue.accounts_required || !next.catalogue.accounts_required {
        return Vec::new();
    }
    let mut lenient = next.clone();
    lenient.catalogue.accounts_required = false;
    // Valid without the rule, and not with it: that is who names none.
    let fits = |text: &EndpointText, config: &DaemonConfig| loader.endpoint(text, config).result.is_ok();
    let texts = texts();
    let users: Vec<&str> = texts
        .iter()
        .filter(|text| fits(text, &lenient) && !fits(text, next))
        .map(|text| &*text.name)
        .collect();
    if users.is_empty() {
        return Vec::new();
    }
    let message = format!("accounts cannot be required yet: none is named by {}", users.join(", "));
    let help = "Write account = \"NAME\", or account = \"*\" for all, into those endpoints' files first.";
    vec![file.error_at(&["catalogue", "accounts"], &message).help(help)]
}

impl Running {
    /// What is different from `before`, a line each; nothing: the same.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.daemon != before.daemon {
            changes.push("the daemon's file applied".to_owned());
        }
        for spec in &self.endpoints {
            let name = &spec.identity.name;
            match before.endpoints.get(name) {
                None => changes.push(format!("{name} added")),
                Some(old) if !Arc::ptr_eq(old, spec) && old != spec => {
                    changes.push(format!("{name} changed"));
                }
                Some(_) => {}
            }
        }
        let names = before.endpoints.iter().map(|spec| &spec.identity.name);
        changes.extend(names.filter(|name| !self.endpoints.has(name)).map(|name| format!("{name} removed")));
        changes
    }
}
