//! What the last attempt of each parked delivery came to: its own row does not say, history does.

use crate::ids::{EndpointUid, Seq};
use crate::spool::{Entry, HistoryNote, Mark, Place, SpoolError, Store, Walk};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Rows of history looked at for all of them together: most were tried a short while ago. Fewer in tests, so
/// that these go both ways.
const RECENT: usize = if cfg!(test) { 40 } else { 20_000 };
/// How many are looked for one by one among the rows before those. Each may cost a walk through the index.
const ONE_BY_ONE: usize = if cfg!(test) { 2 } else { 32 };
/// Rows looked at for one of those.
const SCAN: usize = 20_000;

/// The last attempts of some deliveries.
pub(super) struct LastAttempts {
    recent: HashMap<(EndpointUid, Seq), HistoryNote>,
    /// Where the rows begin that were not looked at; none: all were.
    older: Option<Place>,
    left: usize,
}

/// Of one delivery.
pub(super) enum LastAttempt {
    /// It came to this, if history still has it.
    Known(Option<HistoryNote>),
    /// Too many were looked for.
    NotLookedFor,
}

impl LastAttempts {
    /// Looks for those of these deliveries.
    pub(super) fn of(store: &Store, deliveries: &[(EndpointUid, Seq)]) -> Result<Self, SpoolError> {
        if deliveries.is_empty() {
            return Ok(Self { recent: HashMap::new(), older: None, left: 0 });
        }
        let wanted: RefCell<HashSet<_>> = RefCell::new(deliveries.iter().copied().collect());
        let limit = wanted.borrow().len();
        let walk = Walk { place: Place::NEWEST, limit, scan: RECENT, mark: None, since_ms: 0 };
        // From the newest down: the first row that is met is the last attempt.
        let (found, older) = walk.rows(store, |entry| match entry {
            Entry::Tried(row) => {
                let delivery = (row.endpoint, row.seq);
                wanted.borrow_mut().remove(&delivery).then(|| (delivery, row.note.clone()))
            }
            Entry::Settled(_) | Entry::Replayed(_) => None,
        })?;
        Ok(Self { recent: found.into_iter().collect(), older, left: ONE_BY_ONE })
    }

    /// That of one of them.
    pub(super) fn take(
        &mut self,
        store: &Store,
        endpoint: EndpointUid,
        seq: Seq,
    ) -> Result<LastAttempt, SpoolError> {
        let recent = self.recent.remove(&(endpoint, seq));
        let Some(place) = self.older.filter(|_| recent.is_none()) else {
            return Ok(LastAttempt::Known(recent));
        };
        let Some(left) = self.left.checked_sub(1) else { return Ok(LastAttempt::NotLookedFor) };
        self.left = left;
        let mark = Some(Mark::delivery(endpoint, seq));
        let walk = Walk { place, limit: 1, scan: SCAN, mark, since_ms: 0 };
        let (found, _) = walk.rows(store, |entry| match entry {
            Entry::Tried(row) if (row.endpoint, row.seq) == (endpoint, seq) => Some(row.note.clone()),
            _ => None,
        })?;
        Ok(LastAttempt::Known(found.into_iter().next()))
    }
}
