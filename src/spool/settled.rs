//! Blocks of history: what one commit settled, in one row, so that a success costs no insert of its own.

use super::codec::{Decoder, Encoder};
use super::record::{reason_code, reason_of};
use super::{DeadReason, HistoryNote, StoredEvent};
use crate::ids::{EndpointUid, EventId, Generation, Seq};
use std::sync::Arc;

const VERSION: u8 = 1;

/// A delivery that was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its endpoint.
    pub endpoint: EndpointUid,
    /// Its place.
    pub seq: Seq,
    /// Its event's id.
    pub id: EventId,
    /// Its event's name.
    pub event: Arc<str>,
    /// The product it came from.
    pub product: Arc<str>,
    /// The customer it belongs to.
    pub account: Option<Arc<str>>,
    /// The message it is about.
    pub message_id: Arc<str>,
    /// When its event was accepted, milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// Delivered, or dead with the reason.
    pub result: Result<(), DeadReason>,
    /// The rest.
    pub note: HistoryNote,
}

/// Collects what one commit settles.
#[derive(Default)]
pub(super) struct Block {
    rows: Vec<u8>,
    newest_ms: u64,
}

impl Block {
    /// Adds a settlement.
    pub(super) fn add(
        &mut self,
        endpoint: EndpointUid,
        event: &StoredEvent,
        result: Result<(), DeadReason>,
        note: &HistoryNote,
    ) {
        self.newest_ms = self.newest_ms.max(note.ended_ms);
        let mut row = Encoder(std::mem::take(&mut self.rows));
        row.u32(endpoint.0);
        row.u64(event.seq.0);
        row.raw(&event.id.0);
        row.u64(event.accepted_ms);
        row.u8(result.err().map_or(0, reason_code));
        row.u32(note.attempts);
        row.u64(note.ended_ms);
        row.u32(note.took_us);
        row.u16(note.status.unwrap_or_default());
        row.u64(note.generation.0);
        row.bytes(event.event.as_bytes());
        row.bytes(event.product.as_bytes());
        row.bytes(event.message_id.as_bytes());
        row.option_str(event.account.as_deref());
        row.bytes(note.reason.as_bytes());
        self.rows = row.0;
    }

    /// The row of the block; `None` if nothing was settled. Empty again afterwards.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.rows.is_empty() {
            return None;
        }
        let mut row = Encoder::with_capacity(13 + self.rows.len());
        row.u8(VERSION);
        row.u64(self.newest_ms);
        row.u32(crc32fast::hash(&self.rows));
        row.raw(&self.rows);
        self.rows.clear();
        self.newest_ms = 0;
        Some(row.0)
    }
}

/// When the last of a block's attempts ended.
pub(super) fn newest_ms(block: &[u8]) -> Option<u64> {
    let mut row = Decoder::new(block);
    (row.u8()? == VERSION).then_some(())?;
    row.u64()
}

/// The settlements of a block, in the order they were written; `None` if a byte of it is wrong.
pub(super) fn decode_block(block: &[u8]) -> Option<Vec<Settled>> {
    let mut row = Decoder::new(block);
    (row.u8()? == VERSION).then_some(())?;
    let _newest = row.u64()?;
    let sum = row.u32()?;
    (crc32fast::hash(block.get(row.taken()..)?) == sum).then_some(())?;
    let mut settled = Vec::new();
    while !row.is_empty() {
        let endpoint = EndpointUid(row.u32()?);
        let seq = Seq(row.u64()?);
        let id = EventId(row.array()?);
        let accepted_ms = row.u64()?;
        let result = match row.u8()? {
            0 => Ok(()),
            code => Err(reason_of(code)?),
        };
        let attempts = row.u32()?;
        let ended_ms = row.u64()?;
        let took_us = row.u32()?;
        let status = Some(row.u16()?).filter(|status| *status != 0);
        let generation = Generation(row.u64()?);
        let event = Arc::from(row.str()?);
        let product = Arc::from(row.str()?);
        let message_id = Arc::from(row.str()?);
        let account = row.option_str()?.map(Arc::from);
        let reason = Arc::from(row.str()?);
        let note = HistoryNote { attempts, ended_ms, took_us, status, reason, generation };
        settled.push(Settled {
            endpoint,
            seq,
            id,
            event,
            product,
            account,
            message_id,
            accepted_ms,
            result,
            note,
        });
    }
    Some(settled)
}
