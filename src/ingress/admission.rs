use super::limits::Limits;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for what has arrived and is not durable yet, by bytes and by events. The mailboxes behind it are unbounded,
/// so this is what bounds them.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    bytes: Arc<Semaphore>,
    events: Arc<Semaphore>,
    most_events: u32,
    most_bytes: u32,
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
            most_events: limits.events_in_flight,
            most_bytes: limits.bytes_in_flight,
        }
    }

    /// Room for the next bytes of a body, beside what it has, if there is. It is taken as they arrive: what is only
    /// announced, and perhaps never comes, keeps nobody out. Bodies that are not `whole` with these bytes leave half of
    /// the room, or what a body of `most` bytes leaves: those who send slowly do not keep out those who send at once.
    pub(super) fn bytes(
        &self,
        count: usize,
        whole: bool,
        most: u64,
        before: Option<Permit>,
    ) -> Option<Permit> {
        let kept = usize::try_from(u64::from(self.most_bytes).saturating_sub(most)).unwrap_or(usize::MAX);
        let kept = kept.min(usize::try_from(self.most_bytes / 2).unwrap_or(usize::MAX));
        if !whole && self.bytes.available_permits() < kept.saturating_add(count) {
            return None;
        }
        let more = self.bytes.clone().try_acquire_many_owned(u32::try_from(count).ok()?).ok()?;
        let Some(mut permit) = before else { return Some(Permit { bytes: more, _events: None }) };
        permit.bytes.merge(more);
        Some(permit)
    }

    /// Room for the events that were in the body too, if there is.
    pub(super) fn events(&self, permit: Permit, events: usize) -> Option<Permit> {
        // An array of more events than there is room for waits until it has all of the room: it could never come else.
        let events = u32::try_from(events).unwrap_or(u32::MAX).min(self.most_events);
        let events = self.events.clone().try_acquire_many_owned(events).ok()?;
        Some(Permit { bytes: permit.bytes, _events: Some(events) })
    }
}
