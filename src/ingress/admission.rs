use super::limits::Limits;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for what has arrived and is not durable yet, by bytes and by events. The mailboxes behind it are unbounded,
/// so this is what bounds them.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    bytes: Arc<Semaphore>,
    events: Arc<Semaphore>,
    all_bytes: u32,
}

/// Room for one request; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    bytes: OwnedSemaphorePermit,
    /// Only held.
    _events: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let semaphore = |size: u32| Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(0)));
        Self {
            bytes: semaphore(limits.bytes_in_flight),
            events: semaphore(limits.events_in_flight),
            all_bytes: limits.bytes_in_flight,
        }
    }

    /// Room for a body of so many bytes, if there is. A body larger than everything needs everything.
    pub(super) fn bytes(&self, count: u64) -> Option<Permit> {
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.all_bytes);
        let bytes = self.bytes.clone().try_acquire_many_owned(count).ok()?;
        Some(Permit { bytes, _events: None })
    }

    /// Room for the events that were in the body too, if there is; what the body did not need is given back.
    pub(super) fn events(&self, mut permit: Permit, bytes: usize, events: usize) -> Option<Permit> {
        if let Some(surplus) = permit.bytes.num_permits().checked_sub(bytes) {
            drop(permit.bytes.split(surplus));
        }
        let events = u32::try_from(events).ok()?;
        let events = self.events.clone().try_acquire_many_owned(events).ok()?;
        Some(Permit { bytes: permit.bytes, _events: Some(events) })
    }
}
