//! What a commit adds to history, and how its index follows.

use super::Writer;
use crate::spool::past::segments;

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

    /// Segments of blocks that are all gone go too: all before `floor`, and before `start` but for what could not be read.
    pub(super) fn expire_index(&mut self, floor: u64, start: u64) {
        let Some(store) = self.store.clone() else { return };
        let gone = segments(&store, 0, floor).take(SEGMENTS);
        // The first of these says where the block is that is left.
        let behind = segments(&store, floor, start).skip(1).take(SEGMENTS);
        for (number, bytes) in gone.chain(behind) {
            self.remove(|store| &store.history_index, &number.to_be_bytes());
            self.totals.history_bytes = self.totals.history_bytes.saturating_sub(bytes as u64);
        }
    }
}
