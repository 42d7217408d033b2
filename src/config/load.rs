//! From a path to everything the configuration says: the daemon's file and the folder `endpoints` next to it.

use super::daemon::DaemonConfig;
use super::daemon_file::DaemonFile;
use super::endpoint_file::{CompiledEndpoint, Context, compile_endpoint};
use super::error::ConfigError;
use super::secrets::{self, SecretSource};
use super::shared::Shared;
use crate::sinks::Sinks;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most a configuration file may hold: 1 MiB.
pub const MAX_FILE: u64 = 1024 * 1024;

/// Reads a configuration, as often as wanted. Cheap to clone.
#[derive(Clone)]
pub struct Loader {
    root: PathBuf,
    base: PathBuf,
    sinks: Sinks,
    secrets: Arc<dyn SecretSource>,
    shared: Arc<Shared>,
}

/// The texts of a configuration, not judged yet.
pub struct Files {
    /// The daemon's file.
    pub daemon: Result<Arc<str>, Box<ConfigError>>,
    /// The endpoints' files in the order of their names, or why the folder cannot be listed.
    pub endpoints: Result<Vec<EndpointText>, Box<ConfigError>>,
}

/// The text of one endpoint file.
#[derive(Debug, Clone)]
pub struct EndpointText {
    /// The endpoint's name: the file's, without `.toml`.
    pub name: Arc<str>,
    /// The file, as errors call it.
    pub file: Arc<str>,
    /// What is in it, or why it cannot be read.
    pub text: Result<Arc<str>, Box<ConfigError>>,
}

/// A configuration that was read and judged.
pub struct Loaded {
    /// The daemon's file.
    pub daemon: DaemonFile,
    /// Every endpoint file, in the order of their names.
    pub endpoints: Vec<LoadedEndpoint>,
    /// Why the endpoints' folder cannot be listed.
    pub folder: Option<ConfigError>,
}

/// An endpoint file that was read and judged.
pub struct LoadedEndpoint {
    /// The file.
    pub file: EndpointText,
    /// The endpoint, everything that is wrong, or nothing where the daemon's file is no TOML to judge it by.
    pub compiled: Option<CompiledEndpoint>,
}

/// Reads and judges the configuration whose daemon file is `root`.
#[must_use]
pub fn load(root: &Path, sinks: &Sinks, secrets: Arc<dyn SecretSource>) -> Loaded {
    Loader::new(root, sinks.clone(), secrets).load()
}

impl Loader {
    /// For the daemon file `root`. A relative path starts where the process stands now.
    #[must_use]
    pub fn new(root: &Path, sinks: Sinks, secrets: Arc<dyn SecretSource>) -> Self {
        let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let base = absolute.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Self { root: root.to_path_buf(), base, sinks, secrets, shared: Arc::default() }
    }

    /// The same, which reads what files refer to in another way: `others` is this one's.
    #[must_use]
    pub fn reading(&self, way: impl FnOnce(Arc<dyn SecretSource>) -> Arc<dyn SecretSource>) -> Self {
        Self { secrets: way(self.secrets.clone()), ..self.clone() }
    }

    /// What reads the tables of endpoints.
    #[must_use]
    pub const fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// The daemon's file, as it was named.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where relative paths start.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The folder of the endpoints' files.
    #[must_use]
    pub fn endpoints_folder(&self) -> PathBuf {
        self.root.with_file_name("endpoints")
    }

    /// Reads every file; judges none.
    #[must_use]
    pub fn read(&self) -> Files {
        let read = |names: Vec<String>| names.iter().map(|name| self.read_endpoint(name)).collect();
        Files { daemon: self.read_daemon(), endpoints: self.list().map(read) }
    }

    /// The names of the endpoints' files, sorted.
    ///
    /// # Errors
    /// Why the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<String>, Box<ConfigError>> {
        let folder = self.endpoints_folder();
        list_toml(&folder).map_err(|error| unlisted(&folder, &error))
    }

    /// Reads one of the endpoints' files.
    #[must_use]
    pub fn read_endpoint(&self, file: &str) -> EndpointText {
        endpoint_file(&self.endpoints_folder(), file)
    }

    /// Judges the daemon's file.
    #[must_use]
    pub fn daemon(&self, files: &Files) -> DaemonFile {
        self.judge_daemon(&files.daemon)
    }

    fn judge_daemon(&self, text: &Result<Arc<str>, Box<ConfigError>>) -> DaemonFile {
        let name = shown(&self.root);
        match text {
            Ok(text) => DaemonFile::read(name, text.clone(), &self.base, &*self.secrets),
            Err(error) => DaemonFile::unreadable(name, (**error).clone()),
        }
    }

    /// Reads and judges the daemon's file alone.
    #[must_use]
    pub fn daemon_now(&self) -> DaemonFile {
        self.judge_daemon(&self.read_daemon())
    }

    /// Judges an endpoint's file by a daemon's configuration.
    #[must_use]
    pub fn endpoint(&self, endpoint: &EndpointText, daemon: &DaemonConfig) -> CompiledEndpoint {
        match &endpoint.text {
            Ok(text) => self.endpoint_text(&endpoint.name, endpoint.file.clone(), text, daemon),
            Err(error) => CompiledEndpoint {
                result: Err(vec![(**error).clone()]),
                settings: None,
                secret_files: Vec::new(),
            },
        }
    }

    /// Judges an endpoint's text, wherever it comes from: a last good version, or settings not saved yet.
    #[must_use]
    pub fn endpoint_text(
        &self,
        name: &Arc<str>,
        file: Arc<str>,
        text: &Arc<str>,
        daemon: &DaemonConfig,
    ) -> CompiledEndpoint {
        let (secrets, shared) = (&*self.secrets, &*self.shared);
        let context = Context { daemon, sinks: &self.sinks, secrets, base: &self.base, shared };
        compile_endpoint(name, file, text, context)
    }

    /// Reads and judges everything, each endpoint by what the daemon's file says, even where that has errors.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let files = self.read();
        let daemon = self.daemon(&files);
        let (texts, folder) = match files.endpoints {
            Ok(texts) => (texts, None),
            Err(error) => (Vec::new(), Some(*error)),
        };
        let judge = |file: EndpointText| LoadedEndpoint {
            compiled: daemon.config.as_ref().map(|config| self.endpoint(&file, config)),
            file,
        };
        Loaded { endpoints: texts.into_iter().map(judge).collect(), folder, daemon }
    }

    /// Reads the file of one endpoint alone; none: there is no such file.
    pub(super) fn endpoint_now(&self, name: &str) -> Result<Option<EndpointText>, Box<ConfigError>> {
        let file = format!("{name}.toml");
        Ok(self.list()?.contains(&file).then(|| self.read_endpoint(&file)))
    }

    pub(super) fn resolver(&self) -> secrets::Resolver<'_> {
        secrets::Resolver::new(&*self.secrets, &self.base)
    }

    fn read_daemon(&self) -> Result<Arc<str>, Box<ConfigError>> {
        read_text(&self.root).map_err(|error| {
            let named = error.help.is_some();
            let help = "Name the daemon's file, which is usually called postrider.toml.";
            if named { error } else { Box::new(error.help(help)) }
        })
    }
}

fn unlisted(folder: &Path, error: &io::Error) -> Box<ConfigError> {
    let message = format!("cannot read the endpoints' folder: {}", secrets::describe(error));
    let help = "It stands next to the daemon's file. Create it, empty if there is no endpoint yet.";
    Box::new(ConfigError::about(&shown(folder), message).help(help))
}

fn endpoint_file(folder: &Path, name: &str) -> EndpointText {
    let path = folder.join(name);
    let stem = name.strip_suffix(".toml").unwrap_or(name);
    let text = if is_endpoint_name(stem) { read_text(&path) } else { Err(bad_name(&path)) };
    EndpointText { name: Arc::from(stem), file: shown(&path), text }
}

/// Whether an endpoint may have this name: `[a-z0-9][a-z0-9._-]{0,62}`.
#[must_use]
pub fn is_endpoint_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
}

/// The names of the endpoint files of a folder, sorted. What editors leave behind is not among them.
pub(crate) fn list_toml(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    each_toml(folder, |name| names.push(name))?;
    names.sort();
    Ok(names)
}

/// The same in no order, one after another.
pub(crate) fn each_toml(folder: &Path, mut each: impl FnMut(String)) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.starts_with(['.', '#', '~']) {
            each(name);
        }
    }
    Ok(())
}

fn bad_name(path: &Path) -> Box<ConfigError> {
    let error = ConfigError::about(&shown(path), "the file's name cannot be an endpoint's");
    Box::new(error.help(
        "Use lower-case letters, digits, dots, hyphens and underscores, at most 63, the first a letter or digit: \
         acme-orders.toml.",
    ))
}

fn read_text(path: &Path) -> Result<Arc<str>, Box<ConfigError>> {
    let file = shown(path);
    let bytes = secrets::read_bounded(path, MAX_FILE).map_err(|error| {
        let message = format!("cannot read the file: {}", secrets::describe(&error));
        Box::new(ConfigError::about(&file, message))
    })?;
    String::from_utf8(bytes).map(Arc::from).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut error = ConfigError::about(&file, "the file is not UTF-8 text").help("Save it as UTF-8.");
        (error.line, error.column) = (Some(line), Some(1));
        Box::new(error)
    })
}

fn shown(path: &Path) -> Arc<str> {
    Arc::from(path.to_string_lossy())
}
