//! The rows of the store, one type each. Every row begins with the version of its layout; an event's record ends
//! with a checksum over its key and everything in it, so that a wrong byte is never delivered.

mod remembered;

pub(super) use remembered::{decode_endpoint, encode_endpoint};

use super::codec::{Decoder, Encoder};
use super::{DeadReason, NewEvent, Parked, StoredEvent};
use crate::ids::{EndpointUid, EventId, Generation, MessageKey, Seq};
use bytes::Bytes;
use std::sync::Arc;

/// The layout this code writes.
const VERSION: u8 = 1;

/// Appends the record of an event.
pub(super) fn encode_event(event: &StoredEvent, to: &mut Vec<u8>) {
    let begin = to.len();
    let names = event.event.len() + event.product.len() + event.message_id.len();
    let options = event.account.as_ref().map_or(0, |text| text.len())
        + event.traceparent.as_ref().map_or(0, |text| text.len());
    to.reserve(75 + names + options + event.body.len());
    let mut row = Encoder(std::mem::take(to));
    row.u8(VERSION);
    row.raw(&event.id.0);
    row.u64(event.generation.0);
    row.u64(event.accepted_ms);
    row.u32(event.targets);
    row.bytes(event.event.as_bytes());
    row.bytes(event.product.as_bytes());
    row.bytes(event.message_id.as_bytes());
    row.option_str(event.account.as_deref());
    row.option_str(event.traceparent.as_deref());
    row.bytes(&event.body);
    let sum = checksum(event.seq, row.0.get(begin..).unwrap_or_default());
    row.u32(sum);
    *to = row.0;
}

/// The event of a record; `None` if a byte of it is wrong.
pub(super) fn decode_event(seq: Seq, record: &Bytes) -> Option<StoredEvent> {
    let (content, sum) = record.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(seq, content) {
        return None;
    }
    let mut row = Decoder::new(content);
    if row.u8()? != VERSION {
        return None;
    }
    let id = EventId(row.array()?);
    let generation = Generation(row.u64()?);
    let accepted_ms = row.u64()?;
    let targets = row.u32()?;
    let event = Arc::from(row.str()?);
    let product = Arc::from(row.str()?);
    let message_id = Arc::from(row.str()?);
    let account = row.option_str()?.map(Arc::from);
    let traceparent = row.option_str()?.map(Arc::from);
    let body = row.bytes()?.len();
    let end = row.taken();
    let body = record.slice(end.checked_sub(body)?..end);
    Some(StoredEvent {
        seq,
        id,
        event,
        product,
        account,
        message_id,
        body,
        traceparent,
        generation,
        accepted_ms,
        targets,
    })
}

/// What the record of an event says of its id and of when it was accepted. A byte of it may be wrong.
pub(super) fn peek_event(record: &[u8]) -> Option<(EventId, u64)> {
    let mut row = Decoder::new(record);
    (row.u8()? == VERSION).then_some(())?;
    let id = EventId(row.array()?);
    let _generation = row.u64()?;
    Some((id, row.u64()?))
}

fn checksum(seq: Seq, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.0.to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// The event that a submission becomes.
pub(super) fn stored(new: NewEvent, seq: Seq, id: EventId) -> StoredEvent {
    StoredEvent {
        seq,
        id,
        event: new.event,
        product: new.product,
        account: new.account,
        message_id: new.message_id,
        body: new.body,
        traceparent: new.traceparent,
        generation: new.generation,
        accepted_ms: new.accepted_ms,
        targets: u32::try_from(new.targets.len()).unwrap_or(u32::MAX),
    }
}

/// A delivery that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeliveryRow {
    /// What orders it.
    pub(super) key: MessageKey,
    /// Bytes of its body.
    pub(super) length: u32,
    /// When its event was accepted.
    pub(super) accepted_ms: u64,
    /// Its retry state, if it is parked.
    pub(super) parked: Option<ParkedRow>,
}

/// The retry state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ParkedRow {
    /// As in [`Parked`], these three.
    pub(super) due_ms: u64,
    pub(super) wait_ms: u64,
    pub(super) attempts: u32,
    /// A row of an earlier release does not say.
    pub(super) last: Option<LastAttempt>,
}

/// What is known of the attempt after which a delivery was parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastAttempt {
    /// The status code, where there was one.
    pub(crate) status: Option<u16>,
    /// The block of history that has the rest, for as long as that is kept.
    pub(crate) block: u64,
}

impl DeliveryRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(if self.parked.is_some() { 51 } else { 21 });
        row.u8(VERSION);
        row.u64(self.key.0);
        row.u32(self.length);
        row.u64(self.accepted_ms);
        if let Some(parked) = self.parked {
            row.u64(parked.due_ms);
            row.u32(parked.attempts);
            row.u64(parked.wait_ms);
            if let Some(last) = parked.last {
                row.u64(last.block);
                row.u16(last.status.unwrap_or_default());
            }
        }
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        if row.u8()? != VERSION {
            return None;
        }
        let key = MessageKey(row.u64()?);
        let length = row.u32()?;
        let accepted_ms = row.u64()?;
        if row.is_empty() {
            return Some(Self { key, length, accepted_ms, parked: None });
        }
        let (due_ms, attempts) = (row.u64()?, row.u32()?);
        // Earlier rows end here,
        let wait_ms = if row.is_empty() { u64::MAX } else { row.u64()? };
        // or here.
        let last = if row.is_empty() {
            None
        } else {
            let block = row.u64()?;
            Some(LastAttempt { status: Some(row.u16()?).filter(|status| *status > 0), block })
        };
        Some(Self { key, length, accepted_ms, parked: Some(ParkedRow { due_ms, wait_ms, attempts, last }) })
    }

    /// The retry state, as the contract says it.
    pub(super) fn parked_at(&self, seq: Seq) -> Option<Parked> {
        let parked = |ParkedRow { due_ms, wait_ms, attempts, .. }| Parked {
            seq,
            key: self.key,
            due_ms,
            wait_ms,
            attempts,
        };
        self.parked.map(parked)
    }
}

/// What is left of an event with several targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefsRow {
    /// Deliveries that are not settled.
    pub(super) live: u32,
    /// Dead letters that are kept.
    pub(super) dead: u32,
}

impl RefsRow {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(9);
        row.u8(VERSION);
        row.u32(self.live);
        row.u32(self.dead);
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        (row.u8()? == VERSION).then_some(())?;
        Some(Self { live: row.u32()?, dead: row.u32()? })
    }
}

/// What a repeat is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DedupRow {
    /// Digest of the content.
    pub(super) content: u64,
    /// The id that was given.
    pub(super) id: EventId,
    /// How many deliveries it made.
    pub(super) deliveries: u32,
    /// When it was accepted.
    pub(super) accepted_ms: u64,
    /// Its place among the keys: the event's sequence number.
    pub(super) order: u64,
}

impl DedupRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(45);
        row.u8(VERSION);
        row.u64(self.content);
        row.raw(&self.id.0);
        row.u32(self.deliveries);
        row.u64(self.accepted_ms);
        row.u64(self.order);
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        (row.u8()? == VERSION).then_some(())?;
        Some(Self {
            content: row.u64()?,
            id: EventId(row.array()?),
            deliveries: row.u32()?,
            accepted_ms: row.u64()?,
            order: row.u64()?,
        })
    }
}

/// The age of one key. A row of `dedup_order` has those of one commit, under the sequence of the first: a version, then
/// for each, big-endian, the key, when it was accepted and its sequence's distance from the row's (u32). A row of 24
/// bytes is an earlier layout: one key and when it was accepted, under its own sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyAge {
    /// What repeats are recognised by.
    pub(super) key: [u8; 16],
    /// When it was accepted.
    pub(super) accepted_ms: u64,
    /// The event's sequence number, as in [`DedupRow::order`].
    pub(super) order: u64,
}

impl KeyAge {
    /// Keys of one row: a commit with more has several.
    pub(super) const MOST: usize = 1000;

    /// The row under this sequence; that of no key comes before it.
    pub(super) fn encode(place: u64, ages: &[Self]) -> Vec<u8> {
        let mut row = Encoder::with_capacity(1 + 28 * ages.len());
        row.u8(VERSION);
        for age in ages {
            let offset = u32::try_from(age.order.saturating_sub(place)).unwrap_or(u32::MAX);
            row.raw(&age.key);
            row.raw(&age.accepted_ms.to_be_bytes());
            row.raw(&offset.to_be_bytes());
        }
        row.0
    }

    pub(super) fn decode(place: u64, row: &[u8]) -> Option<Vec<Self>> {
        let (earlier, mut ages) = (row.len() == 24, Vec::with_capacity(row.len() / 24));
        let mut row = Decoder::new(row);
        (earlier || row.u8()? == VERSION).then_some(())?;
        while !row.is_empty() {
            let (key, accepted_ms) = (row.array()?, u64::from_be_bytes(row.array()?));
            let offset = if earlier { 0 } else { u32::from_be_bytes(row.array()?) };
            ages.push(Self { key, accepted_ms, order: place.checked_add(u64::from(offset))? });
        }
        Some(ages)
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadRow {
    /// Why.
    pub(super) reason: DeadReason,
    /// Its place among all dead letters, oldest first.
    pub(super) order: u64,
    /// When it died.
    pub(super) died_ms: u64,
    /// Attempts spent.
    pub(super) attempts: u32,
    /// Of the last attempt.
    pub(super) status: Option<u16>,
    /// Bytes of its body.
    pub(super) length: u32,
    /// When its event was accepted.
    pub(super) accepted_ms: u64,
    /// One line for people.
    pub(super) note: Arc<str>,
}

impl DeadRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(45 + self.note.len());
        row.u8(VERSION);
        row.u8(reason_code(self.reason));
        row.u64(self.order);
        row.u64(self.died_ms);
        row.u32(self.attempts);
        row.u16(self.status.unwrap_or_default());
        row.u32(self.length);
        row.u64(self.accepted_ms);
        row.bytes(self.note.as_bytes());
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        (row.u8()? == VERSION).then_some(())?;
        Some(Self {
            reason: reason_of(row.u8()?)?,
            order: row.u64()?,
            died_ms: row.u64()?,
            attempts: row.u32()?,
            status: Some(row.u16()?).filter(|status| *status != 0),
            length: row.u32()?,
            accepted_ms: row.u64()?,
            note: Arc::from(row.str()?),
        })
    }
}

/// The number a reason is stored as. 0 stands for delivered.
pub(super) const fn reason_code(reason: DeadReason) -> u8 {
    match reason {
        DeadReason::Gone => 1,
        DeadReason::Rejected => 2,
        DeadReason::Exhausted => 3,
        DeadReason::Expired => 4,
        DeadReason::Overflow => 5,
        DeadReason::EndpointRemoved => 6,
    }
}

/// The reason a number stands for.
pub(super) fn reason_of(code: u8) -> Option<DeadReason> {
    DeadReason::ALL.into_iter().find(|reason| reason_code(*reason) == code)
}

/// What waits for one endpoint, in numbers, and where it is worth reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Deliveries neither parked nor settled.
    pub(super) ready: u64,
    /// Deliveries that wait for their next attempt.
    pub(super) parked: u64,
    /// Dead letters kept.
    pub(super) dead: u64,
    /// Bytes of the bodies that wait.
    pub(super) bytes: u64,
    /// The newest delivery it ever had; 0: none.
    pub(super) last: u64,
    /// Nothing ready before this one.
    pub(super) low: u64,
}

impl Counts {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(49);
        row.u8(VERSION);
        for value in [self.ready, self.parked, self.dead, self.bytes, self.last, self.low] {
            row.u64(value);
        }
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        (row.u8()? == VERSION).then_some(())?;
        Some(Self {
            ready: row.u64()?,
            parked: row.u64()?,
            dead: row.u64()?,
            bytes: row.u64()?,
            last: row.u64()?,
            low: row.u64()?,
        })
    }
}

/// The key of an endpoint's rows.
pub(super) const fn endpoint_key(uid: EndpointUid) -> [u8; 4] {
    uid.0.to_be_bytes()
}

/// Numbers over the whole store, rewritten with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    /// The next event's sequence number.
    pub(super) next_seq: u64,
    /// The next endpoint's number.
    pub(super) next_uid: u32,
    /// The next block of history.
    pub(super) next_block: u64,
    /// The next dead letter's place.
    pub(super) next_dead: u64,
    /// Dedup keys remembered.
    pub(super) dedup: u64,
    /// Bytes of bodies that somebody waits for, each counted once.
    pub(super) pending: u64,
    /// Dead letters.
    pub(super) dead: u64,
    /// Bytes of bodies of dead letters, counted for each.
    pub(super) dead_bytes: u64,
    /// Bytes of blocks of history.
    pub(super) history_bytes: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            next_seq: 1,
            next_uid: 1,
            next_block: 0,
            next_dead: 0,
            dedup: 0,
            pending: 0,
            dead: 0,
            dead_bytes: 0,
            history_bytes: 0,
        }
    }
}

impl Totals {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(69);
        row.u8(VERSION);
        row.u32(self.next_uid);
        for value in [
            self.next_seq,
            self.next_block,
            self.next_dead,
            self.dedup,
            self.pending,
            self.dead,
            self.dead_bytes,
            self.history_bytes,
        ] {
            row.u64(value);
        }
        row.0
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Decoder::new(row);
        (row.u8()? == VERSION).then_some(())?;
        let next_uid = row.u32()?;
        Some(Self {
            next_uid,
            next_seq: row.u64()?,
            next_block: row.u64()?,
            next_dead: row.u64()?,
            dedup: row.u64()?,
            pending: row.u64()?,
            dead: row.u64()?,
            dead_bytes: row.u64()?,
            history_bytes: row.u64()?,
        })
    }
}
