//! Opens what lies in a spool's folder: what of it is damaged is left out, what cannot be opened is put aside.

use super::folder::{Folder, OpenError};
use super::meters::Meters;
use super::offline;
use super::record::Totals;
use super::store::{Base, Store, Ways};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A database that is open.
struct Opened {
    base: Base,
    /// All of it is there.
    whole: bool,
    /// Where the one lies that could not be opened, if this one is new.
    aside: Option<PathBuf>,
}

/// Opens the store. What of it is damaged is left out, what cannot be opened is put aside.
pub(super) fn open_store(
    folder: &Folder,
    ways: &Ways,
    meters: &Meters,
    now_ms: u64,
) -> Result<Store, OpenError> {
    let io = |source| OpenError::Io { action: "repair", path: folder.path().to_owned(), source };
    offline::finish(folder.path(), now_ms).map_err(io)?;
    let mut mended = false;
    if let Some(damage) = offline::first_look(&folder.store(), &folder.log()).map_err(io)?.first() {
        meters.open_errors.increment(1);
        mended = mend(folder.path(), &format!("{}: {}", damage.file, damage.what), now_ms);
    }
    let store = open_found(folder, ways, meters, now_ms)?;
    let Err(error) = store.probe() else { return Ok(store) };
    if mended {
        return Err(OpenError::Store(error.to_string()));
    }
    meters.open_errors.increment(1);
    drop(store);
    mend(folder.path(), &error.to_string(), now_ms);
    open_found(folder, ways, meters, now_ms)
}

/// Makes the database anew from what is readable. False: it could not be, and is as it was.
pub(super) fn mend(path: &Path, error: &str, now_ms: u64) -> bool {
    tracing::error!(
        error,
        "the spool's database is damaged: all that is readable of it is brought into a new one"
    );
    match offline::rebuild(path, &[], now_ms) {
        Ok(repaired) => {
            let aside = repaired.aside.join(", ");
            let (waiting, lost) = (repaired.kept.waiting, repaired.kept.lost);
            tracing::error!(waiting, lost, aside, "the spool was repaired; what it was is kept aside");
            true
        }
        Err(error) => {
            tracing::error!(%error, "the spool could not be repaired");
            false
        }
    }
}

fn open_found(folder: &Folder, ways: &Ways, meters: &Meters, now_ms: u64) -> Result<Store, OpenError> {
    let Opened { base, whole, aside: database } = open_base(folder, meters, now_ms)?;
    let error = match Store::over(base.clone(), &folder.log(), ways, !whole) {
        Ok(store) => {
            if store.unsynced {
                tracing::error!("the spool's log cannot be synced: what it holds is written to the database");
                store.settle_down().map_err(|error| OpenError::Store(error.to_string()))?;
            }
            return Ok(store);
        }
        Err(error) => error,
    };
    meters.open_errors.increment(1);
    let path = folder.log();
    // Before it goes aside: a power cut between the two would leave it without.
    if database.is_none()
        && let Err(error) = note_numbers(&base, folder)
    {
        tracing::error!(%error, "whose deliveries that log has cannot be noted: a repair will not know all of them");
    }
    let aside = folder.set_log_aside(database.as_deref(), now_ms).map_err(|source| OpenError::Io {
        action: "set aside the damaged log",
        path: path.clone(),
        source,
    })?;
    tracing::error!(%error, aside = %aside.display(),
        "the spool's log cannot be read: it is set aside whole, nothing in it is delivered");
    Store::over(base, &path, ways, true).map_err(|error| OpenError::Store(error.to_string()))
}

/// Notes in a log that is to be set aside alone which endpoints have the same number in the database that stays: those
/// it knows of now. The numbers after them are given anew.
fn note_numbers(base: &Base, folder: &Folder) -> io::Result<()> {
    let totals = base.meta(b"totals").map_err(|error| io::Error::other(error.to_string()))?;
    let known = totals.and_then(|row| Totals::decode(&row)).unwrap_or_default();
    folder.note_numbers(known.next_uid)
}

/// Opens the database. One that cannot be opened is set aside whole, and an empty one takes its place.
fn open_base(folder: &Folder, meters: &Meters, now_ms: u64) -> Result<Opened, OpenError> {
    // Damaged files may fail an assertion inside the database: that, too, only means that it cannot be opened.
    let open = || match catch_unwind(AssertUnwindSafe(|| Base::open(&folder.store()))) {
        Ok(Ok(base)) => Ok(base),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    };
    let opened = |base, whole| Opened { base, whole, aside: None };
    let mut error = match open() {
        Ok(base) => return Ok(opened(base, true)),
        Err(error) => error,
    };
    meters.open_errors.increment(1);
    if let Ok(copies) = folder.repair_journals(now_ms)
        && let Some(copy) = copies.first()
    {
        tracing::error!(%error, copy = %copy.display(),
            "batches of the database's journal are not whole and are left out, a copy is kept aside; \
             where a power cut tore them, the log has their content and nothing is lost");
        error = match open() {
            Ok(base) => return Ok(opened(base, false)),
            Err(error) => error,
        };
    }
    if mend(folder.path(), &error, now_ms) {
        error = match open() {
            Ok(base) => return Ok(opened(base, false)),
            Err(error) => error,
        };
    }
    let path = folder.store();
    let aside = folder.set_store_aside(now_ms);
    let aside =
        aside.map_err(|source| OpenError::Io { action: "set aside the damaged store", path, source })?;
    tracing::error!(%error, aside = %aside.display(),
        "the spool's database cannot be opened: it is set aside whole, nothing in it is delivered; what the log has is kept");
    let base = open().map_err(OpenError::Store)?;
    Ok(Opened { base, whole: false, aside: Some(aside) })
}
