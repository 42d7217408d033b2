//! One commit as it lies in the log: whole, or not there.
//!
//! Numbers little-endian: `PRL1`, the length of what follows the head (u32), the commit's number (u64), a CRC-32 of
//! length, number and content (u32); then the changes, each a kind (u8), what it does (u8: 0 removes, 1 sets), the
//! lengths of key (u16) and row (u32), the key, the row.

use super::Key;
use super::layer::{Change, Content};
use crate::spool::codec::Decoder;
use crate::spool::record::encode_event;
use bytes::Bytes;

const MAGIC: [u8; 4] = *b"PRL1";
/// Bytes before the content.
pub(super) const HEAD: usize = 20;

/// Bytes of a commit's room that are kept for the next one.
const KEPT: usize = 4 << 20;

/// The changes of one commit, and their record being made.
#[derive(Default)]
pub(crate) struct Batch {
    record: Vec<u8>,
    changes: Vec<Change>,
}

impl Batch {
    pub(super) fn push(&mut self, change: Change) {
        if self.record.is_empty() {
            // A commit may have been very large once: of the names of all endpoints.
            self.record.shrink_to(KEPT);
            self.changes.shrink_to(KEPT / size_of::<Change>());
            self.record.resize(HEAD, 0);
        }
        let record = &mut self.record;
        record.extend_from_slice(&[change.space, u8::from(change.row.is_some())]);
        record.extend_from_slice(&u16::try_from(change.key.len()).unwrap_or(u16::MAX).to_le_bytes());
        let length = record.len();
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&change.key);
        let begin = record.len();
        match &change.row {
            Some(Content::Row(row)) => record.extend_from_slice(row),
            Some(Content::Event(event)) => encode_event(event, record),
            None => {}
        }
        let bytes = u32::try_from(record.len() - begin).unwrap_or(u32::MAX);
        if let Some(place) = record.get_mut(length..length + 4) {
            place.copy_from_slice(&bytes.to_le_bytes());
        }
        self.changes.push(change);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of its record.
    pub(super) fn len(&self) -> usize {
        self.record.len()
    }

    /// Gives it its number. The record; none if it is too long to be one.
    pub(super) fn seal(&mut self, number: u64) -> Option<&[u8]> {
        let length = u32::try_from(self.record.len().checked_sub(HEAD)?).ok()?;
        let content = self.record.get(HEAD..)?;
        let sum = checksum(length, number, content);
        let mut head = [0; HEAD];
        let parts = MAGIC
            .iter()
            .chain(&length.to_le_bytes())
            .chain(&number.to_le_bytes())
            .copied()
            .collect::<Vec<_>>();
        head.get_mut(..16)?.copy_from_slice(&parts);
        head.get_mut(16..)?.copy_from_slice(&sum.to_le_bytes());
        self.record.get_mut(..HEAD)?.copy_from_slice(&head);
        Some(&self.record)
    }

    /// What it changes. The batch is empty afterwards and keeps its buffers.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Change> {
        self.record.clear();
        self.changes.drain(..)
    }
}

/// A record that was found, still in the log's bytes.
pub(super) struct Found<'a> {
    pub(super) number: u64,
    pub(super) length: usize,
    content: &'a [u8],
}

impl Found<'_> {
    /// Its changes. None: its sum is right, but it is not what this version writes.
    pub(super) fn changes(&self) -> Option<Vec<Change>> {
        let mut row = Decoder::new(self.content);
        let mut changes = Vec::new();
        while !row.is_empty() {
            let [space, sets] = row.array()?;
            let key = usize::from(row.u16()?);
            let length = usize::try_from(row.u32()?).ok()?;
            let key = Key::from_slice(row.take(key)?);
            let content = row.take(length)?;
            let content = (sets == 1).then(|| Content::Row(Bytes::copy_from_slice(content)));
            // The database below may have it from an earlier try to put it there.
            changes.push(Change { space, key, row: content, born: false });
        }
        Some(changes)
    }
}

/// The record that begins here, if it is whole and its number is at least `least`.
pub(super) fn read(bytes: &[u8], least: u64) -> Option<Found<'_>> {
    let mut head = Decoder::new(bytes);
    (head.array()? == MAGIC).then_some(())?;
    let length = head.u32()?;
    let number = head.u64()?;
    (number >= least).then_some(())?;
    let sum = head.u32()?;
    let content = head.take(usize::try_from(length).ok()?)?;
    (checksum(length, number, content) == sum).then_some(())?;
    Some(Found { number, length: HEAD + content.len(), content })
}

/// Whether the commit of this number was begun here.
pub(super) fn is_begun(bytes: &[u8], number: u64) -> bool {
    bytes.get(8..16).is_some_and(|found| found == number.to_le_bytes())
}

/// Whether a record begins here that is not whole, of whatever number: what a segment held before is whole.
pub(super) fn is_torn(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) && read(bytes, 0).is_none()
}

/// Where the next record may begin, from the second byte on.
pub(super) fn next(bytes: &[u8]) -> Option<usize> {
    Some(1 + memchr::memmem::find(bytes.get(1..)?, &MAGIC)?)
}

fn checksum(length: u32, number: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}
