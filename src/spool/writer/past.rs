//! What a commit adds to history, and how its index follows.

use super::Writer;

/// Segments of the index dropped in one slice of housekeeping.
const SEGMENTS: usize = 16;

impl Writer {
    /// Writes what this commit settled as one block, and a segment of the index when one is full.
    pub(super) fn write_history(&mut self) {
        let Some((block, marks)) = self.cycle.block.take() else { return };
        self.totals.history_bytes += block.len() as u64;
        let number = self.totals.next_block;
        self.totals.next_block += 1;
        self.create(|store| &store.history, &number.to_be_bytes(), block);
        if let Some(segment) = self.index.add(number, &marks) {
            self.totals.history_bytes += segment.len() as u64;
            self.create(|store| &store.history_index, &number.to_be_bytes(), segment);
        }
    }

    /// Segments of blocks that are all gone go too.
    pub(super) fn expire_index(&mut self, floor: u64) {
        let Some(store) = self.store.clone() else { return };
        for (number, bytes) in crate::spool::past::segments_up_to(&store, floor, SEGMENTS) {
            self.remove(|store| &store.history_index, &number.to_be_bytes());
            self.totals.history_bytes = self.totals.history_bytes.saturating_sub(bytes as u64);
        }
    }
}
