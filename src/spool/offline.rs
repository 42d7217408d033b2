//! A spool that no daemon holds: what is wrong with it, what of it can be kept, and what waits in it.
//!
//! All three read the files themselves, block by block and record by record, so that a database that cannot be opened
//! is read as well as one that can. [`check`] changes nothing. [`repair`] writes all rows that are whole and belong
//! together to a new database, puts database and log aside as they were, and can be interrupted at any point.
//! [`export`] hands out what waits.
//!
//! Keys are held in memory while they read, about a hundred bytes for a row.

mod export;
mod image;
mod merge;
mod physical;
mod rebuild;
mod table;
mod tree;

pub use export::Exported;
pub use rebuild::Repaired;

use super::folder::{Folder, Format, OpenError};
use serde::Serialize;
use std::path::Path;

pub(super) use physical::{first_look, is_damaged};
pub(super) use rebuild::{finish, rebuild};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file, from the spool's folder on; a kind of rows where no single file is to blame.
    pub file: String,
    /// From which byte on, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What it costs.
    pub cost: String,
}

impl Damage {
    pub(super) fn new(file: impl Into<String>, at: Option<u64>, what: &str, cost: &str) -> Self {
        Self { file: file.into(), at, what: what.to_owned(), cost: cost.to_owned() }
    }
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Content {
    /// Deliveries that wait and are whole.
    pub waiting: u64,
    /// Dead letters that are whole.
    pub dead_letters: u64,
    /// Idempotency keys.
    pub dedup_keys: u64,
    /// Blocks of history.
    pub history_blocks: u64,
    /// Endpoints that are known by name.
    pub endpoints: u64,
    /// Deliveries and dead letters that are known to be lost.
    pub lost: u64,
    /// Records that a daemon has set aside because a byte of them was wrong.
    pub set_aside: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What is wrong; nothing, if the spool is whole.
    pub damage: Vec<Damage>,
    /// What there is.
    pub content: Content,
    /// Folders that were set aside, and whose rows were not brought back.
    pub aside: Vec<String>,
}

/// Looks at everything in a spool's folder, and changes nothing.
///
/// # Errors
/// There is none, another process holds it, another version wrote it, or it cannot be read.
pub fn check(path: &Path) -> Result<Checked, OpenError> {
    let folder = Folder::hold(path)?;
    let io = |source| OpenError::Io { action: "read", path: path.to_owned(), source };
    let (image, mut damage) = image::read(path).map_err(io)?;
    if folder.format() == Format::Damaged {
        damage.insert(0, Damage::new("FORMAT", None, "it is not what was written", "nothing"));
    }
    let content = image.content(&mut damage);
    let aside = merge::left(path).map_err(io)?.iter().map(|path| physical::name(path)).collect();
    Ok(Checked { damage, content, aside })
}

/// Keeps what is readable of a spool, sets the rest aside, and brings back what is readable in folders that were set
/// aside before. A spool that is whole is left as it is.
///
/// # Errors
/// As [`check`], or the disk has no room for it.
pub fn repair(path: &Path, now_ms: u64) -> Result<Repaired, OpenError> {
    let folder = Folder::hold(path)?;
    let io = |source| OpenError::Io { action: "repair", path: path.to_owned(), source };
    folder.claim(now_ms);
    finish(path, now_ms).map_err(io)?;
    let checked = {
        let (image, mut damage) = image::read(path).map_err(io)?;
        let content = image.content(&mut damage);
        Checked { damage, content, aside: Vec::new() }
    };
    if folder.format() == Format::Damaged {
        folder.write_format().map_err(io)?;
    }
    let aside = merge::left(path).map_err(io)?;
    if checked.damage.is_empty() && aside.is_empty() {
        let mended = folder.format() == Format::Damaged;
        return Ok(Repaired { mended, kept: checked.content, ..Repaired::default() });
    }
    let mut repaired = rebuild(path, &aside, now_ms).map_err(|error| OpenError::Store(error.to_string()))?;
    repaired.damage = checked.damage;
    Ok(repaired)
}

/// Hands out what waits, and with `dead` the dead letters, in order of acceptance; what is damaged is left out. Says
/// how many were.
///
/// # Errors
/// As [`check`], or what `each` answers.
pub fn export(
    path: &Path,
    dead: bool,
    each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
) -> Result<u64, OpenError> {
    let _folder = Folder::hold(path)?;
    export::export(path, dead, each).map_err(|source| OpenError::Io {
        action: "export",
        path: path.to_owned(),
        source,
    })
}
