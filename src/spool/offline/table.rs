//! One table of the database: a file of blocks, each with a checksum of its own, and of the whole in the list of
//! tables.
//!
//! Format, of lsm-tree 3: a block is a head of 33 bytes (`LSM` 3, type: u8, XXH3-128 of its content: u128, its length
//! and its length without compression: u32, the low half of XXH3-128 of the head so far: u32) and its content.

use lsm_tree::ValueType;
use lsm_tree::table::block::{BlockType, Header};
use lsm_tree::table::{Block, DataBlock};
use lsm_tree::{CompressionType, table::block::decoder::ParsedItem};
use std::panic::{AssertUnwindSafe, catch_unwind};
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: [u8; 4] = *b"LSM\x03";

/// A row of a table, of whatever age.
pub(super) struct Version<'a> {
    pub(super) key: &'a [u8],
    pub(super) sequence: u64,
    /// None: it was removed.
    pub(super) row: Option<&'a [u8]>,
}

/// Shows every row of every block that is whole. Where something is not, if the file is not what was written.
pub(super) fn look(file: &[u8], sum: Option<u128>, mut each: impl FnMut(Version<'_>)) -> Vec<u64> {
    let (mut at, mut wrong) = (0, Vec::new());
    let whole = sum.is_none_or(|sum| xxh3_128(file) == sum);
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = block(rest, &mut each) {
            at += length;
            continue;
        }
        // What lists the parts of the file comes last, and is no block.
        let next = memchr::memmem::find(rest.get(1..).unwrap_or_default(), &MAGIC);
        if next.is_some() || rest.starts_with(&MAGIC) {
            wrong.push(at as u64);
        }
        let Some(next) = next else { break };
        at += 1 + next;
    }
    if !whole && wrong.is_empty() {
        wrong.push(at as u64);
    }
    if whole && sum.is_some() {
        wrong.clear();
    }
    wrong
}

/// The length of the block that begins here, if it is whole.
fn block(bytes: &[u8], each: &mut impl FnMut(Version<'_>)) -> Option<usize> {
    bytes.starts_with(&MAGIC).then_some(())?;
    let length = usize::try_from(u32::from_le_bytes(bytes.get(21..25)?.try_into().ok()?)).ok()?;
    let length = Header::serialized_len().checked_add(length).filter(|length| *length <= bytes.len())?;
    // What a checksum calls whole may still fail an assertion when it is taken apart.
    let rows = catch_unwind(AssertUnwindSafe(|| {
        let block = Block::from_reader(&mut bytes.get(..length)?, CompressionType::None).ok()?;
        if block.header.block_type != BlockType::Data {
            return Some(Vec::new());
        }
        let block = DataBlock::new(block);
        Some(block.iter().map(|item| item.materialize(block.as_slice())).collect())
    }));
    for item in rows.ok()?? {
        let row = match item.key.value_type {
            ValueType::Value => Some(&*item.value),
            _ => None,
        };
        each(Version { key: &item.key.user_key, sequence: item.key.seqno, row });
    }
    Some(length)
}
