//! Rows in memory, over those of the database.

use super::Key;
use crate::spool::StoredEvent;
use crate::spool::record::encode_event;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::sync::Arc;

/// How many kinds of rows there are.
pub(super) const SPACES: usize = 14;

/// What a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// As it is.
    Row(Bytes),
    /// The record of this event: most are gone before anybody wants to have it.
    Event(Arc<StoredEvent>),
}

impl Content {
    pub(super) fn bytes(&self) -> Bytes {
        match self {
            Self::Row(row) => row.clone(),
            Self::Event(event) => {
                let mut row = Vec::new();
                encode_event(event, &mut row);
                row.into()
            }
        }
    }
}

/// What a layer says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `None`: it was removed.
    pub(super) row: Option<Content>,
    /// Nothing below this layer has ever had it: removing it leaves no trace.
    born: bool,
}

/// One change of one row.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) space: u8,
    pub(crate) key: Key,
    pub(super) row: Option<Content>,
    /// The row is new, and its key was never used before.
    pub(super) born: bool,
}

impl Change {
    /// What the row holds now; `None`: it is gone.
    pub(crate) fn row(&self) -> Option<Bytes> {
        self.row.as_ref().map(Content::bytes)
    }
}

/// The changes since the layer was begun. A row that came and went within it costs nothing below.
#[derive(Default)]
pub(super) struct Layer {
    spaces: [BTreeMap<Key, Entry>; SPACES],
}

impl Layer {
    pub(super) fn apply(&mut self, change: Change) {
        let Change { space, key, row, born } = change;
        let Some(rows) = self.spaces.get_mut(usize::from(space)) else { return };
        match rows.entry(key) {
            Place::Occupied(known) if known.get().born && row.is_none() => drop(known.remove()),
            Place::Occupied(mut known) => known.get_mut().row = row,
            Place::Vacant(place) => drop(place.insert(Entry { row, born })),
        }
    }

    /// What it says of a row, if anything.
    pub(super) fn get(&self, space: u8, key: &Key) -> Option<&Entry> {
        self.rows(space)?.get(key)
    }

    /// Everything it says of one kind of rows.
    pub(super) fn rows(&self, space: u8) -> Option<&BTreeMap<Key, Entry>> {
        self.spaces.get(usize::from(space))
    }

    /// Rows it says something of.
    pub(super) fn len(&self) -> usize {
        self.spaces.iter().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: u8) -> Key {
        Key::from_slice(&[key])
    }

    fn change(name: u8, row: Option<&'static [u8]>, born: bool) -> Change {
        Change { space: 0, key: key(name), row: row.map(|row| Content::Row(Bytes::from_static(row))), born }
    }

    #[test]
    fn what_came_and_went_leaves_no_trace() {
        let mut layer = Layer::default();
        layer.apply(change(1, Some(b"a"), true));
        layer.apply(change(1, Some(b"b"), false));
        assert_eq!(
            layer.get(0, &key(1)).map(|entry| entry.row.clone()),
            Some(change(1, Some(b"b"), false).row)
        );
        layer.apply(change(1, None, false));
        assert_eq!(layer.len(), 0);
    }

    #[test]
    fn what_may_lie_below_leaves_its_removal() {
        let mut layer = Layer::default();
        layer.apply(change(1, Some(b"a"), false));
        layer.apply(change(1, None, false));
        layer.apply(change(2, None, false));
        assert_eq!(layer.get(0, &key(1)).map(|entry| &entry.row), Some(&None));
        assert_eq!(layer.get(0, &key(2)).map(|entry| &entry.row), Some(&None));
    }
}
