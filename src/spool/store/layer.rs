//! Rows in memory, over those of the database.

use super::Key;
use bytes::Bytes;
use std::collections::BTreeMap;

/// How many kinds of rows there are.
pub(super) const SPACES: usize = 14;

/// What a layer says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `None`: it was removed.
    pub(super) row: Option<Bytes>,
    /// Nothing below this layer has ever had it: removing it leaves no trace.
    born: bool,
}

/// One change of one row.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) space: u8,
    pub(crate) key: Key,
    pub(crate) row: Option<Bytes>,
    /// The row is new, and its key was never used before.
    pub(super) born: bool,
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
        match rows.get_mut(&key) {
            Some(known) if known.born && row.is_none() => drop(rows.remove(&key)),
            Some(known) => known.row = row,
            None => drop(rows.insert(key, Entry { row, born })),
        }
    }

    /// What it says of a row, if anything.
    pub(super) fn get(&self, space: u8, key: &[u8]) -> Option<&Entry> {
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

    fn change(key: u8, row: Option<&'static [u8]>, born: bool) -> Change {
        Change { space: 0, key: Key::from_slice(&[key]), row: row.map(Bytes::from_static), born }
    }

    #[test]
    fn what_came_and_went_leaves_no_trace() {
        let mut layer = Layer::default();
        layer.apply(change(1, Some(b"a"), true));
        layer.apply(change(1, Some(b"b"), false));
        assert_eq!(layer.get(0, &[1]).and_then(|entry| entry.row.as_deref()), Some(&b"b"[..]));
        layer.apply(change(1, None, false));
        assert_eq!(layer.len(), 0);
    }

    #[test]
    fn what_may_lie_below_leaves_its_removal() {
        let mut layer = Layer::default();
        layer.apply(change(1, Some(b"a"), false));
        layer.apply(change(1, None, false));
        layer.apply(change(2, None, false));
        assert_eq!(layer.get(0, &[1]).map(|entry| &entry.row), Some(&None));
        assert_eq!(layer.get(0, &[2]).map(|entry| &entry.row), Some(&None));
    }
}
