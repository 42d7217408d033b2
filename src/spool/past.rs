//! Reading back what was settled, newest first, for history.

use super::codec::{delivery_key, seq_key, split_delivery_key, split_seq_key};
use super::read::failed;
use super::record::{DeadRow, decode_event};
use super::settled::{Settled, decode_block};
use super::store::Store;
use super::{DeadReason, SpoolError, StoredEvent};
use crate::ids::{EndpointUid, Seq};
use std::sync::Arc;

/// A delivery that will not be tried again by itself, with its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose.
    pub endpoint: EndpointUid,
    /// Why.
    pub reason: DeadReason,
    /// When it died, milliseconds since the Unix epoch.
    pub died_ms: u64,
    /// Attempts spent.
    pub attempts: u32,
    /// The status code of the last one, where there was one.
    pub status: Option<u16>,
    /// One line for people, without secrets.
    pub note: Arc<str>,
    /// Its event; none if a byte of it is wrong.
    pub event: Option<Arc<StoredEvent>>,
}

/// Where the next page begins: before this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64, pub(crate) u64);

impl Place {
    /// Before nothing: at the newest.
    pub(crate) const NEWEST: Self = Self(u64::MAX, u64::MAX);
}

/// What a page holds, and where the next begins if there is one.
type Page<T> = Result<(Vec<T>, Option<Place>), SpoolError>;

/// What was settled before `place`, newest first: at most `limit` that are wanted, out of at most `scan` looked at
/// (to the end of the last block).
pub(crate) fn settled_before(
    store: &Store,
    place: Place,
    limit: usize,
    scan: usize,
    wanted: impl Fn(&Settled) -> bool,
) -> Page<Settled> {
    let (mut found, mut seen) = (Vec::new(), 0);
    for row in store.range_back(&store.history, ..=seq_key(Seq(place.0))) {
        let (key, block) = row.map_err(|error| failed(&error))?;
        let (Some(number), Some(rows)) = (split_seq_key(&key), decode_block(&block)) else {
            tracing::error!("a block of history is damaged: it is left out");
            continue;
        };
        for (index, row) in (0_u64..).zip(rows).collect::<Vec<_>>().into_iter().rev() {
            if number == place.0 && index >= place.1 {
                continue;
            }
            seen += 1;
            if wanted(&row) {
                found.push(row);
                if found.len() >= limit {
                    return Ok((found, Some(Place(number, index))));
                }
            }
        }
        if seen >= scan {
            return Ok((found, Some(Place(number, 0))));
        }
    }
    Ok((found, None))
}

/// Dead letters of one endpoint, or of all, newest first: at most `limit` before `place`.
pub(crate) fn dead_letters(
    store: &Store,
    of: Option<EndpointUid>,
    place: Place,
    limit: usize,
) -> Page<DeadLetter> {
    let mut found = Vec::new();
    let rows = match of {
        Some(uid) => {
            store.range_back(&store.dead, delivery_key(uid, Seq(0))..delivery_key(uid, Seq(place.0)))
        }
        None => store.range_back(&store.dead_order, seq_key(Seq(0))..seq_key(Seq(place.0))),
    };
    for row in rows {
        let (key, row) = row.map_err(|error| failed(&error))?;
        let at = match of {
            Some(_) => split_delivery_key(&key).map(|(uid, seq)| (uid, seq, seq.0)),
            None => {
                split_seq_key(&key).zip(split_delivery_key(&row)).map(|(order, (uid, seq))| (uid, seq, order))
            }
        };
        let Some((uid, seq, at)) = at else { continue };
        if let Some(letter) = letter(store, uid, seq)? {
            found.push(letter);
        }
        if found.len() >= limit {
            return Ok((found, Some(Place(at, 0))));
        }
    }
    Ok((found, None))
}

fn letter(store: &Store, endpoint: EndpointUid, seq: Seq) -> Result<Option<DeadLetter>, SpoolError> {
    let row = store.get(&store.dead, delivery_key(endpoint, seq)).map_err(|error| failed(&error))?;
    let Some(dead) = row.and_then(|row| DeadRow::decode(&row)) else { return Ok(None) };
    let record = store.get(&store.events, seq_key(seq)).map_err(|error| failed(&error))?;
    let event = record.and_then(|record| decode_event(seq, &record)).map(Arc::new);
    let DeadRow { reason, died_ms, attempts, status, note, .. } = dead;
    Ok(Some(DeadLetter { endpoint, reason, died_ms, attempts, status, note, event }))
}
