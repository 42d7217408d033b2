//! Reading deliveries back, on threads that may block, while the writer goes on.

use super::codec::{delivery_key, seq_key, split_delivery_key};
use super::record::{DeliveryRow, decode_event};
use super::store::Store;
use super::{Parked, Pending, ReadLimit, SpoolError};
use crate::ids::{EndpointUid, Seq};
use std::sync::Arc;

/// What was read, and which deliveries turned out to be damaged.
pub(super) type Found = (Vec<Pending>, Vec<Seq>);

/// The deliveries from `from` on, in order.
pub(super) fn pending(
    store: &Store,
    uid: EndpointUid,
    from: Seq,
    limit: ReadLimit,
) -> Result<Found, SpoolError> {
    let (mut found, mut damaged, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for row in store.range(&store.deliveries, delivery_key(uid, from)..=delivery_key(uid, Seq(u64::MAX))) {
        let (key, row) = row.map_err(|error| failed(&error))?;
        let Some((_, seq)) = split_delivery_key(&key) else { continue };
        match one(store, uid, seq, &row)? {
            One::Whole(pending) => {
                bytes = bytes.saturating_add(pending.event.body.len());
                found.push(pending);
            }
            One::Settled => {}
            One::Damaged => damaged.push(seq),
        }
        if found.len() >= limit.count.get() || bytes >= limit.bytes {
            break;
        }
    }
    Ok((found, damaged))
}

/// These deliveries, those that are settled left out.
pub(super) fn some(store: &Store, uid: EndpointUid, seqs: &[Seq]) -> Result<Found, SpoolError> {
    let (mut found, mut damaged) = (Vec::with_capacity(seqs.len()), Vec::new());
    for &seq in seqs {
        let row = store.get(&store.deliveries, delivery_key(uid, seq)).map_err(|error| failed(&error))?;
        let Some(row) = row else { continue };
        match one(store, uid, seq, &row)? {
            One::Whole(pending) => found.push(pending),
            One::Settled => {}
            One::Damaged => damaged.push(seq),
        }
    }
    Ok((found, damaged))
}

/// The parked deliveries, in order.
pub(super) fn parked(store: &Store, uid: EndpointUid) -> Result<Vec<Parked>, SpoolError> {
    let mut found = Vec::new();
    for row in store.range(&store.parked, delivery_key(uid, Seq(0))..=delivery_key(uid, Seq(u64::MAX))) {
        let (key, row) = row.map_err(|error| failed(&error))?;
        let seq = split_delivery_key(&key).map(|(_, seq)| seq);
        // A damaged row is parked nowhere; the delivery itself is found, or set aside, when it is read.
        found.extend(seq.zip(DeliveryRow::decode(&row)).and_then(|(seq, row)| row.parked_at(seq)));
    }
    Ok(found)
}

/// When the oldest delivery that waits was accepted.
pub(super) fn oldest_ms(store: &Store, uid: EndpointUid, low: Seq) -> Option<u64> {
    let end = delivery_key(uid, Seq(u64::MAX));
    let ready = store.range(&store.deliveries, delivery_key(uid, low)..=end).next();
    let parked = store.range(&store.parked, delivery_key(uid, Seq(0))..=end).next();
    let rows = [ready, parked].into_iter().flatten().filter_map(Result::ok);
    rows.filter_map(|(_, row)| DeliveryRow::decode(&row)).map(|row| row.accepted_ms).min()
}

/// What one row of `deliveries` came to.
enum One {
    Whole(Pending),
    /// The writer was faster.
    Settled,
    Damaged,
}

fn one(store: &Store, uid: EndpointUid, seq: Seq, row: &[u8]) -> Result<One, SpoolError> {
    let event = match store.get(&store.events, seq_key(seq)) {
        Ok(record) => record.and_then(|record| decode_event(seq, &record)),
        // What the disk cannot read now it may read later, and a damaged database is repaired first.
        Err(error) => return Err(failed(&error)),
    };
    if let (Some(event), Some(row)) = (event, DeliveryRow::decode(row)) {
        return Ok(One::Whole(Pending { event: Arc::new(event), parked: row.parked_at(seq) }));
    }
    // An event goes with its last delivery: if the delivery is there still, it is not that.
    let still = store.get(&store.deliveries, delivery_key(uid, seq)).map_err(|error| failed(&error))?;
    Ok(if still.is_some() { One::Damaged } else { One::Settled })
}

pub(super) fn failed(error: &fjall::Error) -> SpoolError {
    SpoolError::Store(error.to_string())
}
