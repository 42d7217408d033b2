//! What the writer publishes after each commit, for everybody else to read.

use super::names::Names;
use super::record::Counts;
use super::store::Store;
use super::{EndpointState, Trouble};
use crate::ids::EndpointUid;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an endpoint has to do, and remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// What it remembers.
    pub(super) state: EndpointState,
    /// The lease in force; 0: none yet.
    pub(super) epoch: u64,
    /// What waits.
    pub(super) counts: Counts,
}

/// Between the writer and the readers. Nobody holds two of the locks, nor one of them while it does I/O.
#[derive(Default)]
pub(super) struct Shared {
    store: Mutex<Option<Arc<Store>>>,
    names: Mutex<Names>,
    /// Those that have something to do or remember: of very many endpoints, few.
    seen: Mutex<FxHashMap<EndpointUid, Seen>>,
    trouble: Mutex<Option<Trouble>>,
    pending: AtomicU64,
}

impl Shared {
    /// The database; `None` while it is being recovered or after it was closed.
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        lock(&self.store).clone()
    }

    pub(super) fn set_store(&self, store: Option<Arc<Store>>) {
        *lock(&self.store) = store;
    }

    /// Every endpoint that was ever registered.
    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }

    /// What an endpoint has to do, and remembers.
    pub(super) fn seen(&self, uid: EndpointUid) -> Seen {
        lock(&self.seen).get(&uid).copied().unwrap_or_default()
    }

    /// Of every endpoint for which `which` holds.
    pub(super) fn all_seen(&self, which: impl Fn(&Seen) -> bool) -> Vec<(EndpointUid, Seen)> {
        let seen = lock(&self.seen);
        seen.iter().filter(|(_, seen)| which(seen)).map(|(uid, seen)| (*uid, *seen)).collect()
    }

    /// Changes what these are seen to have to do: lease in force, what waits. What they remember may be newer here than
    /// where the writer is, and stays.
    pub(super) fn see(&self, changed: impl IntoIterator<Item = (EndpointUid, u64, Counts)>) {
        let mut known = lock(&self.seen);
        changed.into_iter().for_each(|(uid, epoch, counts)| set(&mut known, uid, epoch, counts));
    }

    /// An endpoint remembers this from now on.
    pub(super) fn remember(&self, uid: EndpointUid, state: EndpointState) {
        let mut known = lock(&self.seen);
        let seen = Seen { state, ..known.get(&uid).copied().unwrap_or_default() };
        keep(&mut known, uid, seen);
    }

    /// The same of all: whoever is not among these has nothing to do.
    pub(super) fn see_all(&self, all: impl IntoIterator<Item = (EndpointUid, u64, Counts)>) {
        let mut known = lock(&self.seen);
        for seen in known.values_mut() {
            *seen = Seen { state: seen.state, ..Seen::default() };
        }
        all.into_iter().for_each(|(uid, epoch, counts)| set(&mut known, uid, epoch, counts));
        known.retain(|_, seen| *seen != Seen::default());
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        *lock(&self.trouble) = trouble;
    }

    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    pub(super) fn set_pending(&self, bytes: u64) {
        self.pending.store(bytes, Ordering::Relaxed);
    }
}

fn set(known: &mut FxHashMap<EndpointUid, Seen>, uid: EndpointUid, epoch: u64, counts: Counts) {
    let Some(seen) = known.get_mut(&uid) else {
        keep(known, uid, Seen { epoch, counts, ..Seen::default() });
        return;
    };
    (seen.epoch, seen.counts) = (epoch, counts);
    if epoch == 0 && *seen == Seen::default() {
        known.remove(&uid);
    }
}

/// What is as it is by default takes no room.
fn keep(known: &mut FxHashMap<EndpointUid, Seen>, uid: EndpointUid, seen: Seen) {
    if seen == Seen::default() {
        known.remove(&uid);
    } else {
        known.insert(uid, seen);
    }
}

/// Every value behind these locks is whole at every instant, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
