//! What waits, as events that a publisher could post again.

use super::image::{self, EVENTS, Image};
use super::physical;
use crate::ids::{EndpointUid, Seq};
use crate::spool::StoredEvent;
use crate::spool::codec::split_seq_key;
use crate::spool::record::{decode_endpoint, decode_event};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

/// An event with those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The event.
    pub event: StoredEvent,
    /// The names of the endpoints that wait for it.
    pub waiting: Vec<String>,
    /// The names of the endpoints where it is a dead letter.
    pub dead: Vec<String>,
}

pub(super) fn export(
    path: &Path,
    dead: bool,
    each: &mut dyn FnMut(Exported) -> io::Result<()>,
) -> io::Result<u64> {
    let (image, _) = image::read(path)?;
    let content = image.content(&mut Vec::new());
    let names = names(&image, path)?;
    let name = |uid: EndpointUid| names.get(&uid).cloned().unwrap_or_else(|| format!("endpoint {}", uid.0));
    let mut wanted: BTreeMap<Seq, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (uid, seq, _) in image.waiting() {
        wanted.entry(seq).or_default().0.push(name(uid));
    }
    for (uid, seq, _, _) in image.dead().filter(|_| dead) {
        wanted.entry(seq).or_default().1.push(name(uid));
    }
    let mut found = BTreeMap::new();
    let mut result = Ok(());
    // In order of acceptance, a bounded part of them at a time: the files are read once for each.
    let seqs: Vec<Seq> = wanted.keys().copied().collect();
    for part in seqs.chunks(PART) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { break };
        physical::rows(&path.join("store"), &path.join("log"), &mut |row| {
            let seq = split_seq_key(row.key)
                .map(Seq)
                .filter(|seq| row.space == EVENTS && (first..=last).contains(&seq));
            if let (Some(seq), Some(bytes)) = (seq.filter(|seq| wanted.contains_key(seq)), row.row)
                && image.is_newest(&row)
            {
                found.extend(decode_event(seq, &Bytes::copy_from_slice(bytes)).map(|event| (seq, event)));
            }
        })?;
        for (seq, event) in std::mem::take(&mut found) {
            let (waiting, dead) = wanted.remove(&seq).unwrap_or_default();
            if result.is_ok() {
                result = each(Exported { event, waiting, dead });
            }
        }
    }
    result.map(|()| content.lost)
}

/// Events in memory at once.
const PART: usize = 50_000;

fn names(image: &Image, path: &Path) -> io::Result<HashMap<EndpointUid, String>> {
    let mut names = HashMap::new();
    physical::rows(&path.join("store"), &path.join("log"), &mut |row| {
        let uid = row.key.try_into().ok().map(|key| EndpointUid(u32::from_be_bytes(key)));
        if let (Some(uid), Some(bytes)) = (uid.filter(|_| row.space == image::ENDPOINTS), row.row)
            && image.is_newest(&row)
        {
            let identity = decode_endpoint(bytes).and_then(|(identity, _)| identity);
            names.extend(identity.map(|identity| (uid, identity.name.to_string())));
        }
    })?;
    Ok(names)
}
