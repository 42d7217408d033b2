//! Reading back what was settled and what waits, newest first, for people: every range that history looks at.

use super::codec::{delivery_key, seq_key, split_delivery_key, split_seq_key};
use super::index::{Mark, Segment};
use super::read::failed;
use super::record::{DeadRow, DeliveryRow, LastAttempt, decode_event, peek_event};
use super::settled::{Entry, decode_block, newest_ms};
use super::store::Store;
use super::{DeadReason, Parked, SpoolError, StoredEvent};
use crate::ids::{EndpointUid, EventId, Seq};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A delivery that will not be tried again by itself, with its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose.
    pub endpoint: EndpointUid,
    /// Its place.
    pub seq: Seq,
    /// Its place among all dead letters: a later one died later.
    pub order: u64,
    /// Why.
    pub reason: DeadReason,
    /// When it died, milliseconds since the Unix epoch.
    pub died_ms: u64,
    /// Attempts spent.
    pub attempts: u32,
    /// The status code of the last one, where there was one.
    pub status: Option<u16>,
    /// One line for people, without secrets.
    pub note: Arc<str>,
    /// Bytes of its body.
    pub length: u32,
    /// Its event; none if a byte of it is wrong.
    pub event: Option<Arc<StoredEvent>>,
}

/// Where the next page begins: before this row of this block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64, pub(crate) u64);

impl Place {
    /// Before nothing: at the newest.
    pub(crate) const NEWEST: Self = Self(u64::MAX, u64::MAX);
}

/// Where among the dead letters: before or after this one.
pub(crate) type LetterPlace = u64;

/// What a page holds, and where the next begins if there is one.
type Page<T, P> = Result<(Vec<T>, Option<P>), SpoolError>;

type Rows = Result<(), SpoolError>;

/// A walk through history, newest first, with its bounds.
pub(crate) struct Walk {
    /// Before this.
    pub(crate) place: Place,
    /// At most so many that are wanted,
    pub(crate) limit: usize,
    /// out of at most so many looked at (to the end of the last block).
    pub(crate) scan: usize,
    /// Only blocks that may have this: the index says which.
    pub(crate) mark: Option<Mark>,
    /// Nothing that ended before, milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
}

/// Segments of the index looked at for one page.
const SEGMENTS: usize = 256;
/// Clocks may differ by so much between a block and the next.
const SLACK_MS: u64 = 60_000;

impl Walk {
    /// Rows for which `wanted` gives something, newest first.
    pub(crate) fn rows<T>(self, store: &Store, wanted: impl Fn(&Entry) -> Option<T>) -> Page<T, Place> {
        self.walk(store, |_, entry| wanted(entry))
    }

    /// Shows every row with the number of its block; where to go on.
    pub(crate) fn blocks(self, store: &Store, visit: impl Fn(u64, &Entry)) -> Page<(), Place> {
        self.walk(store, |number, entry| {
            visit(number, entry);
            None
        })
    }

    fn walk<T>(&self, store: &Store, wanted: impl Fn(u64, &Entry) -> Option<T>) -> Page<T, Place> {
        let mut page = Found { walk: self, wanted, rows: Vec::new(), seen: 0, next: None, over: false };
        match self.mark {
            None => blocks_down(store, 0, self.place.0, |number, block| page.block(number, block))?,
            Some(mark) => self.with_mark(store, mark, &mut page)?,
        }
        Ok((page.rows, page.next))
    }

    fn with_mark<T>(
        &self,
        store: &Store,
        mark: Mark,
        page: &mut Found<'_, T, impl Fn(u64, &Entry) -> Option<T>>,
    ) -> Rows {
        let mut top = self.place.0;
        for (segments, row) in segments_down(store, top).enumerate() {
            let (last, row) = row?;
            if segments >= SEGMENTS || page.seen >= self.scan {
                page.next = Some(Place(top, u64::MAX));
                return Ok(());
            }
            // One of which a byte is wrong is none: its blocks are read one by one.
            let Some(segment) = Segment::decode(&row).filter(|segment| segment.first <= top) else {
                continue;
            };
            if last < top {
                blocks_down(store, last + 1, top, |number, block| page.block(number, block))?;
            }
            for number in segment.blocks(mark).into_iter().filter(|number| *number <= top) {
                if !page.is_over()
                    && let Some(block) = block(store, number)?
                    && page.block(number, &block).is_break()
                {
                    break;
                }
            }
            let Some(below) = segment.first.checked_sub(1).filter(|_| !page.is_over()) else { return Ok(()) };
            top = below;
        }
        blocks_down(store, 0, top, |number, block| page.block(number, block))
    }
}

struct Found<'a, T, W> {
    walk: &'a Walk,
    wanted: W,
    rows: Vec<T>,
    seen: usize,
    next: Option<Place>,
    /// What follows is too old.
    over: bool,
}

impl<T, W: Fn(u64, &Entry) -> Option<T>> Found<'_, T, W> {
    const fn is_over(&self) -> bool {
        self.over || self.next.is_some()
    }

    fn block(&mut self, number: u64, block: &[u8]) -> ControlFlow<()> {
        if newest_ms(block).is_some_and(|newest| newest.saturating_add(SLACK_MS) < self.walk.since_ms) {
            self.over = true;
            return ControlFlow::Break(());
        }
        let Some(rows) = decode_block(block) else {
            tracing::error!(block = number, "a block of history is damaged: it is left out");
            return ControlFlow::Continue(());
        };
        for (index, row) in (0_u64..).zip(rows).collect::<Vec<_>>().into_iter().rev() {
            if number == self.walk.place.0 && index >= self.walk.place.1 {
                continue;
            }
            self.seen += 1;
            if let Some(row) = (self.wanted)(number, &row) {
                self.rows.push(row);
                if self.rows.len() >= self.walk.limit {
                    self.next = Some(Place(number, index));
                    return ControlFlow::Break(());
                }
            }
        }
        if self.seen >= self.walk.scan {
            self.next = Some(Place(number, 0));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// The blocks of history from `last` down to `first`.
fn blocks_down(
    store: &Store,
    first: u64,
    last: u64,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Rows {
    if first > last {
        return Ok(());
    }
    for row in store.range_back(&store.history, first.to_be_bytes()..=last.to_be_bytes()) {
        let (key, block) = row.map_err(|error| failed(&error))?;
        if let Some(number) = split_seq_key(&key)
            && visit(number, &block).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Rows for which `wanted` gives something of the blocks from `first` on, oldest first; and which block comes after
/// those. At most so many blocks are looked at, and so many rows (to the end of the last block).
pub(crate) fn rows_after<T>(
    store: &Store,
    first: u64,
    (blocks, scan): (usize, usize),
    mut wanted: impl FnMut(Entry) -> Option<T>,
) -> Result<(Vec<T>, u64), SpoolError> {
    let (mut rows, mut next, mut seen) = (Vec::new(), first, 0);
    for row in store.range(&store.history, first.to_be_bytes()..).take(blocks) {
        let (key, block) = row.map_err(|error| failed(&error))?;
        let entries = decode_block(&block).unwrap_or_default();
        seen += entries.len();
        rows.extend(entries.into_iter().filter_map(&mut wanted));
        next = split_seq_key(&key).map_or(next, |number| number + 1);
        if seen >= scan {
            break;
        }
    }
    Ok((rows, next))
}

/// The block that will come after the newest.
pub(crate) fn next_block(store: &Store) -> Result<u64, SpoolError> {
    let mut next = 0;
    blocks_down(store, 0, u64::MAX, |number, _| {
        next = number + 1;
        ControlFlow::Break(())
    })?;
    Ok(next)
}

/// The rows of one block; none, if it has gone or is damaged.
pub(crate) fn rows_of_block(store: &Store, number: u64) -> Result<Vec<Entry>, SpoolError> {
    Ok(block(store, number)?.and_then(|block| decode_block(&block)).unwrap_or_default())
}

fn block(store: &Store, number: u64) -> Result<Option<Bytes>, SpoolError> {
    store.get(&store.history, number.to_be_bytes()).map_err(|error| failed(&error))
}

/// The segments of the index, each with the last block it covers, from the one that covers block `at` down.
fn segments_down(store: &Store, at: u64) -> impl Iterator<Item = Result<(u64, Bytes), SpoolError>> + use<'_> {
    let covering = store.range(&store.history_index, at.to_be_bytes()..).next();
    let below = store.range_back(&store.history_index, ..at.to_be_bytes());
    covering.into_iter().chain(below).filter_map(|row| match row {
        Ok((key, row)) => Some(Ok((split_seq_key(&key)?, row))),
        Err(error) => Some(Err(failed(&error))),
    })
}

/// The segments that end at block `first` or later, and before block `end`, with their bytes.
pub(super) fn segments(store: &Store, first: u64, end: u64) -> impl Iterator<Item = (u64, usize)> + use<'_> {
    let rows = store.range(&store.history_index, first.to_be_bytes()..end.to_be_bytes());
    rows.map_while(Result::ok).filter_map(|(key, row)| Some((split_seq_key(&key)?, row.len())))
}

/// Which way a walk through the dead letters goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Newest dead first, before a place.
    Down(LetterPlace),
    /// Oldest dead first, from a place on, and before the second.
    Up(LetterPlace, LetterPlace),
}

/// Dead letters for which `wanted` holds, at most `limit` of them or so many `bytes` of bodies, out of at most `scan`
/// looked at. `of` is asked first, of the endpoint alone. Without `events` they come without, which is several times faster.
pub(crate) fn dead_letters(
    store: &Store,
    walk: Letters,
    (limit, bytes, scan): (usize, u64, usize),
    events: bool,
    of: impl Fn(EndpointUid) -> bool,
    wanted: impl Fn(&DeadLetter) -> bool,
) -> Page<DeadLetter, LetterPlace> {
    let range = match walk {
        Letters::Down(before) => 0..before,
        Letters::Up(from, before) => from..before.max(from),
    };
    let range = range.start.to_be_bytes()..range.end.to_be_bytes();
    let rows = match walk {
        Letters::Down(_) => store.range_back(&store.dead_order, range),
        Letters::Up(..) => store.range(&store.dead_order, range),
    };
    let (mut found, mut seen, mut size) = (Vec::new(), 0, 0_u64);
    for row in rows {
        let (key, row) = row.map_err(|error| failed(&error))?;
        let Some((order, (uid, seq))) = split_seq_key(&key).zip(split_delivery_key(&row)) else { continue };
        seen += 1;
        if of(uid)
            && let Some(letter) = letter(store, uid, seq, events)?
            && wanted(&letter)
        {
            size += u64::from(letter.length);
            found.push(letter);
        }
        if found.len() >= limit || size >= bytes || seen >= scan {
            let next = if matches!(walk, Letters::Down(_)) { order } else { order + 1 };
            return Ok((found, Some(next)));
        }
    }
    Ok((found, None))
}

/// The place after the newest dead letter.
pub(crate) fn after_last_letter(store: &Store) -> Result<LetterPlace, SpoolError> {
    let last = store.range_back(&store.dead_order, seq_key(Seq(0))..).next();
    let Some(last) = last else { return Ok(0) };
    let (key, _) = last.map_err(|error| failed(&error))?;
    Ok(split_seq_key(&key).map_or(0, |order| order + 1))
}

/// One dead letter.
pub(crate) fn dead_letter(
    store: &Store,
    endpoint: EndpointUid,
    seq: Seq,
) -> Result<Option<DeadLetter>, SpoolError> {
    letter(store, endpoint, seq, true)
}

/// The same, with its event or without.
fn letter(
    store: &Store,
    endpoint: EndpointUid,
    seq: Seq,
    events: bool,
) -> Result<Option<DeadLetter>, SpoolError> {
    let row = store.get(&store.dead, delivery_key(endpoint, seq)).map_err(|error| failed(&error))?;
    let Some(dead) = row.and_then(|row| DeadRow::decode(&row)) else { return Ok(None) };
    let event = if events { event(store, seq)? } else { None };
    let DeadRow { reason, order, died_ms, attempts, status, length, note, .. } = dead;
    Ok(Some(DeadLetter { endpoint, seq, order, reason, died_ms, attempts, status, note, length, event }))
}

/// A stored event; none if it is gone, or a byte of it is wrong.
pub(crate) fn event(store: &Store, seq: Seq) -> Result<Option<Arc<StoredEvent>>, SpoolError> {
    let record = store.get(&store.events, seq_key(seq)).map_err(|error| failed(&error))?;
    Ok(record.and_then(|record| decode_event(seq, &record)).map(Arc::new))
}

/// A delivery that waits, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Whose.
    pub(crate) endpoint: EndpointUid,
    /// Its place.
    pub(crate) seq: Seq,
    /// What orders it, and finds its message.
    pub(crate) key: crate::ids::MessageKey,
    /// When its event was accepted.
    pub(crate) accepted_ms: u64,
    /// Its retry state, once an attempt was spent,
    pub(crate) parked: Option<Parked>,
    /// and what that came to.
    pub(crate) last: Option<LastAttempt>,
}

fn waiting_row(endpoint: EndpointUid, seq: Seq, row: &[u8]) -> Option<Waiting> {
    let row = DeliveryRow::decode(row)?;
    let last = row.parked.and_then(|parked| parked.last);
    let (key, accepted_ms) = (row.key, row.accepted_ms);
    Some(Waiting { endpoint, seq, key, accepted_ms, parked: row.parked_at(seq), last })
}

/// A delivery that waits.
pub(crate) fn waiting(store: &Store, endpoint: EndpointUid, seq: Seq) -> Result<Option<Waiting>, SpoolError> {
    let row = store.get(&store.deliveries, delivery_key(endpoint, seq)).map_err(|error| failed(&error))?;
    Ok(row.and_then(|row| waiting_row(endpoint, seq, &row)))
}

/// The deliveries of an endpoint that wait, newest first, before this one; `most` of them at most.
pub(crate) fn waiting_before(
    store: &Store,
    endpoint: EndpointUid,
    before: Seq,
    most: usize,
) -> Result<Vec<Waiting>, SpoolError> {
    let range = delivery_key(endpoint, Seq(0))..delivery_key(endpoint, before);
    let mut found = Vec::new();
    for row in store.range_back(&store.deliveries, range).take(most) {
        let (key, row) = row.map_err(|error| failed(&error))?;
        let row = split_delivery_key(&key).and_then(|(uid, seq)| waiting_row(uid, seq, &row));
        found.extend(row);
    }
    Ok(found)
}

/// All deliveries that wait, in the order of their keys, from this one on: `most` at most.
pub(crate) fn waiting_from(
    store: &Store,
    (endpoint, seq): (EndpointUid, Seq),
    most: usize,
) -> Result<Vec<Waiting>, SpoolError> {
    let mut found = Vec::new();
    for row in store.range(&store.deliveries, delivery_key(endpoint, seq)..).take(most) {
        let (key, row) = row.map_err(|error| failed(&error))?;
        found.extend(split_delivery_key(&key).and_then(|(uid, seq)| waiting_row(uid, seq, &row)));
    }
    Ok(found)
}

/// How far the acceptance of two events may be from the order of their sequences, in milliseconds.
const APART_MS: u64 = 5_000;
/// Events looked at to find one.
const EVENTS: usize = 200_000;

/// The stored event that was accepted with this id. Its time is in the id and sequences grow with time, so that
/// halving finds the place.
pub(crate) fn event_with_id(store: &Store, id: EventId) -> Result<Option<Arc<StoredEvent>>, SpoolError> {
    let at_ms = id.unix_ms();
    let first_from = |seq: u64| store.range(&store.events, seq_key(Seq(seq))..).next();
    let read = |row: fjall::Result<(super::store::Key, Bytes)>| -> Result<Option<StoredEvent>, SpoolError> {
        let (key, record) = row.map_err(|error| failed(&error))?;
        Ok(split_seq_key(&key).and_then(|seq| decode_event(Seq(seq), &record)))
    };
    let last = store.range_back(&store.events, seq_key(Seq(0))..).next();
    let Some(last) = last else { return Ok(None) };
    let (last, _) = last.map_err(|error| failed(&error))?;
    let (mut low, mut high) = (0, split_seq_key(&last).unwrap_or_default());
    while low < high {
        let middle = low.midpoint(high);
        let Some(event) = first_from(middle).map(read).transpose()?.flatten() else { break };
        if event.accepted_ms.saturating_add(APART_MS) < at_ms {
            low = event.seq.0.saturating_add(1).max(middle + 1);
        } else {
            high = middle;
        }
    }
    for row in store.range(&store.events, seq_key(Seq(low))..).take(EVENTS) {
        let late = |accepted_ms: u64| accepted_ms > at_ms.saturating_add(APART_MS);
        // Most are neither: their bodies need not be looked at.
        let first_look = row.as_ref().ok().and_then(|(_, record)| peek_event(record));
        if first_look.is_some_and(|(found, accepted_ms)| found != id && !late(accepted_ms)) {
            continue;
        }
        let Some(event) = read(row)? else { continue };
        if event.id == id {
            return Ok(Some(Arc::new(event)));
        }
        if late(event.accepted_ms) {
            break;
        }
    }
    Ok(None)
}
