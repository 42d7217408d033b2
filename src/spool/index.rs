//! Where in history a message, an event or a delivery is.
//!
//! An insert per delivery would cost the writer more than the settlement itself. So the writer only remembers, in
//! memory, four bytes for each name a row can be found by and the block it is in. Once some thousand rows have come
//! together they are sorted and written as one row, a *segment*, in the commit that is made anyway. Whoever looks for a name searches the
//! segments, newest first, and reads only the blocks they point at. Blocks that no segment covers (the newest ones, and
//! those that were not yet in a segment when the process ended) are read one by one: at most a segment's worth for
//! each start. A mark is a short digest: that two names share one only makes the search read a block in vain.

use super::codec::{Decoder, Encoder};
use crate::ids::{EndpointUid, EventId, MessageKey, Seq};

const VERSION: u8 = 1;
/// Names in a segment, and blocks. A block's place in its segment must fit two bytes.
const MARKS: usize = 12 * 1024;
const BLOCKS: u64 = 60_000;

/// A short digest of a name that rows are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u32);

impl Mark {
    /// Of a message.
    pub(crate) const fn message(key: MessageKey) -> Self {
        Self(fold(key.0))
    }

    /// Of an event: the end of its id is random already.
    pub(crate) fn event(id: EventId) -> Self {
        let [.., a, b, c, d] = id.0;
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// Of a delivery.
    pub(crate) fn delivery(endpoint: EndpointUid, seq: Seq) -> Self {
        // Odd constants of Fibonacci hashing: neighbours fall far apart.
        let mixed = seq.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ u64::from(endpoint.0).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        Self(fold(mixed))
    }
}

const fn fold(wide: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = wide.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

/// The segment that is being collected.
#[derive(Default)]
pub(super) struct Index {
    first: u64,
    marks: Vec<(Mark, u16)>,
}

impl Index {
    /// A new one, for the blocks from `first` on.
    pub(super) const fn after(first: u64) -> Self {
        Self { first, marks: Vec::new() }
    }

    /// Adds a block. Gives the row of the segment that ends with it, if that is full.
    pub(super) fn add(&mut self, block: u64, marks: &[Mark]) -> Option<Vec<u8>> {
        let offset = block.saturating_sub(self.first);
        let place = u16::try_from(offset).unwrap_or(u16::MAX);
        self.marks.extend(marks.iter().map(|mark| (*mark, place)));
        if self.marks.len() < MARKS && offset < BLOCKS {
            return None;
        }
        self.marks.sort_unstable();
        self.marks.dedup();
        let mut row = Encoder::with_capacity(9 + 6 * self.marks.len());
        row.u8(VERSION);
        row.u64(self.first);
        for (Mark(mark), place) in self.marks.drain(..) {
            row.u32(mark);
            row.u16(place);
        }
        let sum = crc32fast::hash(&row.0);
        row.u32(sum);
        self.first = block + 1;
        Some(row.0)
    }
}

/// A segment that was read: which blocks have a mark.
pub(super) struct Segment<'a> {
    /// The first block it covers.
    pub(super) first: u64,
    places: &'a [u8],
}

impl<'a> Segment<'a> {
    /// `None`: a byte of it is wrong, so that its blocks are read one by one.
    pub(super) fn decode(row: &'a [u8]) -> Option<Self> {
        let (content, sum) = row.split_last_chunk::<4>()?;
        (crc32fast::hash(content) == u32::from_le_bytes(*sum)).then_some(())?;
        let mut fields = Decoder::new(content);
        (fields.u8()? == VERSION).then_some(())?;
        let first = fields.u64()?;
        Some(Self { first, places: content.get(fields.taken()..)? })
    }

    /// The blocks with this mark, the newest first.
    pub(super) fn blocks(&self, mark: Mark) -> Vec<u64> {
        let entry = |at: usize| -> Option<(Mark, u16)> {
            let mut fields = Decoder::new(self.places.get(at * 6..)?);
            Some((Mark(fields.u32()?), fields.u16()?))
        };
        let (mut low, mut high) = (0, self.places.len() / 6);
        while low < high {
            let middle = low.midpoint(high);
            if entry(middle).is_some_and(|(found, _)| found < mark) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let with = (low..).map_while(entry).take_while(|(found, _)| *found == mark);
        let mut blocks: Vec<u64> = with.map(|(_, place)| self.first + u64::from(place)).collect();
        blocks.reverse();
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_names_every_block_of_a_mark_newest_first() {
        let mut index = Index::after(100);
        let marks: Vec<Mark> = (0..3).map(|n| Mark::delivery(EndpointUid(1), Seq(n))).collect();
        let mut row = None;
        let mut block = 100;
        while row.is_none() {
            row = index.add(block, &marks[..if block % 2 == 0 { 3 } else { 1 }]);
            block += 1;
        }
        let row = row.unwrap();
        let segment = Segment::decode(&row).unwrap();
        assert_eq!(segment.first, 100);
        let all: Vec<u64> = (100..block).rev().collect();
        assert_eq!(segment.blocks(marks[0]), all);
        assert_eq!(segment.blocks(marks[2]), all.iter().copied().filter(|b| b % 2 == 0).collect::<Vec<_>>());
        assert!(segment.blocks(Mark::message(MessageKey(77))).is_empty());
        let mut wrong = row.clone();
        wrong[20] ^= 1;
        assert!(Segment::decode(&wrong).is_none());
    }
}
