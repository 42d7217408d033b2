//! Brings back what a start has set aside whole: a database that could not be opened, or a log.
//!
//! The spool has gone on without it and may have used its numbers again. So its events come back as new ones, with
//! their ids, ages and attempts, for the endpoints of the same names.

use super::image::{self, DEAD, DEAD_ORDER, DEDUP, DELIVERIES, ENDPOINTS, EVENTS, Image, Known, REFS};
use super::physical;
use super::rebuild::{RESTORED, Rows, dedup_row, delivery_row};
use crate::ids::{EndpointUid, Identity, Seq};
use crate::spool::codec::{delivery_key, split_delivery_key, split_seq_key};
use crate::spool::record::{
    DeadRow, DedupRow, Totals, decode_endpoint, decode_event, encode_endpoint, encode_event,
};
use crate::spool::{EndpointState, StoredEvent};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Ends the name of a log that was set aside with its database.
pub(super) const LOG: &str = "-log";

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
pub(super) fn merge(now: &Image, folder: &Path, rows: &mut Rows) -> io::Result<(u64, u64)> {
    let [store, log] = parts(folder);
    let (store, log) = (&*store, &*log);
    let (then, _) = image::of(store, log)?;
    let content = then.content(&mut Vec::new());
    let mut names = Names::of(now, folder, store, log)?;
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
                let Some((uid, old)) = split_delivery_key(row.key) else { return };
                let (Some(uid), Some(new)) = (names.now(uid, rows), seqs.get(&old)) else { return };
                let key = delivery_key(uid, *new);
                match then.get(row.space, row.key) {
                    Some(Known::Delivery(delivery)) => delivery_row(&key, &delivery, rows),
                    Some(Known::Dead { .. }) => {
                        let Some(dead) = DeadRow::decode(bytes) else { return };
                        rows.set(DEAD, &key, &DeadRow { order: letters, ..dead }.encode());
                        rows.set(DEAD_ORDER, &letters.to_be_bytes(), &key);
                        letters += 1;
                    }
                    _ => return,
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

/// Which endpoint of then is which now.
struct Names {
    then: HashMap<EndpointUid, Identity>,
    now: HashMap<Identity, EndpointUid>,
    next: u32,
}

impl Names {
    fn of(now: &Image, folder: &Path, store: &Path, log: &Path) -> io::Result<Self> {
        let mut names = Self { then: HashMap::new(), now: HashMap::new(), next: 1 };
        let path = folder.parent().unwrap_or(folder);
        physical::rows(&path.join("store"), &path.join("log"), &mut |row| {
            if row.space == ENDPOINTS
                && now.is_newest(&row)
                && let Some((uid, identity)) = named(row.key, row.row)
            {
                names.next = names.next.max(uid.0.saturating_add(1));
                names.now.insert(identity, uid);
            }
        })?;
        // A log alone names only those that changed; the others are those of now.
        names.then = names.now.iter().map(|(identity, uid)| (*uid, identity.clone())).collect();
        let mut own = HashMap::new();
        physical::rows(store, log, &mut |row| {
            if row.space == ENDPOINTS {
                own.extend(named(row.key, row.row));
            }
        })?;
        if store.exists() {
            names.then = own;
        } else {
            names.then.extend(own);
        }
        Ok(names)
    }

    fn now(&mut self, uid: EndpointUid, rows: &mut Rows) -> Option<EndpointUid> {
        let identity = self.then.get(&uid)?.clone();
        if let Some(uid) = self.now.get(&identity) {
            return Some(*uid);
        }
        let uid = EndpointUid(self.next);
        self.next += 1;
        let row = encode_endpoint(Some(&identity), EndpointState::default());
        rows.set(ENDPOINTS, &uid.0.to_be_bytes(), &row);
        self.now.insert(identity, uid);
        Some(uid)
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
