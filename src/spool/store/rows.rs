//! Rows in the order of their keys, as layers and database together show them.

use super::layer::{Content, Entry, Layer};
use super::{Key, Store, lock};
use bytes::Bytes;
use fjall::Iter;
use std::iter::Peekable;
use std::ops::Bound;

/// Rows looked at together, at most; between two such parts the writer may have gone on.
const PART: usize = 512;
/// Rows of the first part: many who ask want one row. Each part is twice as large as the one before.
const FIRST: usize = 8;
/// A part ends after so many bytes: rows may be bodies, and blocks of history.
const BYTES: usize = 1 << 20;

/// A row's key and content.
pub(crate) type Row = (Key, Bytes);

/// The rows of a range. Ends with the first error.
pub(crate) struct Rows<'a> {
    store: &'a Store,
    space: u8,
    range: (Bound<Key>, Bound<Key>),
    back: bool,
    most: usize,
    part: std::vec::IntoIter<Row>,
    over: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(store: &'a Store, space: u8, range: (Bound<Key>, Bound<Key>), back: bool) -> Self {
        Self { store, space, range, back, most: FIRST, part: Vec::new().into_iter(), over: false }
    }

    fn next_part(&mut self) -> fjall::Result<()> {
        if is_empty(&self.range) {
            self.over = true;
            return Ok(());
        }
        let read = || part(self.store, self.space, &self.range, self.back, self.most);
        let (part, over) = self.store.below(read)?;
        self.over = over;
        self.most = (self.most * 2).min(PART);
        if let Some((last, _)) = part.last() {
            let edge = Bound::Excluded(last.clone());
            if self.back {
                self.range.1 = edge;
            } else {
                self.range.0 = edge;
            }
        }
        self.part = part.into_iter();
        Ok(())
    }
}

impl Iterator for Rows<'_> {
    type Item = fjall::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.part.next() {
                return Some(Ok(row));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.next_part() {
                self.over = true;
                return Some(Err(error));
            }
        }
    }
}

/// A range that a sorted map would panic at.
fn is_empty(range: &(Bound<Key>, Bound<Key>)) -> bool {
    match range {
        (Bound::Included(begin), Bound::Included(end)) => begin > end,
        (Bound::Included(begin) | Bound::Excluded(begin), Bound::Included(end) | Bound::Excluded(end)) => {
            begin >= end
        }
        _ => false,
    }
}

/// The first rows of a range, or the last ones, backwards. True: there are no more.
///
/// What a layer says is taken before what lies below it is looked at. Rows only ever move down, so that none is
/// missed on the way.
fn part(
    store: &Store,
    space: u8,
    range: &(Bound<Key>, Bound<Key>),
    back: bool,
    most: usize,
) -> fjall::Result<(Vec<Row>, bool)> {
    let (active, frozen) = {
        let layers = lock(&store.shared.layers);
        (said(&layers.active, space, range, back, most), layers.frozen.clone())
    };
    let Some(keyspace) = store.base.spaces.get(usize::from(space)) else { return Ok((Vec::new(), true)) };
    let below = keyspace.range::<Key, _>(range.clone());
    let below = Below { rows: below, back };
    let mut sources = Sources {
        active: active.into_iter().peekable(),
        frozen: lower(frozen.as_deref(), space, range, back).peekable(),
        below: below.peekable(),
        back,
    };
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < most && bytes < BYTES {
        let Some((key, row)) = sources.next()? else { return Ok((rows, true)) };
        #[cfg(test)]
        store.looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(row) = row {
            let row = row.bytes();
            bytes += row.len();
            rows.push((key, row));
        }
    }
    Ok((rows, false))
}

type Said = (Key, Option<Content>);

/// What a layer says of a range, up to as many rows as a part has.
fn said(layer: &Layer, space: u8, range: &(Bound<Key>, Bound<Key>), back: bool, most: usize) -> Vec<Said> {
    let Some(rows) = layer.rows(space) else { return Vec::new() };
    let rows = rows.range::<Key, _>(range.clone());
    let mut count = 0;
    let mut said = Vec::new();
    let mut take = |(key, entry): (&Key, &Entry)| {
        said.push((key.clone(), entry.row.clone()));
        count += usize::from(entry.row.is_some());
        count < most
    };
    if back {
        let _all = rows.rev().all(&mut take);
    } else {
        let _all = { rows }.all(&mut take);
    }
    said
}

/// The same of a layer that does not change any more, without an end.
fn lower<'a>(
    layer: Option<&'a Layer>,
    space: u8,
    range: &(Bound<Key>, Bound<Key>),
    back: bool,
) -> Box<dyn Iterator<Item = Said> + 'a> {
    let Some(rows) = layer.and_then(|layer| layer.rows(space)) else { return Box::new(std::iter::empty()) };
    let rows = rows.range::<Key, _>(range.clone()).map(|(key, entry)| (key.clone(), entry.row.clone()));
    if back { Box::new(rows.rev()) } else { Box::new(rows) }
}

/// The database's rows in one direction.
struct Below {
    rows: Iter,
    back: bool,
}

impl Iterator for Below {
    type Item = fjall::Result<Said>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = if self.back { self.rows.next_back() } else { self.rows.next() };
        let row = guard?.into_inner();
        Some(row.map(|(key, row)| (Key::from_slice(&key), Some(Content::Row(Bytes::from(row))))))
    }
}

/// The three, merged: the upper one is right where two have the same key.
struct Sources<'a> {
    active: Peekable<std::vec::IntoIter<Said>>,
    frozen: Peekable<Box<dyn Iterator<Item = Said> + 'a>>,
    below: Peekable<Below>,
    back: bool,
}

impl Sources<'_> {
    fn next(&mut self) -> fjall::Result<Option<Said>> {
        if let Some(Err(_)) = self.below.peek()
            && let Some(Err(error)) = self.below.next()
        {
            return Err(error);
        }
        let below = self.below.peek().and_then(|row| row.as_ref().ok()).map(|(key, _)| key);
        let keys = [self.active.peek().map(|(key, _)| key), self.frozen.peek().map(|(key, _)| key), below];
        let keys = keys.into_iter().flatten();
        let Some(key) = (if self.back { keys.max() } else { keys.min() }).cloned() else { return Ok(None) };
        let active = self.active.next_if(|(next, _)| *next == key);
        let frozen = self.frozen.next_if(|(next, _)| *next == key);
        let below = self.below.next_if(|row| row.as_ref().is_ok_and(|(next, _)| *next == key));
        Ok(active.or(frozen).or(below.transpose()?))
    }
}
