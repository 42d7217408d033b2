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
use std::ops::RangeInclusive;
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
    let length = |seq| image.event(seq).map_or(0, |(_, length)| u64::from(length));
    let mut found = BTreeMap::new();
    // In order of acceptance, a bounded part of them at a time: the files are read once for each.
    for part in parts(wanted.keys().map(|seq| (*seq, length(*seq)))) {
        physical::rows(&path.join("store"), &path.join("log"), &mut |row| {
            let seq = split_seq_key(row.key).map(Seq);
            let seq = seq.filter(|seq| row.space == EVENTS && part.contains(seq) && wanted.contains_key(seq));
            if let (Some(seq), Some(bytes)) = (seq, row.row)
                && image.is_newest(&row)
            {
                found.extend(decode_event(seq, &Bytes::copy_from_slice(bytes)).map(|event| (seq, event)));
            }
        })?;
        for (seq, event) in std::mem::take(&mut found) {
            let (waiting, dead) = wanted.remove(&seq).unwrap_or_default();
            each(Exported { event, waiting, dead })?;
        }
    }
    Ok(content.lost)
}

/// Events in memory at once,
const PART: usize = 50_000;
/// and bytes of their bodies: as few as a small machine has, and as many as keep the files from being read too often.
const PART_BYTES: u64 = 256 * 1024 * 1024;

/// The first and the last event of each part of these, which are in order. A body longer than a part has one of its own.
fn parts(events: impl Iterator<Item = (Seq, u64)>) -> Vec<RangeInclusive<Seq>> {
    let mut parts: Vec<RangeInclusive<Seq>> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for (seq, length) in events {
        (count, bytes) = (count + 1, bytes + length);
        match parts.last_mut().filter(|_| count <= PART && bytes <= PART_BYTES) {
            Some(part) => *part = *part.start()..=seq,
            None => {
                parts.push(seq..=seq);
                (count, bytes) = (1, length);
            }
        }
    }
    parts
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many events each part has, and bytes of bodies.
    fn cut(lengths: &[u64]) -> Vec<(usize, u64)> {
        // Every other sequence: the rest is nobody's any more.
        let events: Vec<(Seq, u64)> = (0..).step_by(2).map(Seq).zip(lengths.iter().copied()).collect();
        let parts = parts(events.iter().copied());
        let of = |part: &RangeInclusive<Seq>| {
            let inside = events.iter().filter(|(seq, _)| part.contains(seq)).map(|(_, length)| length);
            (inside.clone().count(), inside.sum::<u64>())
        };
        assert!(parts.windows(2).all(|two| two[0].end() < two[1].start()), "none is in two parts");
        parts.iter().map(of).collect()
    }

    #[test]
    fn what_is_exported_is_held_in_parts_of_so_many_events_and_so_many_bytes() {
        assert!(cut(&[]).is_empty());
        assert_eq!(cut(&vec![1; 2 * PART + 1]), [(PART, 50_000), (PART, 50_000), (1, 1)]);
        let large = 256 * 1024;
        let parts = cut(&vec![large; 50_000]);
        assert_eq!(parts.iter().map(|(count, _)| count).sum::<usize>(), 50_000, "each is in one");
        assert!(parts.len() > 1 && parts.iter().all(|(_, bytes)| *bytes <= PART_BYTES), "{parts:?}");
        let most = PART_BYTES;
        assert_eq!(cut(&[1, 2 * most, 1, most - 1, 1]), [(1, 1), (1, 2 * most), (2, most), (1, 1)]);
    }
}
