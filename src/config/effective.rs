//! What holds for one endpoint: every value with the place it comes from, secrets as fingerprints.

use super::error::{ConfigError, ConfigErrors};
use super::keys::{DELIVERY, ENDPOINT, Key};
use super::load::Loader;
use super::mask::is_secret_name;
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

/// What holds for the endpoint called `name`.
///
/// # Errors
/// Everything that is wrong with the daemon's file or the endpoint's.
pub fn effective(loader: &Loader, name: &str) -> Result<Effective, ConfigErrors> {
    let files = loader.read();
    let folder = loader.endpoints_folder();
    let endpoints = files.endpoints.map_err(|error| ConfigErrors(vec![*error]))?;
    let file = endpoints.into_iter().find(|file| file.name.as_ref() == name).ok_or_else(|| {
        let path = folder.join(format!("{name}.toml"));
        ConfigErrors(vec![ConfigError::about(&path.to_string_lossy(), "there is no such endpoint file")])
    })?;
    let text = file.text.map_err(|error| ConfigErrors(vec![*error]))?;
    effective_of(loader, name, &text)
}

/// What holds for an endpoint with this text.
///
/// # Errors
/// Everything that is wrong with the daemon's file or the text.
pub fn effective_of(loader: &Loader, name: &str, text: &str) -> Result<Effective, ConfigErrors> {
    let daemon = loader.daemon_now();
    let Some(config) = daemon.valid() else { return Err(ConfigErrors(daemon.errors)) };
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
                SinkValues { text: &text, problems: &own, resolver: &mut resolver, values: &mut values };
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

struct SinkValues<'a, 'b> {
    text: &'a str,
    problems: &'a Problems,
    resolver: &'a mut Resolver<'b>,
    values: &'a mut Vec<EffectiveValue>,
}

impl SinkValues<'_, '_> {
    /// Adds a value of a sink's table, leaf by leaf. What sounds secret is shown as a fingerprint.
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
                    self.add(&entry.node, &format!("{key}.{}", entry.key), is_secret_name(&entry.key));
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
        let lines: Vec<String> =
            self.values.iter().map(|value| format!("{} = {}", value.key, value.value)).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
        for (line, value) in lines.iter().zip(&self.values) {
            writeln!(f, "{line:width$}  # {}", value.origin)?;
        }
        Ok(())
    }
}
