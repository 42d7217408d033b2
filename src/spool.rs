//! The durable store between acceptance and the last settlement.
//!
//! [`Spool`] is the contract, narrow enough for a broker to fulfil it too: only `append` spans endpoints, sequences
//! are opaque, retry state lies in our own records. A [`Receipt`] says when an event is durable; nothing may be
//! answered with 202 before.
//!
//! [`EmbeddedSpool`] fulfils it in a folder of this machine, on a log over fjall: one writer thread makes a commit of
//! all that was said since the last, readers run beside it.

mod by_hand;
mod cache;
mod codec;
mod contract;
mod disk;
mod embedded;
#[cfg(test)]
mod faults;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod holder;
mod index;
mod journal;
mod meters;
mod names;
mod offline;
mod opening;
pub(crate) mod past;
mod read;
mod record;
mod settled;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use by_hand::{ByHand, HandWriter};
pub use contract::{
    Accepted, Append, Backlog, Committed, DeadReason, DedupKey, EndpointState, HistoryNote, Lease, NewEvent,
    Parked, Pending, ReadLimit, Receipt, Refusal, Settlement, Spool, SpoolError, SpoolEvent, Steps,
    StoredEvent, Trouble, Unwritten, Wake,
};
pub use disk::{Disk, SystemDisk};
pub use embedded::{DedupLimits, EmbeddedSpool, Listener};
pub use folder::OpenError;
pub use holder::holder;
pub(crate) use index::Mark;
pub use offline::{Checked, Content, Damage, Exported, Repaired, check, export, repair};
pub use past::DeadLetter;
pub(crate) use past::{Letters, Place, Waiting, Walk};
pub(crate) use record::LastAttempt;
pub use settled::{Entry, Replayed, Settled, Tried};
pub(crate) use store::Store;
pub(crate) use writer::{Amended, Amendment, Refused};
