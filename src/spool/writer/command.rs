//! What the writer is told.

use super::{Amended, Amendment, Reply};
use crate::config::SpoolConfig;
use crate::ids::{EndpointUid, Identity, Seq};
use crate::spool::{
    Append, DedupLimits, EndpointState, HistoryNote, Lease, NewEvent, Parked, Settlement, Unwritten,
};
use bytes::Bytes;
use std::sync::Arc;

/// What a delivery counts for in a commit: a bit more than it takes in the record.
const DELIVERY_BYTES: usize = 64;
/// What a name counts for in a commit: more than it has, as it stays in memory for longer than a body.
const NAME_BYTES: usize = 1024;

/// What the writer is told.
pub(in crate::spool) enum Command {
    Append(Append),
    Settle {
        endpoint: EndpointUid,
        epoch: u64,
        unwritten: Arc<Unwritten>,
        seq: Seq,
        settlement: Settlement,
    },
    Park {
        endpoint: EndpointUid,
        epoch: u64,
        unwritten: Arc<Unwritten>,
        parked: Parked,
        note: HistoryNote,
    },
    Tried {
        endpoint: EndpointUid,
        epoch: u64,
        seq: Seq,
        note: HistoryNote,
    },
    Amend {
        amendment: Amendment,
        reply: Reply<Amended>,
    },
    Acquire {
        endpoint: EndpointUid,
        reply: Reply<Lease>,
    },
    PutState {
        endpoint: EndpointUid,
        state: EndpointState,
    },
    Register {
        identities: Vec<Identity>,
        reply: Reply<Vec<EndpointUid>>,
    },
    Remove {
        endpoint: EndpointUid,
    },
    Damaged {
        endpoint: EndpointUid,
        seq: Seq,
    },
    Limits {
        config: SpoolConfig,
        dedup: DedupLimits,
    },
    Close {
        reply: Reply<()>,
    },
    #[cfg(test)]
    Crash,
}

impl Command {
    /// Bytes that count for a commit, about: a few more do not matter.
    pub(super) fn weight(&self) -> usize {
        let of_note = |note: &HistoryNote| note.reason.len() + note.answer.as_ref().map_or(0, Bytes::len);
        match self {
            Self::Append(append) => {
                let of_event = |event: &NewEvent| event.body.len() + event.targets.len() * DELIVERY_BYTES;
                append.events.iter().map(of_event).sum()
            }
            Self::Register { identities, .. } => identities.len() * NAME_BYTES,
            Self::Settle { settlement, .. } => of_note(&settlement.note),
            Self::Park { note, .. } | Self::Tried { note, .. } => of_note(note),
            _ => 0,
        }
    }
}
