//! What the last attempts of parked deliveries came to: their rows name the blocks of history that say it.

use crate::ids::{EndpointUid, Seq};
use crate::spool::past::rows_of_block;
use crate::spool::{Entry, HistoryNote, LastAttempt, SpoolError, Store};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows looked at for one page. Of the deliveries whose blocks come after these only the codes are shown.
const SCAN: usize = if cfg!(test) { 40 } else { 20_000 };

/// A delivery.
pub(super) type Delivery = (EndpointUid, Seq);

/// The records of these last attempts, as far as history still has them.
pub(super) fn last_attempts(
    store: &Store,
    parked: impl Iterator<Item = (Delivery, LastAttempt)>,
) -> Result<HashMap<Delivery, HistoryNote>, SpoolError> {
    let mut blocks: BTreeMap<u64, HashSet<Delivery>> = BTreeMap::new();
    for (delivery, last) in parked {
        blocks.entry(last.block).or_default().insert(delivery);
    }
    let (mut found, mut seen) = (HashMap::new(), 0);
    for (number, wanted) in blocks.into_iter().rev() {
        if seen >= SCAN {
            break;
        }
        let rows = rows_of_block(store, number)?;
        seen += rows.len();
        found.extend(rows.into_iter().filter_map(|row| match row {
            Entry::Tried(row) => {
                Some(((row.endpoint, row.seq), row.note)).filter(|(of, _)| wanted.contains(of))
            }
            Entry::Settled(_) | Entry::Replayed(_) => None,
        }));
    }
    Ok(found)
}
