//! What must hold for any bytes where the log should be.

use super::record::{HEAD, next, read};

/// A piece of a log. Its records are given the sums they should have.
pub(in crate::spool) fn log_records(bytes: &[u8]) {
    let mut log = bytes.to_vec();
    mend(&mut log);
    let (mut at, mut steps) = (0, 0);
    while let Some(rest) = log.get(at..).filter(|rest| !rest.is_empty()) {
        steps += 1;
        assert!(steps <= log.len() + 1, "the end is never reached");
        if let Some(found) = read(rest, 0) {
            assert!(found.length >= HEAD && found.length <= rest.len());
            let size: usize = found.changes().map_or(0, |changes| changes.iter().map(|c| c.key.len()).sum());
            assert!(size <= found.length, "keys out of nothing");
            at += found.length;
        } else {
            let Some(step) = next(rest) else { break };
            assert!(step > 0);
            at += step;
        }
    }
}

/// Gives the first record its sum: `length` as far as there is content.
fn mend(log: &mut [u8]) {
    let Some((head, content)) = log.split_at_mut_checked(HEAD) else { return };
    let Ok(length) = u32::try_from(content.len()) else { return };
    let number = head.get(8..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(content);
    let parts =
        [&b"PRL1"[..], &length.to_le_bytes(), &number.to_le_bytes(), &hasher.finalize().to_le_bytes()];
    head.copy_from_slice(&parts.concat());
}
