use crate::Trail;
use bytes::Bytes;
use std::sync::Arc;

/// One event for one endpoint, on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event's id, `evt_…` (`evt_test_…` for a test event): the same on every attempt.
    pub id: Arc<str>,
    /// The event's name: `delivered`.
    pub event: Arc<str>,
    /// The product it came from: `campaigns`.
    pub product: Arc<str>,
    /// The customer it belongs to.
    pub account: Option<Arc<str>>,
    /// The documented structure, compact, with the publisher's bytes of `data` untouched:
    /// `{"event":…,"timestamp":…,"data":{"message_id":…,"status":…,"details":…}}`.
    pub body: Bytes,
    /// 1 for the first attempt since acceptance or replay.
    pub attempt: u32,
    /// A test event, asked for by a person.
    pub test: bool,
    /// W3C `traceparent` of the attempt's own span.
    pub traceparent: Option<Arc<str>>,
    /// What is learned on the way; kept when the attempt is dropped at its deadline.
    pub trail: Arc<Trail>,
}
