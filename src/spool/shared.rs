//! What the writer publishes after each commit, for everybody else to read.

use super::EndpointState;
use super::rare::{Blank, Rare};
use super::record::Counts;
use super::store::Store;
use crate::ids::{EndpointUid, Identity};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// What is known of one endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Its name and account, once registered.
    pub(super) identity: Option<Identity>,
    /// What it has to do, and remembers.
    pub(super) seen: Rare<Seen>,
}

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

impl Blank for Seen {
    fn blank() -> &'static Self {
        static BLANK: LazyLock<Seen> = LazyLock::new(Seen::default);
        &BLANK
    }
}

/// Between the writer and the readers. Nobody holds one of the locks while it does I/O.
#[derive(Default)]
pub(super) struct Shared {
    store: Mutex<Option<Arc<Store>>>,
    endpoints: Mutex<HashMap<EndpointUid, View>>,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    /// The database; `None` while it is being recovered or after it was closed.
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        lock(&self.store).clone()
    }

    pub(super) fn set_store(&self, store: Option<Arc<Store>>) {
        *lock(&self.store) = store;
    }

    pub(super) fn endpoints(&self) -> MutexGuard<'_, HashMap<EndpointUid, View>> {
        lock(&self.endpoints)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }
}

/// Every value behind these locks is whole at every instant, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
