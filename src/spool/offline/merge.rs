//! Brings back what a start has set aside whole: a database that could not be opened, or a log.
//!
//! The spool has gone on without it and may have used its numbers again. So its events come back as new ones, with
//! their ids, ages and attempts, for the endpoints of the same names. An endpoint whose name is lost gets one that no
//! file can have.

#[cfg(test)]
mod tests;

use super::image::{
    self, COUNTERS, DEAD, DEAD_ORDER, DEDUP, DELIVERIES, ENDPOINTS, EVENTS, Image, Known, META, PARKED, REFS,
};
use super::physical::{self, Row};
use super::rebuild::{RESTORED, Rows, dedup_row, delivery_row};
use crate::ids::{EndpointUid, Identity, Seq};
use crate::spool::codec::{delivery_key, split_delivery_key, split_seq_key};
use crate::spool::folder::{LOG, NUMBERS};
use crate::spool::record::{
    DeadRow, DedupRow, Totals, decode_endpoint, decode_event, encode_endpoint, encode_event, endpoint_key,
};
use crate::spool::{EndpointState, StoredEvent};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folders that were set aside and not brought back.
pub(super) fn left(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("damaged-"));
        if named && path.is_dir() && !path.join(RESTORED).exists() {
            left.push(path);
        }
    }
    left.sort();
    // Read together with its database.
    let logs: Vec<PathBuf> =
        left.iter().filter(|path| path.join("keyspaces").exists()).filter_map(|path| beside(path)).collect();
    left.retain(|path| !logs.contains(path));
    Ok(left)
}

/// Database and log of what was set aside; where there is only one of them, the other names nothing.
pub(super) fn parts(folder: &Path) -> [PathBuf; 2] {
    let nothing = folder.join("nothing");
    if !folder.join("keyspaces").exists() {
        return [nothing, folder.to_owned()];
    }
    let log = beside(folder).filter(|log| log.is_dir() && !log.join(RESTORED).exists());
    [folder.to_owned(), log.unwrap_or(nothing)]
}

/// Where the log of a database lies that was set aside with it.
fn beside(folder: &Path) -> Option<PathBuf> {
    Some(folder.with_file_name(format!("{}{LOG}", folder.file_name()?.to_str()?)))
}

/// Adds the rows of a folder that was set aside. How many deliveries and dead letters that were, and how many more
/// there are that are not whole.
pub(super) fn merge(
    now: &Image,
    folder: &Path,
    names: &mut Names,
    rows: &mut Rows,
) -> io::Result<(u64, u64)> {
    let [store, log] = parts(folder);
    let (store, log) = (&*store, &*log);
    let (then, _) = image::of(store, log)?;
    let content = then.content(&mut Vec::new());
    let mut former = Former::of(store, log)?;
    let refs = then.refs();
    let first = rows.next_seq(now);
    let seqs: BTreeMap<Seq, Seq> = (first..).zip(refs.keys()).map(|(new, old)| (*old, Seq(new))).collect();
    let mut fresh = first + seqs.len() as u64;
    let mut letters = rows.next_dead(now);
    let mut back = 0;
    physical::rows(store, log, &mut |row| {
        let (true, Some(bytes)) = (then.is_newest(&row), row.row) else { return };
        match row.space {
            EVENTS => {
                let Some(old) = split_seq_key(row.key).map(Seq) else { return };
                let event = decode_event(old, &Bytes::copy_from_slice(bytes));
                let (Some(new), Some(event)) = (seqs.get(&old), event) else { return };
                let mut record = Vec::new();
                encode_event(&StoredEvent { seq: *new, ..event }, &mut record);
                rows.set(EVENTS, &new.0.to_be_bytes(), &record);
            }
            DELIVERIES | DEAD => {
                let known = then.get(row.space, row.key);
                let whole = matches!(known, Some(Known::Delivery(_) | Known::Dead { .. }));
                let (true, Some((uid, old))) = (whole, split_delivery_key(row.key)) else { return };
                let Some(new) = seqs.get(&old) else { return };
                let key = delivery_key(names.number(uid, &mut former, now, rows), *new);
                if let Some(Known::Delivery(delivery)) = known {
                    delivery_row(&key, &delivery, rows);
                } else if let Some(dead) = DeadRow::decode(bytes) {
                    rows.set(DEAD, &key, &DeadRow { order: letters, ..dead }.encode());
                    rows.set(DEAD_ORDER, &letters.to_be_bytes(), &key);
                    letters += 1;
                }
                back += 1;
            }
            DEDUP if now.get(DEDUP, row.key).is_none() => {
                if let Some(dedup) = DedupRow::decode(bytes) {
                    dedup_row(row.key, &DedupRow { order: fresh, ..dedup }, rows);
                    fresh += 1;
                }
            }
            _ => {}
        }
    })?;
    for (old, new) in &seqs {
        if let Some(refs) = refs.get(old).filter(|_| then.event(*old).is_some_and(|(targets, _)| targets > 1))
        {
            rows.set(REFS, &new.0.to_be_bytes(), &refs.encode());
        }
    }
    rows.used(fresh, letters);
    Ok((back, content.lost + (content.waiting + content.dead_letters).saturating_sub(back)))
}

/// The endpoints there are now, those included that come with what is brought back.
pub(super) struct Names {
    now: HashMap<Identity, EndpointUid>,
    /// Nothing uses this number, nor those after it.
    next: u32,
}

impl Names {
    /// Before any is known by name.
    pub(super) fn above(now: &Image) -> Self {
        let spaces = [DELIVERIES, PARKED, DEAD, ENDPOINTS, COUNTERS];
        let keys = spaces.into_iter().flat_map(|space| now.rows(space)).map(|(key, _)| key);
        let used = keys.filter_map(|key| key.first_chunk::<4>()).map(|uid| u32::from_be_bytes(*uid)).max();
        let given = match now.get(META, b"totals") {
            Some(Known::Totals(Totals { next_uid, .. })) => next_uid,
            _ => 1,
        };
        Self { now: HashMap::new(), next: used.map_or(1, |last| last.saturating_add(1)).max(given) }
    }

    /// Takes up a row, if it names an endpoint.
    pub(super) fn see(&mut self, row: &Row<'_>) {
        if row.space == ENDPOINTS
            && let Some((uid, identity)) = named(row.key, row.row)
        {
            self.add(uid, identity);
        }
    }

    /// An endpoint is called so. Of two of one name the later counts, as for the daemon.
    pub(super) fn add(&mut self, uid: EndpointUid, identity: Identity) {
        let known = self.now.entry(identity).or_insert(uid);
        *known = uid.max(*known);
    }

    /// The number now of an endpoint of then: that of the same name. One whose name is lost is another than all others.
    fn number(&mut self, uid: EndpointUid, former: &mut Former, now: &Image, rows: &mut Rows) -> EndpointUid {
        let is_named = || now.get(ENDPOINTS, &endpoint_key(uid)).is_some_and(|row| row != Known::Broken);
        if uid.0 < former.same && !former.names.contains_key(&uid) && is_named() {
            return uid;
        }
        let identity = &*former.names.entry(uid).or_insert_with(|| nameless(EndpointUid(self.next)));
        if let Some(uid) = self.now.get(identity) {
            return *uid;
        }
        let uid = EndpointUid(self.next);
        self.next = self.next.saturating_add(1);
        let row = encode_endpoint(Some(identity), EndpointState::default());
        rows.set(ENDPOINTS, &endpoint_key(uid), &row);
        self.now.insert(identity.clone(), uid);
        uid
    }
}

/// What an endpoint is called whose name is lost: as no file can be.
pub(super) fn nameless(uid: EndpointUid) -> Identity {
    Identity { name: Arc::from(format!("endpoint {}", uid.0)), account: None }
}

/// The endpoints of a folder that was set aside.
struct Former {
    names: HashMap<EndpointUid, Identity>,
    /// Those below this that have no name here are the ones of that number now: it is a log, and its database, which
    /// has their names, is the one in use.
    same: u32,
}

impl Former {
    fn of(store: &Path, log: &Path) -> io::Result<Self> {
        let mut names = HashMap::new();
        physical::rows(store, log, &mut |row| {
            if row.space == ENDPOINTS {
                names.extend(named(row.key, row.row));
            }
        })?;
        let noted = if store.exists() { None } else { fs::read_to_string(log.join(NUMBERS)).ok() };
        Ok(Self { names, same: noted.and_then(|text| text.trim().parse().ok()).unwrap_or(0) })
    }
}

fn named(key: &[u8], row: Option<&[u8]>) -> Option<(EndpointUid, Identity)> {
    let uid = EndpointUid(u32::from_be_bytes(key.try_into().ok()?));
    Some((uid, decode_endpoint(row?)?.0?))
}

impl Rows {
    /// The first sequence that is free.
    fn next_seq(&self, now: &Image) -> u64 {
        let known = match now.get(image::META, b"totals") {
            Some(Known::Totals(Totals { next_seq, .. })) => next_seq,
            _ => 1,
        };
        let of = |space, cut: usize| {
            now.rows(space)
                .filter_map(move |(key, _)| key.get(cut..).and_then(split_seq_key))
                .max()
                .unwrap_or(0)
        };
        let keys = now.rows(DEDUP).filter_map(|(_, known)| match known {
            Known::Dedup { order } => Some(order),
            _ => None,
        });
        let keys = keys.chain(now.aged()).max().unwrap_or(0);
        let used = [of(EVENTS, 0), of(DELIVERIES, 4), of(DEAD, 4), of(image::DEDUP_ORDER, 0), keys];
        used.into_iter().map(|seq| seq + 1).fold(known.max(self.free.0), u64::max)
    }

    /// The first place among the dead letters that is free.
    fn next_dead(&self, now: &Image) -> u64 {
        let last = now.rows(DEAD_ORDER).filter_map(|(key, _)| split_seq_key(key)).max();
        let known = match now.get(image::META, b"totals") {
            Some(Known::Totals(Totals { next_dead, .. })) => next_dead,
            _ => 0,
        };
        last.map_or(0, |last| last + 1).max(known).max(self.free.1)
    }

    const fn used(&mut self, seq: u64, dead: u64) {
        self.free = (seq, dead);
    }
}
