//! How far log and database are known to reach.
//!
//! A log does not say where it ends: what is missing at its end looks like what was never written, and so it is with
//! the database's journal. So a small file beside the segments names two numbers that both must reach: it is written
//! when a segment is let go, and when the spool is closed.

use crate::spool::codec::{Decoder, Encoder};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Its name in the log's folder.
pub(crate) const NAME: &str = "end";
const MAGIC: [u8; 4] = *b"PRE1";

/// What is known to have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct End {
    /// The next commit's number, at least.
    pub(crate) number: u64,
    /// Batches that were brought into the database, since it was made: its own count is in its row `meta/fold`.
    pub(crate) folded: u64,
}

/// What lies in a log's folder: nothing in one of an earlier version.
pub(crate) fn read(log: &Path) -> io::Result<Option<End>> {
    let bytes = match fs::read(log.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong");
    decode(&bytes).map(Some).ok_or_else(wrong)
}

/// Writes it so that it is there whole, or as it was before, whenever the power goes.
pub(crate) fn write(log: &Path, end: End) -> io::Result<()> {
    let path = log.join(NAME);
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&encode(end))?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(log)?.sync_all()
}

fn encode(end: End) -> Vec<u8> {
    let mut bytes = Encoder::with_capacity(24);
    bytes.raw(&MAGIC);
    bytes.u64(end.number);
    bytes.u64(end.folded);
    let sum = crc32fast::hash(&bytes.0);
    bytes.u32(sum);
    bytes.0
}

fn decode(bytes: &[u8]) -> Option<End> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*sum)).then_some(())?;
    let mut row = Decoder::new(content);
    (row.array()? == MAGIC).then_some(())?;
    let end = End { number: row.u64()?, folded: row.u64()? };
    row.is_empty().then_some(end)
}
