//! A new database from all that is whole and belongs together.
//!
//! It is made beside the old one; its name says when it is complete, and from then on an interruption is made up for
//! by whoever opens the spool next. Database and log as they were are kept aside.

use super::image::{
    self, COUNTERS, DEAD, DEAD_ORDER, DEDUP, DEDUP_ORDER, DELIVERIES, ENDPOINTS, EVENTS, HISTORY,
    HISTORY_INDEX, Image, Known, META, PARKED, REFS,
};
use super::physical::{self, Row};
use super::{Content, Damage, merge};
use crate::ids::{EndpointUid, Seq};
use crate::spool::EndpointState;
use crate::spool::codec::split_seq_key;
use crate::spool::folder::{LOG, forget_numbers};
use crate::spool::record::{DeadRow, DedupRow, DeliveryRow, KeyAge, RefsRow, encode_endpoint, endpoint_key};
use crate::spool::store::end::{self, End};
use crate::spool::store::{Base, FOLDED, RECOUNT, log};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const BEGUN: &str = "repairing-store";
const COMPLETE: &str = "repaired-store";
/// In a folder that was set aside: what is readable in it was brought back.
pub(super) const RESTORED: &str = "RESTORED";
/// Bytes of rows written together.
const BYTES: usize = 512 * 1024;

/// What a repair came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Repaired {
    /// Something was wrong, and is not any more.
    pub mended: bool,
    /// What was wrong.
    pub damage: Vec<Damage>,
    /// What there is now.
    pub kept: Content,
    /// Deliveries and dead letters that were brought back from folders set aside before.
    pub brought_back: u64,
    /// Deliveries and dead letters in those folders that are not whole.
    pub lost_aside: u64,
    /// Where database and log lie as they were.
    pub aside: Vec<String>,
}

/// Rows on their way into the new database.
pub(super) struct Rows {
    base: Base,
    rows: Vec<(usize, Vec<u8>, Vec<u8>)>,
    bytes: usize,
    failed: Option<fjall::Error>,
    /// The first sequence and the first place among dead letters that nothing here uses.
    pub(super) free: (u64, u64),
}

impl Rows {
    pub(super) fn set(&mut self, space: usize, key: &[u8], row: &[u8]) {
        self.bytes += key.len() + row.len();
        self.rows.push((space, key.to_vec(), row.to_vec()));
        if self.bytes > BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if self.failed.is_none() {
            self.failed = self.base.set(rows).err();
        }
    }

    fn end(mut self) -> fjall::Result<()> {
        self.flush();
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.base.sync(),
        }
    }
}

/// Makes the database anew from what is whole in database and log, and in these folders that were set aside.
pub(in crate::spool) fn rebuild(path: &Path, aside: &[PathBuf], now_ms: u64) -> fjall::Result<Repaired> {
    let (store, log) = (path.join("store"), path.join("log"));
    let (begun, complete) = (path.join(BEGUN), path.join(COMPLETE));
    if begun.exists() {
        fs::remove_dir_all(&begun)?;
    }
    let (image, damage) = image::read(path)?;
    let mut rows = Rows { base: Base::open(&begun)?, rows: Vec::new(), bytes: 0, failed: None, free: (0, 0) };
    let refs = image.refs();
    let mut names = merge::Names::above(&image);
    physical::rows(&store, &log, &mut |row| {
        if image.is_newest(&row) {
            names.see(&row);
            keep(&image, &refs, &row, &mut rows);
        }
    })?;
    for (seq, refs) in &refs {
        if image.event(*seq).is_some_and(|(targets, _)| targets > 1) {
            rows.set(REFS, &seq.0.to_be_bytes(), &refs.encode());
        }
    }
    for uid in nameless(&image) {
        let identity = merge::nameless(uid);
        let row = encode_endpoint(Some(&identity), EndpointState::default());
        rows.set(ENDPOINTS, &endpoint_key(uid), &row);
        names.add(uid, identity);
    }
    let mut repaired = Repaired { mended: true, ..Repaired::default() };
    for folder in aside {
        let merged = merge::merge(&image, folder, &mut names, &mut rows)?;
        repaired.brought_back += merged.0;
        repaired.lost_aside += merged.1;
    }
    let end = end::read(&log).ok().flatten().unwrap_or_default();
    rows.set(META, RECOUNT, &[1]);
    rows.set(META, FOLDED, &end.folded.to_le_bytes());
    rows.end()?;
    let mut number = end.number;
    if log.exists() {
        number = log::look(&log::segments(&log)?, end.number, log::SEGMENT, &mut |_, _| {})?;
    }
    end::write(&begun, End { number, folded: end.folded })?;
    // Which numbers were given is lost: some may be given again.
    if !matches!(image.get(META, b"totals"), Some(Known::Totals(_))) {
        forget_numbers(path)?;
    }
    fs::rename(&begun, &complete)?;
    File::open(path)?.sync_all()?;
    repaired.kept = image.content(&mut Vec::new());
    repaired.damage = damage;
    for part in aside.iter().flat_map(|folder| merge::parts(folder)).filter(|part| part.is_dir()) {
        File::create(part.join(RESTORED))?.sync_all()?;
    }
    repaired.aside = finish(path, now_ms)?.iter().map(|path| physical::name(path)).collect();
    Ok(repaired)
}

/// Whose deliveries and letters are there and their names are not. They get names that no file can have: what waits for
/// them ends as dead letters, as for an endpoint whose file is gone, and their numbers are given to nobody else.
fn nameless(image: &Image) -> BTreeSet<EndpointUid> {
    let waiting = image.waiting().map(|(uid, ..)| uid);
    let all = waiting.chain(image.dead().map(|(uid, ..)| uid));
    let named = |uid: &EndpointUid| {
        image.get(ENDPOINTS, &endpoint_key(*uid)).is_some_and(|known| known != Known::Broken)
    };
    all.filter(|uid| !named(uid)).collect()
}

/// Puts a database that a repair has completed in the place of the old one. Where that one lies now.
pub(in crate::spool) fn finish(path: &Path, now_ms: u64) -> io::Result<Vec<PathBuf>> {
    let complete = path.join(COMPLETE);
    let mut aside = Vec::new();
    if !complete.exists() {
        return Ok(aside);
    }
    let (store, log) = (path.join("store"), path.join("log"));
    if store.exists() {
        aside.push(put_aside(path, &store, "", now_ms)?);
    }
    if log.exists() && !log::segments(&log)?.is_empty() {
        aside.push(put_aside(path, &log, LOG, now_ms)?);
    }
    fs::create_dir_all(&log)?;
    if let Some(end) = end::read(&complete)? {
        end::write(&log, end)?;
    }
    fs::rename(&complete, &store)?;
    match fs::remove_file(store.join(end::NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::open(path)?.sync_all()?;
    Ok(aside)
}

fn put_aside(path: &Path, from: &Path, what: &str, now_ms: u64) -> io::Result<PathBuf> {
    File::create(from.join(RESTORED))?.sync_all()?;
    let names = (1..).map(|turn| match turn {
        1 => format!("damaged-{}{what}", now_ms / 1000),
        turn => format!("damaged-{}-{turn}{what}", now_ms / 1000),
    });
    let target = names.map(|name| path.join(name)).find(|target| !target.exists());
    let target = target.ok_or_else(|| io::Error::other("there is no name left"))?;
    fs::rename(from, &target)?;
    File::open(path)?.sync_all()?;
    Ok(target)
}

/// Keeps a row that is whole and belongs to others that are, and what follows from it.
fn keep(image: &Image, refs: &BTreeMap<Seq, RefsRow>, row: &Row<'_>, rows: &mut Rows) {
    let Some(bytes) = row.row else { return };
    let known = image.get(row.space, row.key).unwrap_or(Known::Broken);
    let whole = known != Known::Broken;
    match row.space {
        EVENTS if whole && split_seq_key(row.key).is_some_and(|seq| refs.contains_key(&Seq(seq))) => {
            rows.set(EVENTS, row.key, bytes);
        }
        DELIVERIES => {
            let Known::Delivery(delivery) = known else { return };
            if has_event(image, row.key) {
                delivery_row(row.key, &delivery, rows);
            }
        }
        DEAD => {
            let dead = DeadRow::decode(bytes).filter(|_| has_event(image, row.key));
            if let Some(dead) = dead {
                rows.set(DEAD, row.key, bytes);
                rows.set(DEAD_ORDER, &dead.order.to_be_bytes(), row.key);
            }
        }
        DEDUP => {
            if let Some(dedup) = DedupRow::decode(bytes) {
                dedup_row(row.key, &dedup, rows);
            }
        }
        HISTORY | HISTORY_INDEX | ENDPOINTS | COUNTERS if whole => rows.set(row.space, row.key, bytes),
        META if whole && row.key == b"totals" => rows.set(META, row.key, bytes),
        _ => {}
    }
}

fn has_event(image: &Image, key: &[u8]) -> bool {
    key.get(4..).and_then(split_seq_key).is_some_and(|seq| image.event(Seq(seq)).is_some())
}

pub(super) fn delivery_row(key: &[u8], delivery: &DeliveryRow, rows: &mut Rows) {
    rows.set(DELIVERIES, key, &delivery.encode());
    if delivery.parked.is_some() {
        rows.set(PARKED, key, &delivery.encode());
    }
}

pub(super) fn dedup_row(key: &[u8], dedup: &DedupRow, rows: &mut Rows) {
    let Ok(key) = key.try_into() else { return };
    let DedupRow { accepted_ms, order, .. } = *dedup;
    let age = KeyAge { key, accepted_ms, order };
    rows.set(DEDUP, &key, &dedup.encode());
    rows.set(DEDUP_ORDER, &order.to_be_bytes(), &KeyAge::encode(order, &[age]));
}
