//! The last text of every endpoint file that was found good, kept under the spool's folder: what a bad file falls
//! back to, across restarts too. A text may hold a secret that was written out, so only the owner may read it.

use super::by_name::{ByName, Named};
use super::kept_files::KeptFiles;
use crate::config::{SecretSource, is_endpoint_name, list_toml};
use crate::table::EndpointSpec;
use bytes::{Bytes, BytesMut};
use postrider_sink::SettingsFile;
use rustix::fs::{Mode, OFlags};
use std::collections::HashSet;
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
    stored: ByName<Stored>,
    files: KeptFiles,
    /// Those of which a later text than the stored one was good, and could not be kept.
    behind: HashSet<Arc<str>>,
}

/// A text that is there.
#[derive(Debug, Clone)]
struct Stored {
    name: Arc<str>,
    /// Of the text.
    digest: u64,
}

/// An endpoint whose file was found good.
#[derive(Debug, Clone)]
pub(super) struct Good {
    pub(super) name: Arc<str>,
    /// What is in it.
    pub(super) text: Bytes,
    /// What its sink read besides.
    pub(super) files: Box<[SettingsFile]>,
}

/// Room for texts that are kept for a while, very many of them at a start. Each for itself would lie among what stays,
/// and leave a hole there.
#[derive(Default)]
pub(super) struct Texts(BytesMut);

impl Texts {
    /// Bytes of a piece of it.
    const PIECE: usize = 256 * 1024;

    /// A copy of a text.
    pub(super) fn keep(&mut self, text: &str) -> Bytes {
        let Self(room) = self;
        if room.capacity() - room.len() < text.len() {
            *room = BytesMut::with_capacity(text.len().max(Self::PIECE));
        }
        room.extend_from_slice(text.as_bytes());
        room.split().freeze()
    }
}

impl LastGood {
    /// Opens the folder below the spool's; one that is not there has no texts.
    pub(super) fn open(spool: &Path) -> Self {
        let folder = spool.join("last-good");
        let files = KeptFiles::open(&folder.join("files"));
        let mut last_good = Self { folder, stored: ByName::default(), files, behind: HashSet::new() };
        let stored = |file: &String| {
            let name = file.strip_suffix(".toml")?;
            Some(Stored { name: Arc::from(name), digest: digest(last_good.text(name)?.as_bytes()) })
        };
        last_good.stored =
            list_toml(&last_good.folder).unwrap_or_default().iter().filter_map(stored).collect();
        last_good
    }

    /// Keeps the names of these endpoints in memory once, not twice.
    pub(super) fn share_names(&mut self, endpoints: &ByName<Arc<EndpointSpec>>) {
        for stored in self.stored.iter_mut() {
            if let Some(spec) = endpoints.get(&stored.name) {
                stored.name = Arc::clone(&spec.identity.name);
            }
        }
    }

    /// The names that have a text.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stored.iter().map(Named::name)
    }

    /// Whether there is a text of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.stored.has(name)
    }

    /// Whether the text of this name is older than the last that was good.
    pub(super) fn is_behind(&self, name: &str) -> bool {
        self.behind.contains(name)
    }

    /// Whether this very text is kept.
    pub(super) fn has(&self, name: &str, text: &[u8]) -> bool {
        self.stored.get(name).is_some_and(|stored| stored.digest == digest(text))
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
    /// Where that fails, what is new is not fallen back to before the next time that it succeeds.
    pub(super) fn update(
        &mut self,
        good: &ByName<Good>,
        base: &Path,
        keep: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let updated = self.store(good, base, keep);
        match &updated {
            Ok(()) => self.behind.retain(|name| !good.has(name)),
            Err(_) => self.behind.extend(good.iter().map(|good| good.name.clone())),
        }
        updated
    }

    fn store(&mut self, good: &ByName<Good>, base: &Path, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        if good.iter().any(|good| !good.files.is_empty()) {
            create_folder(&self.folder.join("files"))?;
        }
        let files: Vec<_> = good.iter().map(|good| (good.name.clone(), good.files.to_vec())).collect();
        self.files.update(&files, base, &keep)?;
        let new: Vec<_> = good.iter().filter(|good| !self.has(&good.name, &good.text)).collect();
        let gone: Vec<Arc<str>> = self.names().filter(|name| !keep(name)).cloned().collect();
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        create_folder(&self.folder)?;
        let folder = File::open(&self.folder)?;
        let many = new.len() >= MANY;
        for Good { name, text, .. } in &new {
            let mut file = create_private(&self.temporary(name))?;
            file.write_all(text)?;
            if !many {
                file.sync_all()?;
            }
        }
        if many {
            rustix::fs::syncfs(&folder)?;
        }
        let (mut placed, mut removed) = (Vec::new(), HashSet::new());
        let in_place = self.put_in_place(&new, gone, &mut placed, &mut removed);
        let before = std::mem::take(&mut self.stored).into_iter();
        self.stored = before.filter(|stored| !removed.contains(&stored.name)).chain(placed).collect();
        in_place?;
        folder.sync_all()
    }

    /// Gives the new texts their names and removes those that are gone, as far as that goes.
    fn put_in_place(
        &self,
        new: &[&Good],
        gone: Vec<Arc<str>>,
        placed: &mut Vec<Stored>,
        removed: &mut HashSet<Arc<str>>,
    ) -> io::Result<()> {
        for Good { name, text, .. } in new {
            std::fs::rename(self.temporary(name), self.path(name))?;
            placed.push(Stored { name: name.clone(), digest: digest(text) });
        }
        for name in gone {
            match std::fs::remove_file(self.path(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => removed.insert(name),
            };
        }
        Ok(())
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.new"))
    }
}

impl Named for Stored {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Named for Good {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

fn digest(text: &[u8]) -> u64 {
    xxh3_64(text)
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
