//! Blocks of history: what one commit settled and which attempts failed, in one row, so that neither costs an insert
//! of its own. A block is dropped whole when its time or its bytes are spent, with the attempts in it.

use super::codec::{Decoder, Encoder};
use super::index::Mark;
use super::record::{reason_code, reason_of};
use super::{DeadReason, HistoryNote, Steps, StoredEvent};
use crate::ids::{EndpointUid, EventId, Generation, MessageKey, Seq};
use bytes::Bytes;
use postrider_sink::FailureClass;
use std::ops::Range;
use std::sync::Arc;

const VERSION: u8 = 2;

/// What a row of a block is.
const SETTLED: u8 = 1;
const TRIED: u8 = 2;
const REPLAYED: u8 = 3;

/// One row of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A delivery ended.
    Settled(Settled),
    /// An attempt failed, and its delivery goes on.
    Tried(Tried),
    /// A dead letter became a delivery again.
    Replayed(Replayed),
}

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

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its endpoint.
    pub endpoint: EndpointUid,
    /// Its delivery.
    pub seq: Seq,
    /// The event's id.
    pub id: EventId,
    /// The customer it belongs to.
    pub account: Option<Arc<str>>,
    /// The message it is about.
    pub message_id: Arc<str>,
    /// What came of it.
    pub note: HistoryNote,
}

/// A dead letter that became a delivery again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Its endpoint.
    pub endpoint: EndpointUid,
    /// The delivery that had died.
    pub from: Seq,
    /// The one it is now.
    pub to: Seq,
    /// The event's id.
    pub id: EventId,
}

/// Collects what one commit adds to history.
#[derive(Default)]
pub(super) struct Block {
    rows: Vec<u8>,
    newest_ms: u64,
    marks: Vec<Mark>,
}

impl Block {
    /// Adds a settlement.
    pub(super) fn settled(
        &mut self,
        endpoint: EndpointUid,
        event: &StoredEvent,
        key: MessageKey,
        result: Result<(), DeadReason>,
        note: &HistoryNote,
    ) {
        self.marks.extend([Mark::message(key), Mark::event(event.id), Mark::delivery(endpoint, event.seq)]);
        let mut row = self.begin(SETTLED, endpoint, note.ended_ms);
        row.u64(event.seq.0);
        row.raw(&event.id.0);
        row.u64(event.accepted_ms);
        row.u8(result.err().map_or(0, reason_code));
        row.bytes(event.event.as_bytes());
        row.bytes(event.product.as_bytes());
        row.bytes(event.message_id.as_bytes());
        row.option_str(event.account.as_deref());
        encode_note(&mut row, note);
        self.rows = row.0;
    }

    /// Adds an attempt that failed.
    pub(super) fn tried(&mut self, endpoint: EndpointUid, event: &StoredEvent, note: &HistoryNote) {
        self.marks.extend([Mark::message(event.key()), Mark::delivery(endpoint, event.seq)]);
        let mut row = self.begin(TRIED, endpoint, note.ended_ms);
        row.u64(event.seq.0);
        row.raw(&event.id.0);
        row.bytes(event.message_id.as_bytes());
        row.option_str(event.account.as_deref());
        encode_note(&mut row, note);
        self.rows = row.0;
    }

    /// Adds a replay.
    pub(super) fn replayed(&mut self, replay: &Replayed, now_ms: u64) {
        let Replayed { endpoint, from, to, id } = *replay;
        self.marks.extend([Mark::event(id), Mark::delivery(endpoint, from)]);
        let mut row = self.begin(REPLAYED, endpoint, now_ms);
        row.u64(from.0);
        row.u64(to.0);
        row.raw(&id.0);
        self.rows = row.0;
    }

    /// Adds a row as it was in another block.
    pub(super) fn again(&mut self, row: &[u8], newest_ms: u64) {
        self.newest_ms = self.newest_ms.max(newest_ms);
        self.rows.extend_from_slice(row);
    }

    fn begin(&mut self, kind: u8, endpoint: EndpointUid, at_ms: u64) -> Encoder {
        self.newest_ms = self.newest_ms.max(at_ms);
        let mut row = Encoder(std::mem::take(&mut self.rows));
        row.u8(kind);
        row.u32(endpoint.0);
        row
    }

    /// The row of the block, and where it is to be found; `None` if there is nothing in it. Empty again afterwards.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, Vec<Mark>)> {
        let marks = std::mem::take(&mut self.marks);
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
        Some((row.0, marks))
    }
}

/// Numbers that are rarely there cost a bit each: bits of the byte before them.
fn encode_note(row: &mut Encoder, note: &HistoryNote) {
    let Steps { dns_us, connect_us, tls_us, wait_us } = note.steps;
    let numbers = [dns_us, connect_us, tls_us, wait_us, note.status.map(u32::from)];
    let mut bits = u8::from(note.answer.is_some()) << 5;
    for (bit, number) in numbers.iter().enumerate() {
        bits |= u8::from(number.is_some()) << bit;
    }
    row.u8(bits);
    row.u8(note.class.map_or(0, class_code));
    row.u32(note.attempts);
    row.u64(note.ended_ms);
    row.u32(note.took_us);
    row.u64(note.generation.0);
    row.bytes(note.reason.as_bytes());
    for number in numbers.into_iter().flatten() {
        row.u32(number);
    }
    if let Some(answer) = &note.answer {
        row.bytes(answer);
    }
}

fn decode_note(row: &mut Decoder<'_>) -> Option<HistoryNote> {
    let bits = row.u8()?;
    let class = match row.u8()? {
        0 => None,
        code => Some(class_of(code)?),
    };
    let attempts = row.u32()?;
    let ended_ms = row.u64()?;
    let took_us = row.u32()?;
    let generation = Generation(row.u64()?);
    let reason = Arc::from(row.str()?);
    let mut numbers = [None; 5];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if bits >> bit & 1 == 1 {
            *number = Some(row.u32()?);
        }
    }
    let [dns_us, connect_us, tls_us, wait_us, status] = numbers;
    let answer = if bits >> 5 & 1 == 1 { Some(Bytes::copy_from_slice(row.bytes()?)) } else { None };
    let status = status.and_then(|status| u16::try_from(status).ok());
    let steps = Steps { dns_us, connect_us, tls_us, wait_us };
    Some(HistoryNote { attempts, ended_ms, took_us, steps, status, class, answer, reason, generation })
}

/// Every class, by the number it is stored as, less one.
const CLASSES: [FailureClass; 6] = [
    FailureClass::HttpError,
    FailureClass::Timeout,
    FailureClass::Dns,
    FailureClass::Connect,
    FailureClass::Tls,
    FailureClass::SinkError,
];

const fn class_code(class: FailureClass) -> u8 {
    match class {
        FailureClass::HttpError => 1,
        FailureClass::Timeout => 2,
        FailureClass::Dns => 3,
        FailureClass::Connect => 4,
        FailureClass::Tls => 5,
        FailureClass::SinkError => 6,
    }
}

fn class_of(code: u8) -> Option<FailureClass> {
    CLASSES.into_iter().find(|class| class_code(*class) == code)
}

/// When the last of a block's attempts ended.
pub(super) fn newest_ms(block: &[u8]) -> Option<u64> {
    let mut row = Decoder::new(block);
    (row.u8()? == VERSION).then_some(())?;
    row.u64()
}

/// The rows of a block, in the order they were written; `None` if a byte of it is wrong.
pub(super) fn decode_block(block: &[u8]) -> Option<Vec<Entry>> {
    Some(decode_rows(block)?.into_iter().map(|(entry, _)| entry).collect())
}

/// The rows of a block, each with its bytes.
pub(super) fn decode_rows(block: &[u8]) -> Option<Vec<(Entry, Range<usize>)>> {
    let mut row = Decoder::new(block);
    (row.u8()? == VERSION).then_some(())?;
    let _newest = row.u64()?;
    let sum = row.u32()?;
    (crc32fast::hash(block.get(row.taken()..)?) == sum).then_some(())?;
    let mut rows = Vec::new();
    while !row.is_empty() {
        let begin = row.taken();
        let entry = decode_entry(&mut row)?;
        rows.push((entry, begin..row.taken()));
    }
    Some(rows)
}

fn decode_entry(row: &mut Decoder<'_>) -> Option<Entry> {
    let kind = row.u8()?;
    let endpoint = EndpointUid(row.u32()?);
    let seq = Seq(row.u64()?);
    match kind {
        SETTLED => {
            let id = EventId(row.array()?);
            let accepted_ms = row.u64()?;
            let result = match row.u8()? {
                0 => Ok(()),
                code => Err(reason_of(code)?),
            };
            Some(Entry::Settled(Settled {
                endpoint,
                seq,
                id,
                event: Arc::from(row.str()?),
                product: Arc::from(row.str()?),
                message_id: Arc::from(row.str()?),
                account: row.option_str()?.map(Arc::from),
                accepted_ms,
                result,
                note: decode_note(row)?,
            }))
        }
        TRIED => {
            let id = EventId(row.array()?);
            let message_id = Arc::from(row.str()?);
            let account = row.option_str()?.map(Arc::from);
            let note = decode_note(row)?;
            Some(Entry::Tried(Tried { endpoint, seq, id, account, message_id, note }))
        }
        REPLAYED => {
            let to = Seq(row.u64()?);
            let id = EventId(row.array()?);
            Some(Entry::Replayed(Replayed { endpoint, from: seq, to, id }))
        }
        _ => None,
    }
}
