//! The last text of every endpoint file that was found good, kept under the spool's folder: what a bad file falls
//! back to, across restarts too. A text may hold a secret that was written out, so only the owner may read it.

use super::kept_files::KeptFiles;
use crate::config::{SecretSource, is_endpoint_name, list_toml};
use postrider_sink::SettingsFile;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// From so many files on, one sync of the whole file system is cheaper than one for each.
const MANY: usize = 32;

/// The folder of last good texts.
#[derive(Debug)]
pub struct LastGood {
    folder: PathBuf,
    /// Digests of what is stored, by name.
    stored: HashMap<Arc<str>, u64>,
    files: KeptFiles,
}

/// An endpoint whose file was found good.
#[derive(Debug, Clone)]
pub(super) struct Good {
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
    /// What its sink read besides.
    pub(super) files: Vec<SettingsFile>,
}

impl LastGood {
    /// Opens the folder below the spool's; one that is not there has no texts.
    pub(super) fn open(spool: &Path) -> Self {
        let folder = spool.join("last-good");
        let files = KeptFiles::open(&folder.join("files"));
        let mut last_good = Self { folder, stored: HashMap::new(), files };
        for file in list_toml(&last_good.folder).unwrap_or_default() {
            let Some(name) = file.strip_suffix(".toml") else { continue };
            if let Some(text) = last_good.text(name) {
                last_good.stored.insert(Arc::from(name), xxh3_64(text.as_bytes()));
            }
        }
        last_good
    }

    /// The names that have a text.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stored.keys()
    }

    /// Whether this very text is kept. What a sink read besides is not looked at: then no.
    pub(super) fn has(&self, good: &Good) -> bool {
        good.files.is_empty() && self.stored.get(&good.name) == Some(&xxh3_64(good.text.as_bytes()))
    }

    /// The file of a name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    /// The text of a name.
    pub(super) fn text(&self, name: &str) -> Option<Arc<str>> {
        is_endpoint_name(name).then(|| std::fs::read_to_string(self.path(name)).ok().map(Arc::from))?
    }

    /// What the sink of a name read besides, as it was then; what is not kept comes from `others`.
    pub(super) fn files(&self, name: &Arc<str>, others: Arc<dyn SecretSource>) -> Arc<dyn SecretSource> {
        self.files.of(name, others)
    }

    /// Stores what is new, durably, and forgets the names that `keep` does not hold for. Paths of files start at `base`.
    pub(super) fn update(
        &mut self,
        good: &[Good],
        base: &Path,
        keep: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        if good.iter().any(|good| !good.files.is_empty()) {
            create_folder(&self.folder.join("files"))?;
        }
        let files: Vec<_> = good.iter().map(|good| (good.name.clone(), good.files.clone())).collect();
        self.files.update(&files, base, &keep)?;
        let digest = |text: &str| xxh3_64(text.as_bytes());
        let new: Vec<_> =
            good.iter().filter(|good| self.stored.get(&good.name) != Some(&digest(&good.text))).collect();
        let gone: Vec<Arc<str>> = self.stored.keys().filter(|name| !keep(name)).cloned().collect();
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        create_folder(&self.folder)?;
        let folder = File::open(&self.folder)?;
        let many = new.len() >= MANY;
        for Good { name, text, .. } in &new {
            let mut file = create_private(&self.temporary(name))?;
            file.write_all(text.as_bytes())?;
            if !many {
                file.sync_all()?;
            }
        }
        if many {
            rustix::fs::syncfs(&folder)?;
        }
        for Good { name, text, .. } in new {
            std::fs::rename(self.temporary(name), self.path(name))?;
            self.stored.insert(name.clone(), digest(text));
        }
        for name in gone {
            match std::fs::remove_file(self.path(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.stored.remove(&name),
            };
        }
        folder.sync_all()
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.new"))
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A fresh file that only its owner may read.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
}
