use super::Unwritten;
use crate::ids::{Identity, Seq};
use crate::spool::rare::{Blank, Rare};
use crate::spool::record::Counts;
use crate::spool::shared::Seen;
use crate::spool::{EndpointState, StoredEvent};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

/// What the writer knows of one endpoint.
#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) identity: Option<Identity>,
    work: Rare<Work>,
}

/// What an endpoint has to do, and remembers.
#[derive(Default)]
pub(super) struct Work {
    pub(super) state: EndpointState,
    pub(super) counts: Counts,
    pub(super) epoch: u64,
    pub(super) unwritten: Option<Arc<Unwritten>>,
    /// Of the commit being made: settlements applied,
    pub(super) written: usize,
    /// new events,
    pub(super) fresh: Vec<Arc<StoredEvent>>,
    /// the delivery before them,
    pub(super) after: Option<Seq>,
    /// and whether it is among `Cycle::endpoints`.
    pub(super) touched: bool,
}

impl Endpoint {
    /// What others are shown of it.
    pub(super) fn seen(&self) -> Seen {
        Seen { state: self.state, epoch: self.epoch, counts: self.counts }
    }

    /// Gives room back if it has nothing to do, remembers nothing, and never had a lease.
    pub(super) fn rest(&mut self) {
        if self.work.is_kept() && !self.touched && self.seen() == Seen::default() {
            self.work.clear();
        }
    }
}

impl Blank for Work {
    fn blank() -> &'static Self {
        static BLANK: LazyLock<Work> = LazyLock::new(Work::default);
        &BLANK
    }
}

impl Deref for Endpoint {
    type Target = Work;

    fn deref(&self) -> &Work {
        &self.work
    }
}

impl DerefMut for Endpoint {
    fn deref_mut(&mut self) -> &mut Work {
        &mut self.work
    }
}
