use super::Unwritten;
use crate::ids::Seq;
use crate::spool::record::Counts;
use crate::spool::{EndpointState, StoredEvent};
use std::sync::Arc;

/// What the writer knows of an endpoint that has something to do, or remembers something.
#[derive(Default)]
pub(super) struct Endpoint {
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
    /// Whether it has nothing to do, remembers nothing, and never had a lease: then it need not be known.
    pub(super) fn is_blank(&self) -> bool {
        !self.touched
            && self.epoch == 0
            && self.counts == Counts::default()
            && self.state == EndpointState::default()
    }
}
