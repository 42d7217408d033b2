//! Repairs the database's journals where it cannot do so itself.
//!
//! What the log holds is folded into the database with one sync at the end, so a power loss may leave batches of which
//! only some pages reached the disk; the log still has what they hold. fjall drops a batch that is cut off, but refuses to open where one is whole in length and wrong in content.
//! Here such a batch is left out, as if it had never been written, and all that is whole is kept: what was synced
//! lies before it. The journal as it was is put beside the store.
//!
//! Format, of fjall 3 (`journal/entry.rs`), numbers little-endian: a batch is a start (1, items: u32, sequence: u64),
//! its items (2, type: u8, compression: u8, keyspace: u64, lengths of key: u16, value: u32 and value on disk: u32,
//! key, value) or clears (4, keyspace: u64), and an end (3, XXH3-64 of all between: u64, `FJL` 3).

use super::codec::Decoder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// The type of an item that sets a row.
const VALUE: u8 = 0;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// Leaves out what is wrong in the journals of a database. Returns the copies of those that were changed, as they
/// were; a journal in which everything is whole up to where it ends is not touched.
pub(super) fn repair(store: &Path, aside: &Path, now_ms: u64) -> io::Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jnl") {
            continue;
        }
        let journal = fs::read(&path)?;
        let Some(whole) = whole_batches(&journal) else { continue };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let copy = aside.join(format!("damaged-{}-journal-{name}.jnl", now_ms / 1000));
        fs::copy(&path, &copy)?;
        let repaired = path.with_extension("repaired");
        fs::write(&repaired, whole)?;
        fs::File::open(&repaired)?.sync_all()?;
        fs::rename(&repaired, &path)?;
        copies.push(copy);
    }
    fs::File::open(store)?.sync_all()?;
    Ok(copies)
}

/// Everything that is whole, if something that is not lies among it or after it.
fn whole_batches(journal: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(journal.len());
    let (mut at, mut wrong) = (0, false);
    while let Some(rest) = journal.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(batch) = batch(rest) {
            whole.extend_from_slice(rest.get(..batch)?);
            at += batch;
            continue;
        }
        // The unused end of a journal is zeros. Anything else is looked through for the next whole batch.
        let next = memchr::memchr(START, rest.get(1..).unwrap_or_default());
        wrong |= rest.first() != Some(&0);
        let Some(next) = next else { break };
        at += 1 + next;
    }
    wrong.then_some(whole)
}

/// The length of the batch that begins here, if it is whole.
fn batch(bytes: &[u8]) -> Option<usize> {
    Some(read(bytes)?.length)
}

/// A batch that is whole.
pub(super) struct Batch<'a> {
    /// Its bytes in the journal.
    pub(super) length: usize,
    /// Its number: what is written later has a larger one.
    pub(super) sequence: u64,
    /// What it changes.
    pub(super) items: Vec<Item<'a>>,
}

/// One change of a batch.
pub(super) struct Item<'a> {
    pub(super) keyspace: u64,
    pub(super) key: &'a [u8],
    /// None: it is removed.
    pub(super) row: Option<&'a [u8]>,
}

/// The batch that begins here, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Option<Batch<'_>> {
    let mut row = Decoder::new(bytes);
    (row.u8()? == START).then_some(())?;
    let count = row.u32()?;
    let sequence = row.u64()?;
    let begin = row.taken();
    let mut items = Vec::new();
    for _ in 0..count {
        match row.u8()? {
            ITEM => {
                let [kind, compression] = row.array()?;
                (compression == 0).then_some(())?;
                let keyspace = row.u64()?;
                let key = row.u16()?;
                let _length = row.u32()?;
                let value = row.u32()?;
                let key = row.take(usize::from(key))?;
                let value = row.take(usize::try_from(value).ok()?)?;
                items.push(Item { keyspace, key, row: (kind == VALUE).then_some(value) });
            }
            CLEAR => drop(row.u64()?),
            _ => return None,
        }
    }
    let end = row.taken();
    (row.u8()? == END).then_some(())?;
    let sum = row.u64()?;
    let whole = row.array()? == MAGIC && xxh3_64(bytes.get(begin..end)?) == sum;
    whole.then_some(Batch { length: row.taken(), sequence, items })
}

/// The first byte that is not zero. Compared in parts: most of a journal's 64 MiB is unused.
fn first_used(bytes: &[u8]) -> Option<usize> {
    const PART: usize = 4096;
    let part = bytes.chunks(PART).position(|part| part != [0; PART].get(..part.len()).unwrap_or_default())?;
    let begin = part * PART;
    let within = bytes.get(begin..)?.iter().position(|byte| *byte != 0)?;
    Some(begin + within)
}

/// Shows every whole batch of a journal with its place, and where what is not whole begins.
pub(super) fn look<'a>(journal: &'a [u8], mut each: impl FnMut(usize, Result<Batch<'a>, ()>)) {
    let (mut at, mut said) = (0, false);
    while let Some(rest) = journal.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(batch) = read(rest) {
            said = false;
            let length = batch.length;
            each(at, Ok(batch));
            at += length;
            continue;
        }
        // The unused end of a journal is zeros. Anything else is looked through for the next whole batch.
        let Some(used) = first_used(rest) else { break };
        if !said {
            each(at + used, Err(()));
            said = true;
        }
        let Some(next) = memchr::memchr(START, rest.get(used.max(1)..).unwrap_or_default()) else { break };
        at += used.max(1) + next;
    }
}
