//! Endpoint files as the API changes them: one writer at a time, a file whole or not at all. Blocking.

use crate::admin::{Caller, Collision, EndpointError, Order, Precondition, Scope, SettingIssue, Settings};
use crate::config::{self, ConfigError, DaemonConfig, EditError, Form, Loader};
use crate::table::EndpointSpec;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Versions that are remembered, to show what an edit started from.
const VERSIONS: usize = 256;

/// The keys of `[http]` that a login of an account may change.
const OF_CUSTOMERS: [&str; 4] = ["url", "auth", "headers", "signing"];

/// Reads and writes endpoint files.
pub(super) struct Store {
    pub(super) loader: Loader,
    /// Held by the one who writes; what was shown lately, newest last.
    shown: Mutex<VecDeque<(String, Settings)>>,
    writing: Mutex<()>,
}

/// A file as it was read.
pub(super) struct Current {
    pub(super) text: String,
    pub(super) form: Form,
}

/// What a change wrote.
pub(super) struct Written {
    pub(super) new: bool,
    /// Secret files of ours that the new text does not name any more.
    pub(super) unused: Vec<PathBuf>,
}

impl Store {
    pub(super) fn new(loader: Loader) -> Self {
        Self { loader, shown: Mutex::default(), writing: Mutex::default() }
    }

    /// The file of a name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.loader.endpoints_folder().join(format!("{name}.toml"))
    }

    /// The same, for people.
    pub(super) fn shown_path(name: &str) -> String {
        format!("endpoints/{name}.toml")
    }

    /// What a caller sees of a file. `running` is the endpoint in force, which counts where the file is no TOML.
    pub(super) fn read(
        &self,
        caller: &Caller,
        name: &str,
        running: Option<&EndpointSpec>,
    ) -> Result<Option<Current>, EndpointError> {
        if !config::is_endpoint_name(name) {
            return Ok(None);
        }
        let text = match fs::read_to_string(self.path(name)) {
            Ok(text) if text.len() as u64 <= config::MAX_FILE => text,
            Ok(_) => return Err(EndpointError::Failed(format!("{} is too large", Self::shown_path(name)))),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(name, &error)),
        };
        let account = config::account_of(&text)
            .unwrap_or_else(|| running.and_then(|spec| spec.identity.account.as_deref().map(str::to_owned)));
        if !caller.sees(account.as_deref()) {
            return Err(EndpointError::NotFound(name.to_owned()));
        }
        let form = self.loader.form(&text);
        self.remember(&form);
        Ok(Some(Current { text, form }))
    }

    /// Writes settings.
    pub(super) fn put(
        &self,
        caller: &Caller,
        name: &str,
        settings: &Settings,
        expected: &Precondition,
        daemon: &DaemonConfig,
        running: Option<&EndpointSpec>,
    ) -> Result<Written, EndpointError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !config::is_endpoint_name(name) {
            let help = "Use lower-case letters, digits and hyphens, for example acme-prod.";
            return Err(invalid(&["name"], "not a name of an endpoint", help));
        }
        let mut settings = settings.clone();
        let current = match self.read(caller, name, running) {
            // To create something, a customer must learn that the name is taken, and nothing more.
            Err(EndpointError::NotFound(_)) if *expected == Precondition::Absent => {
                return Err(EndpointError::NameTaken(name.to_owned()));
            }
            current => current?,
        };
        self.expect(name, current.as_ref(), expected, Some(&settings))?;
        let text = self.judge(caller, name, &mut settings, current.as_ref(), daemon)?;
        let mut secrets = config::new_secrets(&settings);
        // Nothing is no secret, and a file of it would be an error.
        secrets.retain(|secret| !secret.text.is_empty());
        if let Some(long) = secrets.iter().find(|secret| secret.text.len() as u64 > config::MAX_SECRET) {
            let detail = format!("a secret has at most {} bytes", config::MAX_SECRET);
            return Err(EndpointError::Invalid(vec![issue(&long.path, &detail, None)]));
        }
        if secrets.is_empty() {
            return self.replace(name, &text, current.as_ref());
        }
        let mut made = Vec::new();
        for secret in &secrets {
            let file = secret_file(name, &secret.path);
            set(&mut settings, &secret.path, json!({ "file": file }));
            made.push((self.loader.base().join(&file), &secret.text));
        }
        let empty = Form::default();
        let form = current.as_ref().map_or(&empty, |current| &current.form);
        let base = current.as_ref().map_or("", |current| &current.text);
        let text = config::edit(base, form, &settings).map_err(wrong)?;
        let write = |(path, text): &(PathBuf, &String)| write_secret(path, text);
        let written = made.iter().try_for_each(write).map_err(|error| self.read_only(name, &error, &text));
        let written = written.and_then(|()| self.replace(name, &text, current.as_ref()));
        if written.is_err() {
            for (path, _) in &made {
                drop(fs::remove_file(path));
            }
        }
        written
    }

    /// The text of settings that were found good, secrets written out.
    pub(super) fn judge(
        &self,
        caller: &Caller,
        name: &str,
        settings: &mut Settings,
        current: Option<&Current>,
        daemon: &DaemonConfig,
    ) -> Result<String, EndpointError> {
        let empty = Form::default();
        let form = current.map_or(&empty, |current| &current.form);
        let nothing = Settings::new();
        let shown = form.settings.as_ref().unwrap_or(&nothing);
        let mut issues = moved(shown, settings);
        if let Scope::Account(account) = &caller.scope {
            issues.extend(not_for_customers(shown, settings, account));
        }
        if !issues.is_empty() {
            return Err(EndpointError::Invalid(issues));
        }
        let base = current.map_or("", |current| &current.text);
        let text: Arc<str> = config::edit(base, form, settings).map_err(wrong)?.into();
        let file = Arc::from(Self::shown_path(name));
        match self.loader.endpoint_text(&Arc::from(name), file, &text, daemon).result {
            Ok(_) => Ok(text.to_string()),
            Err(errors) => Err(EndpointError::Invalid(issues_of(&errors, &text))),
        }
    }

    /// Writes another state. `None`: the file says so already.
    pub(super) fn order(
        &self,
        caller: &Caller,
        name: &str,
        order: Order,
        expected: &Precondition,
        daemon: &DaemonConfig,
        running: Option<&EndpointSpec>,
    ) -> Result<Option<Written>, EndpointError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current =
            self.read(caller, name, running)?.ok_or_else(|| EndpointError::NotFound(name.to_owned()))?;
        self.expect(name, Some(&current), expected, None)?;
        let state = current.form.settings.as_ref().and_then(|settings| settings.get("state"));
        let state = state.and_then(Value::as_str).unwrap_or("active");
        let wanted = match (order, state) {
            (Order::Pause | Order::Resume, "draft") => {
                let help = "is a draft, which collects nothing: activate it first";
                return Err(EndpointError::Unfit(format!("{name} {help}")));
            }
            (Order::Pause, _) => "paused",
            (Order::Activate | Order::Resume, _) => "active",
        };
        if state == wanted && current.form.settings.is_some() {
            return Ok(None);
        }
        let judge = |text: &Arc<str>| {
            let file = Arc::from(Self::shown_path(name));
            self.loader.endpoint_text(&Arc::from(name), file, text, daemon).result
        };
        let text = config::set_state(&current.text, wanted).unwrap_or_else(|_| current.text.clone());
        let text = Arc::from(text);
        judge(&text).map_err(|errors| EndpointError::Invalid(issues_of(&errors, &text)))?;
        self.replace(name, &text, Some(&current)).map(Some)
    }

    /// Deletes a file. The secret files of ours that it named are unused then.
    pub(super) fn delete(
        &self,
        caller: &Caller,
        name: &str,
        expected: &Precondition,
        running: Option<&EndpointSpec>,
    ) -> Result<Vec<PathBuf>, EndpointError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current =
            self.read(caller, name, running)?.ok_or_else(|| EndpointError::NotFound(name.to_owned()))?;
        self.expect(name, Some(&current), expected, None)?;
        let removed = fs::remove_file(self.path(name)).and_then(|()| sync_folder(&self.path(name)));
        removed.map_err(|error| EndpointError::ReadOnly {
            file: Self::shown_path(name),
            reason: error.kind().to_string(),
            toml: config::without_secrets(&current.form),
        })?;
        Ok(self.own_secrets(name, &current.form))
    }

    /// Deletes secret files that no endpoint file names any more.
    pub(super) fn sweep(&self, unused: &[PathBuf]) {
        if unused.is_empty() {
            return;
        }
        let Ok(files) = self.loader.read().endpoints else { return };
        let named = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.iter().any(|file| file.text.as_ref().map_or(true, |text| text.contains(&*name)))
        };
        for path in unused.iter().filter(|path| !named(path)) {
            drop(fs::remove_file(path));
        }
    }

    fn expect(
        &self,
        name: &str,
        current: Option<&Current>,
        expected: &Precondition,
        yours: Option<&Settings>,
    ) -> Result<(), EndpointError> {
        let met = match (expected, current) {
            (Precondition::None, _) | (Precondition::Absent, None) => true,
            (Precondition::Match(versions), Some(current)) => {
                versions.is_empty() || versions.contains(&current.form.version)
            }
            (Precondition::Match(_), None) => {
                return Err(EndpointError::NotFound(name.to_owned()));
            }
            (Precondition::Absent, Some(_)) => false,
        };
        if met {
            return Ok(());
        }
        let base = match expected {
            Precondition::Match(versions) => {
                let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.iter().find(|(version, _)| versions.contains(version)).map(|(_, form)| form.clone())
            }
            _ => None,
        };
        let collision = Collision {
            yours: yours.map(hidden),
            theirs: current.and_then(|current| current.form.settings.clone()),
            etag: current.map(|current| current.form.version.clone()),
            base,
        };
        Err(EndpointError::Changed(Self::shown_path(name), Box::new(collision)))
    }

    fn remember(&self, form: &Form) {
        let Some(settings) = &form.settings else { return };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.iter().any(|(version, _)| *version == form.version) {
            return;
        }
        if shown.len() >= VERSIONS {
            shown.pop_front();
        }
        shown.push_back((form.version.clone(), settings.clone()));
    }

    fn replace(&self, name: &str, text: &str, current: Option<&Current>) -> Result<Written, EndpointError> {
        // A link is followed, so that it stays one.
        let path = self.path(name);
        let path = fs::canonicalize(&path).unwrap_or(path);
        write_whole(&path, text.as_bytes(), 0o640).map_err(|error| self.read_only(name, &error, text))?;
        let before = current.map(|current| self.own_secrets(name, &current.form)).unwrap_or_default();
        let after = self.own_secrets(name, &self.loader.form(text));
        let unused = before.into_iter().filter(|path| !after.contains(path)).collect();
        Ok(Written { new: current.is_none(), unused })
    }

    fn read_only(&self, name: &str, error: &io::Error, text: &str) -> EndpointError {
        let (file, toml) = (Self::shown_path(name), config::without_secrets(&self.loader.form(text)));
        EndpointError::ReadOnly { file, reason: error.kind().to_string(), toml }
    }

    /// The secret files that were made for an endpoint, as its file names them.
    fn own_secrets(&self, name: &str, form: &Form) -> Vec<PathBuf> {
        fn files(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(file)) = object.get("file") {
                        found.push(file.clone());
                    }
                    object.values().for_each(|value| files(value, found));
                }
                Value::Array(elements) => elements.iter().for_each(|value| files(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        form.settings
            .iter()
            .flat_map(|settings| settings.values())
            .for_each(|value| files(value, &mut found));
        let prefix = format!("{SECRETS}/{name}.");
        found.retain(|file| file.strip_prefix(&prefix).is_some_and(is_own_suffix));
        found.into_iter().map(|file| self.loader.base().join(file)).collect()
    }
}

/// The folder of secret files, in the configuration's.
const SECRETS: &str = "secrets";

/// `acme.http-auth-basic-password.1f2e3d4c`: another one each time, so that the old text keeps its secret.
fn secret_file(name: &str, path: &[String]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let keys: String = path.join("-").chars().map(plain).take(80).collect();
    let random = Uuid::new_v4().simple().to_string();
    format!("{SECRETS}/{name}.{keys}.{}", random.get(..8).unwrap_or(&random))
}

/// Whether this is how the names of our secret files go on after the endpoint's.
fn is_own_suffix(suffix: &str) -> bool {
    let Some((keys, random)) = suffix.split_once('.') else { return false };
    !keys.contains('/') && random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    write_whole(path, text.as_bytes(), 0o600)
}

/// Writes a file beside and renames it: whoever reads finds the old one or the new one.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    drop(fs::remove_file(&beside));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    })();
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn unreadable(name: &str, error: &io::Error) -> EndpointError {
    EndpointError::Failed(format!("cannot read {}: {}", Store::shown_path(name), error.kind()))
}

/// Secrets that would go to another host than the one they were entered for.
fn moved(shown: &Settings, wanted: &Settings) -> Vec<SettingIssue> {
    let same_place = |kind: &str| place(shown, kind) == place(wanted, kind);
    let kept = config::kept_secrets(wanted).into_iter();
    kept.filter(|path| path.first().is_some_and(|kind| !same_place(kind)))
        .map(|path| {
            let help = "The URL leads to another host now: a saved secret is not sent there.";
            issue(&path, "enter the secret again", Some(help.to_owned()))
        })
        .collect()
}

/// Scheme, host and port that a sink's `url` leads to.
fn place(settings: &Settings, kind: &str) -> Option<url::Origin> {
    let text = settings.get(kind)?.get("url")?.as_str()?;
    url::Url::parse(text).ok().map(|url| url.origin())
}

/// What a login of an account may not do: name files or variables of this machine, use sinks that do, give an
/// endpoint away.
fn not_for_customers(shown: &Settings, wanted: &mut Settings, account: &Arc<str>) -> Vec<SettingIssue> {
    let mut issues = Vec::new();
    let own = json!(&**account);
    if *wanted.entry("account").or_insert_with(|| own.clone()) != own {
        let detail = format!("this login's endpoints belong to the account {account}");
        issues.push(issue(&["account".to_owned()], &detail, None));
    }
    for (path, _) in config::new_references(wanted) {
        let help = Some("Enter the secret itself; it is kept out of sight.".to_owned());
        issues.push(issue(&path, "this login may not name files or variables", help));
    }
    let tables = ["retry", "breaker", "http"];
    let differs = |path: &[String]| at(shown, path) != at(wanted, path);
    for (key, value) in wanted.iter() {
        let path = [key.clone()];
        if value.is_object() && !tables.contains(&key.as_str()) && differs(&path) {
            issues.push(issue(&path, "this login may only use http", None));
        }
    }
    let both = [shown, &*wanted].map(|settings| settings.get("http").and_then(Value::as_object));
    let mut keys: Vec<&String> = both.into_iter().flatten().flat_map(|http| http.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys.into_iter().filter(|key| !OF_CUSTOMERS.contains(&key.as_str())) {
        let path = ["http".to_owned(), key.clone()];
        if differs(&path) {
            issues.push(issue(&path, "this login may not change it", None));
        }
    }
    issues
}

fn at<'a>(settings: &'a Settings, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(settings.get(first)?, |value, key| value.get(key))
}

/// Puts a value in the place of another one.
fn set(settings: &mut Settings, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    let mut here = settings.get_mut(first);
    for key in rest {
        here = here.and_then(|value| match value {
            Value::Object(object) => object.get_mut(key),
            Value::Array(elements) => elements.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        });
    }
    if let Some(here) = here {
        *here = value;
    }
}

/// Settings that were sent, to be shown: new secrets hidden.
fn hidden(settings: &Settings) -> Settings {
    let mut shown = settings.clone();
    for secret in config::new_secrets(settings) {
        set(&mut shown, &secret.path, json!({ "new": true }));
    }
    shown
}

fn issue(path: &[String], detail: &str, help: Option<String>) -> SettingIssue {
    let step = |key: &String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    SettingIssue {
        pointer: path.iter().map(step).collect(),
        key: path.join("."),
        detail: detail.to_owned(),
        help,
    }
}

fn invalid(path: &[&str], detail: &str, help: &str) -> EndpointError {
    let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
    EndpointError::Invalid(vec![issue(&path, detail, Some(help.to_owned()))])
}

fn wrong(errors: Vec<EditError>) -> EndpointError {
    let issues = errors.into_iter().map(|error| issue(&error.path, &error.message, error.help));
    EndpointError::Invalid(issues.collect())
}

/// What the checks of the files say, by key.
fn issues_of(errors: &[ConfigError], text: &str) -> Vec<SettingIssue> {
    let one = |error: &ConfigError| {
        // What is missing at the top stands nowhere.
        let span = error.span.as_ref().filter(|span| span.end > 0);
        let mut path = span.map(|span| config::keys_at(text, span.start)).unwrap_or_default();
        let missing = error.message.strip_suffix(" is missing");
        path.extend(missing.filter(|key| !key.contains(' ')).map(str::to_owned));
        let help = [error.label.as_deref(), error.help.as_deref()].into_iter().flatten();
        let help = help.collect::<Vec<_>>().join(" ");
        issue(&path, &error.message, Some(help).filter(|help| !help.is_empty()))
    };
    errors.iter().map(one).collect()
}
