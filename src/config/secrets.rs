//! Secrets by reference: `{ file = … }`, `{ env = … }`, `{ credential = … }`. They are resolved after parsing, so
//! that what a secret says can never change the structure.

use super::shared::Shared;
use super::source::{Problems, Span};
use super::tree::{Item, Node};
use postrider_sink::{Secret, SettingsFile};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most a secret may hold: 64 KiB.
pub const MAX_SECRET: u64 = 64 * 1024;

/// Where secrets are read from, so that tests bring their own.
pub trait SecretSource: Send + Sync + 'static {
    /// The content of a file.
    ///
    /// # Errors
    /// Why it cannot be read, for people; never the content.
    fn file(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The content of a file that belongs to the settings of a sink.
    ///
    /// # Errors
    /// Why it cannot be read, for people.
    fn settings_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        read_bounded(path, SettingsFile::MOST).map_err(|error| describe(&error))
    }

    /// An environment variable.
    fn env(&self, name: &str) -> Option<OsString>;
}

/// The files and the environment of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSecrets;

impl SecretSource for SystemSecrets {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        read_bounded(path, MAX_SECRET).map_err(|error| describe(&error))
    }

    fn env(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// Reads a regular file of at most `most` bytes. Opening anything else (a pipe) could wait for ever.
pub(super) fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Error, ErrorKind};
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "it is a folder" } else { "not a regular file" };
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {} KiB", most / 1024)));
    }
    Ok(bytes)
}

/// An I/O error as a person reads it, without the number the system gives it.
pub(super) fn describe(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a folder".to_owned(),
        _ => {
            let text = error.to_string();
            let said = text.split(" (os error").next().unwrap_or_default();
            if said == text { text } else { said.to_lowercase() }
        }
    }
}

const READABLE: &str =
    "Relative paths start at the daemon file's folder; the daemon's user must be able to read it.";
const FROM_SYSTEMD: &str =
    "systemd hands credentials over with LoadCredential= or SetCredential= in the unit.";

const IN_ENVIRONMENT: &str =
    "Set it where the daemon is started: a running process keeps the environment it began with.";

/// A table that stands for a secret.
pub(super) struct Reference<'a> {
    kind: Kind,
    name: &'a str,
    span: Span,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Env,
    Credential,
}

/// Whether a value is a reference: a table with exactly one key, `file`, `env` or `credential`, and a string.
pub(super) fn reference(node: &Node) -> Option<Reference<'_>> {
    let [entry] = node.entries() else { return None };
    let kind = match entry.key.as_str() {
        "file" => Kind::File,
        "env" => Kind::Env,
        "credential" => Kind::Credential,
        _ => return None,
    };
    match &entry.node.item {
        Item::String(name) => Some(Reference { kind, name, span: entry.node.span.clone() }),
        _ => None,
    }
}

impl Reference<'_> {
    /// Whether what it names looks like a name. The secret itself, written here by mistake, seldom does.
    pub(super) fn is_plain(&self) -> bool {
        let also: &[u8] = match self.kind {
            Kind::File => return true,
            Kind::Env => b"_",
            Kind::Credential => b"_-.",
        };
        !self.name.is_empty()
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
    }
}

/// Resolves references, and remembers the files they name: those are watched.
pub(super) struct Resolver<'a> {
    source: &'a dyn SecretSource,
    base: &'a Path,
    /// Every secret file that was asked for, readable or not.
    pub(super) files: Vec<PathBuf>,
    /// Where references stand that could not be resolved.
    pub(super) failed: Vec<Span>,
    lenient: bool,
    shared: Option<&'a Shared>,
}

impl<'a> Resolver<'a> {
    /// Relative paths start at `base`.
    pub(super) const fn new(source: &'a dyn SecretSource, base: &'a Path) -> Self {
        Self { source, base, files: Vec::new(), failed: Vec::new(), lenient: false, shared: None }
    }

    /// What cannot be resolved is noted in `failed` and is no error: for drafts, which may be incomplete.
    pub(super) const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Files that are the same are in memory once.
    pub(super) const fn sharing(mut self, shared: &'a Shared) -> Self {
        self.shared = Some(shared);
        self
    }

    /// A file that belongs to the settings of a sink. Why it cannot be read is reported at its name.
    pub(super) fn settings_file(
        &mut self,
        name: &str,
        span: &Span,
        problems: &Problems,
    ) -> Option<SettingsFile> {
        let path = self.base.join(name);
        let content = self.source.settings_file(&path);
        self.files.push(path);
        match content {
            Ok(content) => {
                let file = SettingsFile::new(name.to_owned(), content.into());
                Some(self.shared.map_or(file.clone(), |shared| shared.file(file)))
            }
            Err(error) => {
                self.failed.push(span.clone());
                if !self.lenient {
                    let error = problems.error(span.clone(), format!("cannot read {name}: {error}"));
                    problems.add(error.help(READABLE));
                }
                None
            }
        }
    }

    /// The secret that a reference names. What is wrong is reported at the reference.
    pub(super) fn resolve(&mut self, reference: &Reference<'_>, problems: &Problems) -> Option<Secret> {
        match self.read(reference) {
            Ok(secret) => Some(secret),
            Err((message, help)) => {
                self.failed.push(reference.span.clone());
                if !self.lenient {
                    problems.add(problems.error(reference.span.clone(), message).help(help));
                }
                None
            }
        }
    }

    fn read(&mut self, reference: &Reference<'_>) -> Result<Secret, (String, &'static str)> {
        let name = reference.name;
        let bytes = match reference.kind {
            Kind::File if name.is_empty() || name.contains(char::is_control) => {
                return Err((
                    "file does not name a file".to_owned(),
                    "For example { file = \"secrets/acme\" }.",
                ));
            }
            Kind::File => self
                .file(self.base.join(name))
                .map_err(|error| (format!("cannot read {name}: {error}"), READABLE))?,
            Kind::Env if !reference.is_plain() => {
                return Err((
                    "env does not name an environment variable".to_owned(),
                    "Write its name: ACME_PASSWORD.",
                ));
            }
            Kind::Env => self
                .source
                .env(name)
                .ok_or_else(|| (format!("the environment variable {name} is not set"), IN_ENVIRONMENT))?
                .into_encoded_bytes(),
            Kind::Credential if !reference.is_plain() || name.starts_with('.') => {
                return Err(("this is not the name of a credential".to_owned(), FROM_SYSTEMD));
            }
            Kind::Credential => self.credential(name)?,
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| (format!("{name} is not UTF-8 text"), "A secret is one line of text."))?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |cut| cut.strip_suffix('\r').unwrap_or(cut));
        if text.is_empty() {
            return Err((format!("{name} is empty"), "Put the secret there."));
        }
        Ok(Secret::new(text.to_owned()))
    }

    fn credential(&mut self, name: &str) -> Result<Vec<u8>, (String, &'static str)> {
        let folder = self
            .source
            .env("CREDENTIALS_DIRECTORY")
            .ok_or_else(|| ("$CREDENTIALS_DIRECTORY is not set".to_owned(), FROM_SYSTEMD))?;
        self.file(PathBuf::from(folder).join(name))
            .map_err(|error| (format!("cannot read the credential {name}: {error}"), FROM_SYSTEMD))
    }

    /// The content of a file that is named outright, and watched like that of a secret.
    pub(super) fn named(&mut self, name: &str) -> Result<Vec<u8>, String> {
        self.file(self.base.join(name))
    }

    fn file(&mut self, path: PathBuf) -> Result<Vec<u8>, String> {
        let bytes = self.source.file(&path);
        self.files.push(path);
        bytes
    }
}
