use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A file that belongs to the settings of a sink, as it was when they were read. Cheap to clone.
#[derive(Clone)]
pub struct SettingsFile(Arc<Inner>);

struct Inner {
    path: String,
    content: Bytes,
    digest: u128,
}

impl SettingsFile {
    /// The most one may hold: 64 MiB.
    pub const MOST: u64 = 64 << 20;

    /// The file that the settings call `path`, and what is in it.
    #[must_use]
    pub fn new(path: String, content: Bytes) -> Self {
        let digest = xxhash_rust::xxh3::xxh3_128(&content);
        Self(Arc::new(Inner { path, content, digest }))
    }

    /// As the settings name it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is in it.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.0.content
    }

    /// Whether another clone of it exists.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// A number that changes with the content, for telling two apart. Not a proof against somebody who makes two alike.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.0.digest
    }
}

impl PartialEq for SettingsFile {
    fn eq(&self, other: &Self) -> bool {
        self.0.path == other.0.path && self.0.digest == other.0.digest
    }
}

impl Eq for SettingsFile {}

impl fmt::Debug for SettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:032x})", self.0.path, self.0.digest)
    }
}
