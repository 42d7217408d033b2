//! What goes through rows from the oldest on, and how it goes on where one cannot be read.
//!
//! A read may fail for a moment: what is to go first is waited for then, and for as long as it is for want of descriptors
//! or memory. Where a disk does not yield a row any more (EIO), budgets and ages would hold no longer for all that lies
//! behind it. So such a row is stepped over. It stays where it is, and is tried again a while later.

use super::HOUSEKEEPING;
use crate::ids::EndpointUid;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a row is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// After what time those that were stepped over are tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// What a walk goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Walk {
    /// Keys of events, by the first of their commit.
    Dedup,
    /// Dead letters, in the order of their deaths.
    Dead,
    /// Blocks of history, by number.
    History,
    /// What waits for an endpoint, by sequence.
    Waiting(EndpointUid),
}

/// A walk that has met what it cannot read.
struct Stuck {
    since: Instant,
    /// It rests until then.
    rests: Instant,
    /// Up to here all is gone but for what could not be read: it goes on behind it,
    beyond: Option<u64>,
    /// until then.
    again: Instant,
    /// So far it goes where it is not told which row cannot be read.
    stride: u64,
}

/// Where they all are.
#[derive(Default)]
pub(super) struct Walks {
    /// Nothing is left before these.
    floors: BTreeMap<Walk, u64>,
    stuck: BTreeMap<Walk, Stuck>,
}

impl Walks {
    /// Where a walk goes on.
    pub(super) fn start(&self, walk: Walk) -> u64 {
        let beyond = self.stuck.get(&walk).and_then(|stuck| stuck.beyond);
        beyond.map_or_else(|| self.floor(walk), |beyond| beyond.saturating_add(1))
    }

    /// Nothing is left before this place.
    pub(super) fn floor(&self, walk: Walk) -> u64 {
        self.floors.get(&walk).copied().unwrap_or_default()
    }

    /// Whether it has stepped over something.
    pub(super) fn steps_over(&self, walk: Walk) -> bool {
        self.stuck.get(&walk).is_some_and(|stuck| stuck.beyond.is_some())
    }

    /// Whether it has failed a moment ago.
    pub(super) fn rests(&self, walk: Walk, now: Instant) -> bool {
        self.stuck.get(&walk).is_some_and(|stuck| now < stuck.rests)
    }

    /// The row at this place could be read and has gone. True: so have all before it.
    pub(super) fn reached(&mut self, walk: Walk, place: u64) -> bool {
        if let Some(stuck) = self.stuck.get_mut(&walk)
            && let Some(beyond) = &mut stuck.beyond
        {
            (*beyond, stuck.stride) = (place.max(*beyond), 1);
            return false;
        }
        self.stuck.remove(&walk);
        // Of what waits, the endpoint's own numbers say it.
        if !matches!(walk, Walk::Waiting(_)) {
            self.floors.insert(walk, place.saturating_add(1));
        }
        true
    }

    /// The row at this place could not be read. True: that lasts, and it is stepped over.
    pub(super) fn failed_at(&mut self, walk: Walk, place: u64, error: &fjall::Error, now: Instant) -> bool {
        let stuck = self.stuck(walk, error, now);
        let lasts = now >= stuck.since + PATIENCE;
        if lasts {
            stuck.beyond = Some(place);
        } else {
            stuck.rests = now + HOUSEKEEPING / 2;
        }
        lasts
    }

    /// One of the rows from this place on could not be read, and which of them it is was not told. Where that lasts, the
    /// walk goes on behind it, each time further.
    pub(super) fn failed_from(&mut self, walk: Walk, place: u64, error: &fjall::Error, now: Instant) {
        let stuck = self.stuck(walk, error, now);
        stuck.rests = now + HOUSEKEEPING / 2;
        if now >= stuck.since + PATIENCE {
            stuck.beyond = Some(place.saturating_add(stuck.stride - 1));
            stuck.stride = stuck.stride.saturating_mul(2);
        }
    }

    /// Nothing is left but what was stepped over: it rests until that is tried again.
    pub(super) fn rest(&mut self, walk: Walk) {
        if let Some(stuck) = self.stuck.get_mut(&walk) {
            stuck.rests = stuck.again;
        }
    }

    /// What was stepped over is tried again when it is time for that; who has not failed since is forgotten.
    pub(super) fn try_again(&mut self, now: Instant) {
        self.stuck.retain(|_, stuck| {
            if now < stuck.again {
                return true;
            }
            (stuck.again, stuck.stride) = (now + AGAIN, 1);
            stuck.beyond.take().is_some()
        });
    }

    fn stuck(&mut self, walk: Walk, error: &fjall::Error, now: Instant) -> &mut Stuck {
        let new = || Stuck { since: now, rests: now, beyond: None, again: now + AGAIN, stride: 1 };
        let stuck = self.stuck.entry(walk).or_insert_with(new);
        if !is_of_row(error) {
            stuck.since = now;
        }
        stuck
    }
}

/// Whether an error says something about the row, and not only that the process is short of something: that would be
/// said of all others too.
fn is_of_row(error: &fjall::Error) -> bool {
    let (fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io))) = error else { return true };
    !matches!(Errno::from_io_error(io), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
