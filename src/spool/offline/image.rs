//! What the rows of a spool come to: of each key the newest, and whether they belong together.

use super::physical::{self, Age, Row};
use super::{Content, Damage};
use crate::ids::{EndpointUid, Seq};
use crate::spool::codec::{split_delivery_key, split_seq_key};
use crate::spool::index::Segment;
use crate::spool::record::{
    Counts, DeadRow, DedupRow, DeliveryRow, KeyAge, RefsRow, Totals, decode_endpoint, decode_event,
};
use crate::spool::settled::decode_block;
use crate::spool::store::{Key, RECOUNT};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The kinds of rows, by their place in the store.
pub(super) const EVENTS: usize = 0;
pub(super) const DELIVERIES: usize = 1;
pub(super) const PARKED: usize = 2;
pub(super) const REFS: usize = 3;
pub(super) const DEDUP: usize = 4;
pub(super) const DEDUP_ORDER: usize = 5;
pub(super) const DEAD: usize = 6;
pub(super) const DEAD_ORDER: usize = 7;
pub(super) const HISTORY: usize = 8;
pub(super) const ENDPOINTS: usize = 9;
pub(super) const COUNTERS: usize = 10;
pub(super) const META: usize = 11;
pub(super) const DAMAGED: usize = 12;
pub(super) const HISTORY_INDEX: usize = 13;
const KINDS: usize = 14;

/// What is known of a row without keeping its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known {
    /// It was removed.
    Gone,
    /// It cannot be taken apart.
    Broken,
    Event {
        targets: u32,
        length: u32,
    },
    Delivery(DeliveryRow),
    Refs(RefsRow),
    Dedup {
        order: u64,
    },
    Dead {
        order: u64,
        length: u32,
    },
    Counts(Counts),
    Totals(Totals),
    /// Of this length.
    Other(u32),
}

/// The newest row of every key.
#[derive(Default)]
pub(super) struct Image {
    spaces: [BTreeMap<Key, (Age, Known)>; KINDS],
    /// The sequences whose keys each row of `dedup_order` has.
    aged: BTreeMap<u64, Vec<u64>>,
}

/// Reads a spool's folder, and what of its files is damaged.
pub(super) fn read(path: &Path) -> io::Result<(Image, Vec<Damage>)> {
    of(&path.join("store"), &path.join("log"))
}

/// Reads a database and a log.
pub(super) fn of(store: &Path, log: &Path) -> io::Result<(Image, Vec<Damage>)> {
    let mut image = Image::default();
    let damage = physical::rows(store, log, &mut |row| image.see(&row))?;
    Ok((image, damage))
}

impl Image {
    fn see(&mut self, row: &Row<'_>) {
        let Some(rows) = self.spaces.get_mut(row.space) else { return };
        let known = match row.row {
            None => Known::Gone,
            Some(bytes) => known(row.space, row.key, bytes).unwrap_or(Known::Broken),
        };
        match rows.get_mut(row.key) {
            Some((age, _)) if *age >= row.age => return,
            Some(older) => *older = (row.age, known),
            None => drop(rows.insert(Key::from_slice(row.key), (row.age, known))),
        }
        if row.space == DEDUP_ORDER
            && let Some(place) = split_seq_key(row.key)
        {
            let ages = row.row.and_then(|row| KeyAge::decode(place, row)).unwrap_or_default();
            self.aged.insert(place, ages.iter().map(|age| age.order).collect());
        }
    }

    /// All rows of a kind that are there, whole or not.
    pub(super) fn rows(&self, space: usize) -> impl Iterator<Item = (&Key, Known)> {
        let rows = self.spaces.get(space).into_iter().flatten();
        rows.map(|(key, (_, known))| (key, *known)).filter(|(_, known)| *known != Known::Gone)
    }

    /// A row that is there.
    pub(super) fn get(&self, space: usize, key: &[u8]) -> Option<Known> {
        let (_, known) = self.spaces.get(space)?.get(key)?;
        (*known != Known::Gone).then_some(*known)
    }

    /// Whether this is the newest row of its key.
    pub(super) fn is_newest(&self, row: &Row<'_>) -> bool {
        self.spaces.get(row.space).and_then(|rows| rows.get(row.key)).is_some_and(|(age, _)| *age == row.age)
    }

    /// The record of an event that is whole.
    pub(super) fn event(&self, seq: Seq) -> Option<(u32, u32)> {
        match self.get(EVENTS, &seq.0.to_be_bytes())? {
            Known::Event { targets, length } => Some((targets, length)),
            _ => None,
        }
    }

    /// The deliveries that wait and are whole.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (EndpointUid, Seq, DeliveryRow)> {
        self.rows(DELIVERIES).filter_map(|(key, known)| {
            let Known::Delivery(row) = known else { return None };
            let (uid, seq) = split_delivery_key(key)?;
            self.event(seq).map(|_| (uid, seq, row))
        })
    }

    /// The dead letters that are whole, each with its place among all.
    pub(super) fn dead(&self) -> impl Iterator<Item = (EndpointUid, Seq, u64, u32)> {
        self.rows(DEAD).filter_map(|(key, known)| {
            let Known::Dead { order, length } = known else { return None };
            let (uid, seq) = split_delivery_key(key)?;
            self.event(seq).map(|_| (uid, seq, order, length))
        })
    }

    /// The sequences of all keys whose age is known.
    pub(super) fn aged(&self) -> impl Iterator<Item = u64> {
        self.aged.values().flatten().copied()
    }

    /// How many of whom an event has waiting and dead.
    pub(super) fn refs(&self) -> BTreeMap<Seq, RefsRow> {
        let mut refs: BTreeMap<Seq, RefsRow> = BTreeMap::new();
        let none = RefsRow { live: 0, dead: 0 };
        for (_, seq, _) in self.waiting() {
            refs.entry(seq).or_insert(none).live += 1;
        }
        for (_, seq, _, _) in self.dead() {
            refs.entry(seq).or_insert(none).dead += 1;
        }
        refs
    }

    /// Counts what is there, and adds what does not belong together to the damage.
    pub(super) fn content(&self, damage: &mut Vec<Damage>) -> Content {
        let mut content = Content {
            dedup_keys: self.rows(DEDUP).count() as u64,
            history_blocks: self.rows(HISTORY).count() as u64,
            endpoints: self.rows(ENDPOINTS).count() as u64,
            set_aside: self.rows(DAMAGED).count() as u64,
            waiting: self.waiting().count() as u64,
            dead_letters: self.dead().count() as u64,
            lost: 0,
        };
        let mut say = |kind: &str, count: u64, what: &str, cost: &str| {
            if count > 0 {
                damage.push(Damage::new(kind, None, &format!("{count} {what}"), cost));
            }
        };
        let broken = |space| self.rows(space).filter(|(_, known)| *known == Known::Broken).count() as u64;
        for (space, kind) in (0..).zip(crate::spool::store::Store::kinds()) {
            let count = if space == DELIVERIES || space == DEAD { 0 } else { broken(space) };
            say(kind, count, "rows cannot be taken apart", "what they said");
        }
        let waiting = self.rows(DELIVERIES).count() as u64 - content.waiting;
        say(
            "deliveries",
            waiting,
            "deliveries wait whose row or event is not whole or not there",
            "those deliveries",
        );
        let dead = self.rows(DEAD).count() as u64 - content.dead_letters;
        say("dead", dead, "dead letters' rows or events are not whole or not there", "those dead letters");
        let refs = self.refs();
        let (mut forgotten, mut counts) = (0, 0);
        for (key, known) in self.rows(EVENTS) {
            let Known::Event { targets, .. } = known else { continue };
            let there = split_seq_key(key).and_then(|seq| refs.get(&Seq(seq)));
            forgotten += u64::from(if there.is_none() { targets } else { 0 });
            let says = self.get(REFS, key);
            counts +=
                u64::from(targets > 1 && there.map(|refs| Known::Refs(*refs)) != says && there.is_some());
        }
        say(
            "events",
            forgotten,
            "deliveries at most were of events that nobody waits for",
            "those deliveries",
        );
        say("refs", counts, "events do not know who waits for them", "nothing; they are counted again");
        content.lost = waiting + dead + forgotten;
        self.orders(&mut say);
        // After a repair the next start counts them.
        if self.get(META, RECOUNT).is_none() {
            self.numbers(&content, &mut say);
        }
        content
    }

    /// The rows that repeat what others say.
    fn orders(&self, say: &mut impl FnMut(&str, u64, &str, &str)) {
        let parked = |row: Known| matches!(row, Known::Delivery(row) if row.parked.is_some());
        let missing = self.rows(DELIVERIES).filter(|(_, row)| parked(*row));
        let missing = missing.filter(|(key, row)| self.get(PARKED, key) != Some(*row)).count();
        let stray =
            self.rows(PARKED).filter(|(key, _)| !self.get(DELIVERIES, key).is_some_and(parked)).count();
        say(
            "parked",
            (missing + stray) as u64,
            "rows say otherwise than their deliveries",
            "nothing; they are made again",
        );
        let unlisted = self.rows(DEAD).filter(|(_, known)| match known {
            Known::Dead { order, .. } => self.get(DEAD_ORDER, &order.to_be_bytes()).is_none(),
            _ => false,
        });
        let cost = "nothing; they are made again";
        say("dead_order", unlisted.count() as u64, "dead letters have no place among the others", cost);
        let aged: BTreeSet<u64> = self.aged().collect();
        let ageless = self.rows(DEDUP).filter(|(_, known)| match known {
            Known::Dedup { order } => !aged.contains(order),
            _ => false,
        });
        say("dedup_order", ageless.count() as u64, "idempotency keys have no age", cost);
        let named = |uid: EndpointUid| self.get(ENDPOINTS, &uid.0.to_be_bytes()).is_some();
        let nameless = self.waiting().filter(|(uid, _, _)| !named(*uid)).count();
        say(
            "endpoints",
            nameless as u64,
            "deliveries wait for an endpoint whose name is not there",
            "they go nowhere",
        );
    }

    /// The numbers that are kept.
    fn numbers(&self, content: &Content, say: &mut impl FnMut(&str, u64, &str, &str)) {
        let mut counted: BTreeMap<EndpointUid, (Counts, u64)> = BTreeMap::new();
        for (uid, seq, row) in self.waiting() {
            let (counts, first) = counted.entry(uid).or_insert((Counts::default(), u64::MAX));
            if row.parked.is_some() {
                counts.parked += 1;
            } else {
                counts.ready += 1;
                *first = (*first).min(seq.0);
            }
            counts.bytes += u64::from(row.length);
        }
        let mut dead_bytes = 0;
        for (uid, _, _, length) in self.dead() {
            counted.entry(uid).or_insert((Counts::default(), u64::MAX)).0.dead += 1;
            dead_bytes += u64::from(length);
        }
        let mut wrong = 0;
        for (uid, (counts, first)) in &counted {
            let known = self.get(COUNTERS, &uid.0.to_be_bytes());
            let agrees = matches!(known, Some(Known::Counts(known)) if known.low <= *first
                && (Counts { last: 0, low: 0, ..known }) == *counts);
            wrong += u64::from(!agrees);
        }
        for (key, known) in self.rows(COUNTERS) {
            let uid = key[..].try_into().map(|key| EndpointUid(u32::from_be_bytes(key)));
            let idle = uid.is_ok_and(|uid| !counted.contains_key(&uid));
            let Known::Counts(known) = known else { continue };
            wrong += u64::from(idle && known.ready + known.parked + known.dead > 0);
        }
        let cost = "nothing; they are counted again";
        say("counters", wrong, "endpoints' numbers are not what their rows come to", cost);
        let newest = self.rows(EVENTS).filter_map(|(key, _)| split_seq_key(key)).max().unwrap_or_default();
        let bytes = |space| {
            self.rows(space).map(|(_, known)| match known {
                Known::Other(length) => u64::from(length),
                _ => 0,
            })
        };
        let history_bytes: u64 = bytes(HISTORY).chain(bytes(HISTORY_INDEX)).sum();
        let agrees = match self.get(META, b"totals") {
            Some(Known::Totals(totals)) => {
                totals.next_seq > newest
                    && totals.dead == content.dead_letters
                    && totals.dead_bytes == dead_bytes
                    && totals.history_bytes == history_bytes
                    && totals.dedup == self.aged().count() as u64
            }
            _ => newest == 0 && content.endpoints == 0,
        };
        say("meta", u64::from(!agrees), "row of totals is not what the rows come to", cost);
    }
}

fn known(space: usize, key: &[u8], row: &[u8]) -> Option<Known> {
    let other = || Some(Known::Other(u32::try_from(row.len()).ok()?));
    match space {
        EVENTS => {
            let event = decode_event(Seq(split_seq_key(key)?), &Bytes::copy_from_slice(row))?;
            let length = u32::try_from(event.body.len()).ok()?;
            Some(Known::Event { targets: event.targets, length })
        }
        DELIVERIES | PARKED => DeliveryRow::decode(row).map(Known::Delivery),
        REFS => RefsRow::decode(row).map(Known::Refs),
        DEDUP => DedupRow::decode(row).map(|row| Known::Dedup { order: row.order }),
        DEDUP_ORDER => KeyAge::decode(split_seq_key(key)?, row).and_then(|_| other()),
        DEAD => DeadRow::decode(row).map(|dead| Known::Dead { order: dead.order, length: dead.length }),
        DEAD_ORDER => split_delivery_key(row).and_then(|_| other()),
        HISTORY => decode_block(row).and_then(|_| other()),
        ENDPOINTS => decode_endpoint(row).and_then(|_| other()),
        COUNTERS => Counts::decode(row).map(Known::Counts),
        META if key == b"totals" => Totals::decode(row).map(Known::Totals),
        META | DAMAGED => other(),
        HISTORY_INDEX => Segment::decode(row).and_then(|_| other()),
        _ => None,
    }
}
