//! The durable store between acceptance and the last settlement.
//!
//! [`Spool`] is the contract, narrow enough for a broker to fulfil it too: only `append` spans endpoints, sequences
//! are opaque, retry state lies in our own records. [`Appended`] says when an event is durable; nothing may be
//! answered with 202 before.

mod contract;

pub use contract::{
    Accepted, Append, Backlog, Committed, DeadReason, DedupKey, EndpointState, HistoryNote, Lease, NewEvent,
    Parked, Pending, ReadLimit, Receipt, Refusal, Settlement, Spool, SpoolError, SpoolEvent, StoredEvent,
    Unwritten, Wake,
};
