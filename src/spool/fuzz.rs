//! What must hold for any bytes where the store's records should be.

use super::index;
use super::record::{
    Counts, DeadRow, DedupRow, DeliveryRow, KeyAge, RefsRow, Totals, decode_endpoint, decode_event,
    encode_endpoint, encode_event,
};
use super::settled::{decode_block, decode_rows, newest_ms};
use super::store::fuzz::log_records;
use crate::ids::{EndpointUid, Seq};
use bytes::Bytes;

/// A record. The first byte chooses its kind; sums are put right, so that what lies behind them is reached.
///
/// # Panics
/// When something does not hold.
pub fn records(input: &[u8]) {
    let Some((chooser, bytes)) = input.split_first() else { return };
    match chooser % 10 {
        0 => event(bytes),
        1 => again(bytes, DeliveryRow::decode, DeliveryRow::encode),
        2 => again(bytes, RefsRow::decode, |row| row.encode()),
        3 => {
            again(bytes, DedupRow::decode, DedupRow::encode);
            again(bytes, |row| KeyAge::decode(7, row), |ages| KeyAge::encode(7, ages));
        }
        4 => again(bytes, DeadRow::decode, DeadRow::encode),
        5 => again(bytes, Counts::decode, Counts::encode),
        6 => again(bytes, Totals::decode, Totals::encode),
        7 => again(bytes, decode_endpoint, |(identity, state)| encode_endpoint(identity.as_ref(), *state)),
        8 => block(bytes),
        _ => {
            segment(bytes);
            log_records(bytes);
        }
    }
}

/// What a row says is what its own row would say.
fn again<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Some(row) = decode(bytes) else { return };
    let written = encode(&row);
    // Rows of earlier layouts are shorter.
    assert!(written.len() <= bytes.len() + 96);
    assert_eq!(decode(&written).as_ref(), Some(&row));
}

fn event(bytes: &[u8]) {
    let seq = Seq(7);
    // As it lies there: almost always damaged.
    let _ = decode_event(seq, &Bytes::copy_from_slice(bytes));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.0.to_be_bytes());
    hasher.update(bytes);
    let whole = [bytes, &hasher.finalize().to_le_bytes()].concat();
    let Some(event) = decode_event(seq, &whole.into()) else { return };
    let mut written = Vec::new();
    encode_event(&event, &mut written);
    let written = Bytes::from(written);
    assert_eq!(decode_event(seq, &written).as_ref(), Some(&event));
    assert_eq!(decode_event(Seq(8), &written), None, "an event under another's number");
    for at in [0, written.len() / 2, written.len().saturating_sub(1)] {
        let mut wrong = written.to_vec();
        if let Some(byte) = wrong.get_mut(at) {
            *byte ^= 0x10;
        }
        assert_eq!(decode_event(seq, &wrong.into()), None, "a flipped bit at {at} is delivered");
    }
}

fn block(bytes: &[u8]) {
    let _ = (decode_block(bytes), newest_ms(bytes));
    let head = [&[2][..], &[0; 8], &crc32fast::hash(bytes).to_le_bytes()].concat();
    let whole = [&head, bytes].concat();
    let Some(rows) = decode_rows(&whole) else { return };
    let mut end = head.len();
    for (_, range) in rows {
        assert!(range.start == end && range.end > end, "rows lie one behind another");
        end = range.end;
    }
    assert_eq!(end, whole.len());
}

fn segment(bytes: &[u8]) {
    let _ = index::Segment::decode(bytes).map(|segment| segment.first);
    let whole = [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat();
    let Some(segment) = index::Segment::decode(&whole) else { return };
    let blocks = segment.blocks(index::Mark::delivery(EndpointUid(1), Seq(1)));
    assert!(blocks.len() <= bytes.len());
}
