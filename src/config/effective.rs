//! What holds for one endpoint: every value with the place it comes from, secrets as fingerprints.

use super::daemon_file::DaemonFile;
use super::error::ConfigErrors;
use super::keys::{DAEMON, DELIVERY, ENDPOINT, Key};
use super::load::Loader;
use super::mask::is_secret;
use super::secrets::{self, Resolver};
use super::source::Problems;
use super::tree::{self, Item, Node};
use postrider_sink::Secret;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Everything that holds for one endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Effective {
    /// Its name.
    pub endpoint: String,
    /// The values: the endpoint's own keys, its sink's, then the inherited ones.
    pub values: Vec<EffectiveValue>,
}

/// One value that holds.
#[derive(Debug, Clone, Serialize)]
pub struct EffectiveValue {
    /// Its key, from the top of the endpoint's file.
    pub key: String,
    /// The value as TOML; a secret as `fingerprint 9f3c`.
    pub value: String,
    /// `file:line`, or `default`.
    pub origin: String,
}

/// A few digits that tell two secrets apart and help nobody to guess one: 16 bits of a SHA-256.
#[must_use]
pub fn fingerprint(secret: &Secret) -> String {
    let digest = Sha256::new_with_prefix(b"postrider fingerprint\0").chain_update(secret.expose()).finalize();
    let (first, second) = (digest.first().copied().unwrap_or(0), digest.get(1).copied().unwrap_or(0));
    format!("{first:02x}{second:02x}")
}

/// Everything that holds: for the daemon, and for its endpoints.
#[derive(Debug, Clone, Serialize)]
pub struct AllEffective {
    /// The values of the daemon's file.
    pub daemon: Vec<EffectiveValue>,
    /// Each endpoint's.
    pub endpoints: Vec<Effective>,
}

/// What holds for the daemon and for every endpoint.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn effective_all(loader: &Loader) -> Result<AllEffective, ConfigErrors> {
    let files = loader.read();
    let daemon = loader.daemon(&files);
    let mut errors = daemon.errors.clone();
    let texts = files.endpoints.unwrap_or_else(|error| {
        errors.push(*error);
        Vec::new()
    });
    let mut endpoints = Vec::new();
    if daemon.valid().is_some() {
        for file in texts {
            match file
                .text
                .map_err(|error| ConfigErrors(vec![*error]))
                .and_then(|text| of(loader, &daemon, &file.name, &text))
            {
                Ok(values) => endpoints.push(values),
                Err(wrong) => errors.extend(wrong.0),
            }
        }
    }
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    Ok(AllEffective { daemon: of_daemon(loader, &daemon), endpoints })
}

/// What holds for the endpoint called `name`; none: there is no such file.
///
/// # Errors
/// Everything that is wrong with the daemon's file or the endpoint's.
pub fn effective(loader: &Loader, name: &str) -> Result<Option<Effective>, ConfigErrors> {
    let file = loader.endpoint_now(name).map_err(|error| ConfigErrors(vec![*error]))?;
    let Some(file) = file else { return Ok(None) };
    let text = file.text.map_err(|error| ConfigErrors(vec![*error]))?;
    effective_of(loader, name, &text).map(Some)
}

/// What holds for an endpoint with this text.
///
/// # Errors
/// Everything that is wrong with the daemon's file or the text.
pub fn effective_of(loader: &Loader, name: &str, text: &str) -> Result<Effective, ConfigErrors> {
    of(loader, &loader.daemon_now(), name, text)
}

/// What the daemon's file says, table by table, and what holds where it says nothing.
fn of_daemon(loader: &Loader, daemon: &DaemonFile) -> Vec<EffectiveValue> {
    let Some(root) = &daemon.root else { return Vec::new() };
    let problems = Problems::new(daemon.file.clone(), daemon.text.clone());
    let (mut values, mut resolver) = (Vec::new(), loader.resolver());
    let mut lists = Vec::new();
    for key in DAEMON {
        let Some((list, _)) = key.path.split_once("[]") else {
            values.extend(written(key, root, &problems, &daemon.text).or_else(|| by_default(key)));
            continue;
        };
        if lists.contains(&list) {
            continue;
        }
        lists.push(list);
        let path: Vec<&str> = list.split('.').collect();
        if let Some(entry) = root.find(&path) {
            let mut leaves = Leaves {
                text: &daemon.text,
                problems: &problems,
                resolver: &mut resolver,
                values: &mut values,
            };
            leaves.add(&entry.node, list, false);
        }
    }
    let defaults = root.find(&["defaults"]).map(|entry| &entry.node);
    for key in DELIVERY {
        let value = defaults
            .and_then(|defaults| written(key, defaults, &problems, &daemon.text))
            .or_else(|| by_default(key));
        values.extend(value.map(|value| EffectiveValue { key: format!("defaults.{}", value.key), ..value }));
    }
    values
}

fn of(loader: &Loader, daemon: &DaemonFile, name: &str, text: &str) -> Result<Effective, ConfigErrors> {
    let Some(config) = daemon.valid() else { return Err(ConfigErrors(daemon.errors.clone())) };
    let file: Arc<str> = loader.endpoints_folder().join(format!("{name}.toml")).to_string_lossy().into();
    let text: Arc<str> = text.into();
    loader.endpoint_text(&name.into(), file.clone(), &text, config).result.map_err(ConfigErrors)?;

    let own = Problems::new(file, text.clone());
    let Some(root) = tree::parse(&text, &own) else { return Err(ConfigErrors(own.take())) };
    let inherited = Problems::new(daemon.file.clone(), daemon.text.clone());
    let mut values = Vec::new();
    for key in ENDPOINT {
        values.extend(written(key, &root, &own, &text).or_else(|| by_default(key)));
    }
    let mut resolver = loader.resolver();
    for entry in root.entries() {
        let first = |key: &Key| key.path.split('.').next().map(|first| first.trim_end_matches("[]"));
        let known = ENDPOINT.iter().chain(DELIVERY).any(|key| first(key) == Some(&entry.key));
        if !known {
            let mut sink =
                Leaves { text: &text, problems: &own, resolver: &mut resolver, values: &mut values };
            sink.add(&entry.node, &entry.key, false);
        }
    }
    let defaults = daemon.root.as_ref().and_then(|root| root.find(&["defaults"])).map(|entry| &entry.node);
    for key in DELIVERY {
        let value = written(key, &root, &own, &text)
            .or_else(|| written(key, defaults?, &inherited, &daemon.text))
            .or_else(|| by_default(key));
        values.extend(value);
    }
    Ok(Effective { endpoint: name.to_owned(), values })
}

fn written(key: &Key, root: &Node, problems: &Problems, text: &str) -> Option<EffectiveValue> {
    let path: Vec<&str> = key.path.split('.').collect();
    let entry = root.find(&path)?;
    Some(EffectiveValue {
        key: key.path.to_owned(),
        value: text.get(entry.node.span.clone()).unwrap_or_default().to_owned(),
        origin: problems.line_of(&entry.node.span),
    })
}

fn by_default(key: &Key) -> Option<EffectiveValue> {
    let (value, origin) = (key.default.to_owned(), "default".to_owned());
    // What a list of tables has without one is nobody's value.
    (!key.default.is_empty() && !key.path.contains("[]")).then(|| EffectiveValue {
        key: key.path.to_owned(),
        value,
        origin,
    })
}

struct Leaves<'a, 'b> {
    text: &'a str,
    problems: &'a Problems,
    resolver: &'a mut Resolver<'b>,
    values: &'a mut Vec<EffectiveValue>,
}

impl Leaves<'_, '_> {
    /// Adds a value, leaf by leaf. What sounds secret is shown as a fingerprint.
    fn add(&mut self, node: &Node, key: &str, secret: bool) {
        if let Some(reference) = secrets::reference(node) {
            if let Some(found) = self.resolver.resolve(&reference, self.problems) {
                self.push(node, key, format!("fingerprint {}", fingerprint(&found)));
            }
            return;
        }
        match &node.item {
            Item::Table(entries) => {
                for entry in entries {
                    let secret = is_secret(&entry.key, entry.node.text(), secret);
                    self.add(&entry.node, &format!("{key}.{}", entry.key), secret);
                }
            }
            Item::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.add(element, &format!("{key}.{index}"), secret);
                }
            }
            Item::String(text) if secret || (text.contains("://") && text.contains('@')) => {
                self.push(node, key, format!("fingerprint {}", fingerprint(&Secret::new(text.clone()))));
            }
            Item::String(text) if text.contains("://") && text.contains('?') => {
                // The query may hold a secret.
                let shown = text.split('?').next().unwrap_or_default();
                let value = format!(
                    "{:?}, fingerprint {}",
                    format!("{shown}?…"),
                    fingerprint(&Secret::new(text.clone()))
                );
                self.push(node, key, value);
            }
            _ => {
                let value = self.text.get(node.span.clone()).unwrap_or_default().to_owned();
                self.push(node, key, value);
            }
        }
    }

    fn push(&mut self, node: &Node, key: &str, value: String) {
        let origin = self.problems.line_of(&node.span);
        self.values.push(EffectiveValue { key: key.to_owned(), value, origin });
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(&self.values, f)
    }
}

impl fmt::Display for AllEffective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# the daemon\n")?;
        list(&self.daemon, f)?;
        for endpoint in &self.endpoints {
            write!(f, "\n# {}\n{endpoint}", endpoint.endpoint)?;
        }
        Ok(())
    }
}

fn list(values: &[EffectiveValue], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let lines: Vec<String> = values.iter().map(|value| format!("{} = {}", value.key, value.value)).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
    for (line, value) in lines.iter().zip(values) {
        writeln!(f, "{line:width$}  # {}", value.origin)?;
    }
    Ok(())
}
