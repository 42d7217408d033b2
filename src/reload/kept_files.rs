//! The files that an endpoint's sink was found good with, beside its last good text: a file that is bad now does not take
//! the endpoint away at the next start. Each is named after the endpoint, its path and its content.

use super::last_good::create_private;
use crate::config::SecretSource;
use postrider_sink::SettingsFile;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The folder of kept files.
#[derive(Debug)]
pub(super) struct KeptFiles {
    folder: PathBuf,
    /// Digests of what is stored, by endpoint and path.
    stored: BTreeMap<(Arc<str>, u64), u128>,
}

fn key(path: &Path) -> u64 {
    xxh3_64(path.as_os_str().as_bytes())
}

impl KeptFiles {
    /// Opens the folder; one that is not there has no files.
    pub(super) fn open(folder: &Path) -> Self {
        let mut stored = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut parts = name.rsplitn(3, '.');
            let digest = parts.next().and_then(|text| u128::from_str_radix(text, 16).ok());
            let path = parts.next().and_then(|text| u64::from_str_radix(text, 16).ok());
            if let (Some(digest), Some(path), Some(endpoint)) = (digest, path, parts.next()) {
                stored.insert((Arc::from(endpoint), path), digest);
            }
        }
        Self { folder: folder.to_owned(), stored }
    }

    fn path(&self, (name, path): &(Arc<str>, u64), digest: u128) -> PathBuf {
        self.folder.join(format!("{name}.{path:016x}.{digest:032x}"))
    }

    /// Where an endpoint's sink gets its files from to be what it was: from here, and what is not here from `others`.
    pub(super) fn of(&self, name: &Arc<str>, others: Arc<dyn SecretSource>) -> Arc<dyn SecretSource> {
        let mine = self.stored.iter().filter(|((endpoint, _), _)| endpoint == name);
        let mine = mine.map(|(at, digest)| (at.1, (self.path(at, *digest), *digest))).collect();
        Arc::new(AsItWas { mine, others })
    }

    /// Stores the files that are new, durably, and forgets those of names that `keep` does not hold for, and those that a
    /// good endpoint does not name any more. Their paths start at `base`.
    pub(super) fn update(
        &mut self,
        good: &[(Arc<str>, Vec<SettingsFile>)],
        base: &Path,
        keep: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let mut wanted: BTreeMap<(Arc<str>, u64), u128> = self
            .stored
            .iter()
            .filter(|((name, _), _)| keep(name))
            .map(|(at, it)| (at.clone(), *it))
            .collect();
        for (name, files) in good {
            wanted.retain(|(endpoint, _), _| endpoint != name);
            for file in files {
                let at = (name.clone(), key(&base.join(file.path())));
                if self.stored.get(&at) != Some(&file.digest()) {
                    let path = self.path(&at, file.digest());
                    let unfinished = path.with_extension("new");
                    let mut to = create_private(&unfinished)?;
                    to.write_all(file.content())?;
                    to.sync_all()?;
                    std::fs::rename(unfinished, path)?;
                }
                wanted.insert(at, file.digest());
            }
        }
        for (at, digest) in self.stored.iter().filter(|(at, digest)| wanted.get(at) != Some(digest)) {
            match std::fs::remove_file(self.path(at, *digest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.stored = wanted;
        Ok(())
    }
}

struct AsItWas {
    mine: BTreeMap<u64, (PathBuf, u128)>,
    others: Arc<dyn SecretSource>,
}

impl SecretSource for AsItWas {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.others.file(path)
    }

    fn settings_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        let kept = self.mine.get(&key(path)).and_then(|(kept, digest)| {
            let content = std::fs::read(kept).ok()?;
            (xxhash_rust::xxh3::xxh3_128(&content) == *digest).then_some(content)
        });
        kept.map_or_else(|| self.others.settings_file(path), Ok)
    }

    fn env(&self, name: &str) -> Option<OsString> {
        self.others.env(name)
    }
}
