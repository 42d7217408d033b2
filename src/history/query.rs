use super::Answer;
use super::last::last_attempts;
use crate::ids::{EndpointUid, EventId, MessageKey, Seq};
use crate::spool::past::{
    Letters, dead_letters, event, next_block, rows_after, waiting_before, waiting_from,
};
use crate::spool::{
    Amended, Amendment, DeadReason, EmbeddedSpool, Entry, HistoryNote, Mark, Place, Settled, SpoolError,
    Store, StoredEvent, Waiting, Walk,
};
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::sync::Arc;

/// Rows of history looked at for one page,
const SCAN: usize = 20_000;
/// and rows of what waits, of which each read costs an event with its body.
const WAITING: usize = 2_000;
/// Rows of what waits read from an endpoint at once.
const CHUNK: usize = 32;
/// Blocks read at once by who follows.
const BLOCKS: usize = 512;

/// Some endpoints: an account may have very many, and every row is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints(Arc<[EndpointUid]>);

impl FromIterator<EndpointUid> for Endpoints {
    fn from_iter<I: IntoIterator<Item = EndpointUid>>(uids: I) -> Self {
        let mut uids: Vec<EndpointUid> = uids.into_iter().collect();
        uids.sort_unstable();
        Self(uids.into())
    }
}

impl Endpoints {
    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, uid: EndpointUid) -> bool {
        self.0.binary_search(&uid).is_ok()
    }
}

/// Which deliveries are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these endpoints.
    pub endpoints: Option<Endpoints>,
    /// Of this event.
    pub id: Option<EventId>,
    /// About this message.
    pub message_id: Option<Arc<str>>,
    /// With this event name.
    pub event: Option<Arc<str>>,
    /// From this product.
    pub product: Option<Arc<str>>,
    /// For this customer.
    pub account: Option<Arc<str>>,
    /// Whose last attempt was answered with one of these.
    pub status: Option<RangeInclusive<u16>>,
    /// That ended in this time, or, of what waits, were accepted in it: milliseconds since the Unix epoch.
    pub time_ms: Option<Range<u64>>,
    /// Those that wait are left out.
    pub no_waiting: bool,
    /// Those that were delivered are left out.
    pub no_delivered: bool,
    /// Those that are dead are left out.
    pub no_dead: bool,
    /// Of the dead, only those that died of this.
    pub dead: Option<DeadReason>,
}

impl Filter {
    /// Whether an endpoint's are wanted.
    #[must_use]
    pub fn of(&self, uid: EndpointUid) -> bool {
        self.endpoints.as_ref().is_none_or(|wanted| wanted.contains(uid))
    }

    pub(super) fn about(
        &self,
        event: &str,
        product: &str,
        message_id: &str,
        account: Option<&str>,
        id: EventId,
    ) -> bool {
        let same = |wanted: &Option<Arc<str>>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        self.id.is_none_or(|wanted| wanted == id)
            && same(&self.event, event)
            && same(&self.product, product)
            && same(&self.message_id, message_id)
            && (self.account.is_none() || self.account.as_deref() == account)
    }

    /// Whether it asks for anything that only the event says.
    pub(super) const fn asks_events(&self) -> bool {
        self.id.is_some()
            || self.event.is_some()
            || self.product.is_some()
            || self.message_id.is_some()
            || self.account.is_some()
    }

    pub(super) fn code(&self, status: Option<u16>) -> bool {
        self.status.as_ref().is_none_or(|codes| status.is_some_and(|status| codes.contains(&status)))
    }

    pub(super) fn at(&self, ms: u64) -> bool {
        self.time_ms.as_ref().is_none_or(|times| times.contains(&ms))
    }

    /// Whether a settlement is wanted.
    #[must_use]
    pub fn matches(&self, row: &Settled) -> bool {
        let ended = match row.result {
            Ok(()) => !self.no_delivered,
            Err(reason) => !self.no_dead && self.dead.is_none_or(|wanted| wanted == reason),
        };
        ended
            && self.of(row.endpoint)
            && self.about(&row.event, &row.product, &row.message_id, row.account.as_deref(), row.id)
            && self.code(row.note.status)
            && self.at(row.note.ended_ms)
    }

    /// What the index finds it by.
    fn mark(&self) -> Option<Mark> {
        let message = self.message_id.as_ref().map(|message_id| Mark::message(MessageKey::of(message_id)));
        message.or(self.id.map(Mark::event))
    }
}

/// A delivery of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// It waits: its endpoint, its event and, once an attempt was spent, when it is due and how many were, and what the
    /// last one came to: its code alone, where history does not have the rest any more.
    Waiting(EndpointUid, Arc<StoredEvent>, Option<(u64, u32)>, Option<HistoryNote>),
    /// It has ended.
    Settled(Settled),
}

/// Where a page ended. Written as text that says nothing to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Among what waits: before this sequence, and at it before this endpoint.
    Waiting(Seq, EndpointUid),
    /// Among what has ended: before this row of this block.
    Ended(u64, u64),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(seq, uid) => write!(f, "w{:x}.{:x}", seq.0, uid.0),
            Self::Ended(block, row) => write!(f, "e{block:x}.{row:x}"),
        }
    }
}

/// A cursor that was not handed out by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = |text: &str| -> Option<(u64, u64)> {
            let (major, minor) = text.split_once('.')?;
            Some((u64::from_str_radix(major, 16).ok()?, u64::from_str_radix(minor, 16).ok()?))
        };
        if let Some((seq, uid)) = text.strip_prefix('w').and_then(parts) {
            return Ok(Self::Waiting(Seq(seq), EndpointUid(u32::try_from(uid).map_err(|_| BadCursor)?)));
        }
        let (block, row) = text.strip_prefix('e').and_then(parts).ok_or(BadCursor)?;
        Ok(Self::Ended(block, row))
    }
}

/// Part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// May be empty although more follow: so many were looked at and none was wanted.
    pub rows: Vec<T>,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
}

pub(super) fn list(
    store: &Store,
    filter: &Filter,
    awaited: &[EndpointUid],
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page<Row>, SpoolError> {
    let mut rows = Vec::new();
    let place = match cursor {
        Some(Cursor::Ended(block, row)) => Place(block, row),
        _ => {
            let from = match cursor {
                Some(Cursor::Waiting(seq, uid)) => (seq, uid),
                _ => (Seq(u64::MAX), EndpointUid(u32::MAX)),
            };
            if !filter.no_waiting {
                let stopped = waiting(store, filter, awaited, from, limit, &mut rows)?;
                if let Some((seq, uid)) = stopped {
                    return Ok(Page { rows, next: Some(Cursor::Waiting(seq, uid)) });
                }
            }
            Place::NEWEST
        }
    };
    if filter.no_delivered && filter.no_dead {
        return Ok(Page { rows, next: None });
    }
    let walk = Walk {
        place,
        limit: limit.saturating_sub(rows.len()).max(1),
        scan: SCAN,
        mark: filter.mark(),
        since_ms: filter.time_ms.as_ref().map_or(0, |times| times.start),
    };
    let (ended, next) = walk.rows(store, |entry| match entry {
        Entry::Settled(row) if filter.matches(row) => Some(Row::Settled(row.clone())),
        _ => None,
    })?;
    rows.extend(ended);
    Ok(Page { rows, next: next.map(|Place(block, row)| Cursor::Ended(block, row)) })
}

/// What waits, newest first over all endpoints, and what the last attempts came to: each endpoint's rows are read a few at
/// a time, and merged. Returns where it stopped short.
fn waiting(
    store: &Store,
    filter: &Filter,
    awaited: &[EndpointUid],
    (seq, uid): (Seq, EndpointUid),
    limit: usize,
    rows: &mut Vec<Row>,
) -> Result<Option<(Seq, EndpointUid)>, SpoolError> {
    let key = filter.message_id.as_ref().map(|message_id| MessageKey::of(message_id));
    let mut read: std::collections::HashMap<EndpointUid, Vec<Waiting>> = std::collections::HashMap::new();
    let mut heap = BinaryHeap::new();
    for &endpoint in awaited.iter().filter(|endpoint| filter.of(**endpoint)) {
        let before = if endpoint < uid { Seq(seq.0.saturating_add(1)) } else { seq };
        // One is enough to know where it stands.
        if let Some(first) = waiting_before(store, endpoint, before, 1)?.pop() {
            heap.push((first.seq, endpoint));
            read.insert(endpoint, vec![first]);
        }
    }
    let (mut seen, mut stopped, mut lasts) = (0, None, Vec::new());
    while let Some((seq, endpoint)) = heap.pop() {
        let Some(ahead) = read.get_mut(&endpoint) else { continue };
        let Some(row) = ahead.pop() else { continue };
        if ahead.is_empty() {
            *ahead = waiting_before(store, endpoint, seq, CHUNK)?;
            ahead.reverse();
        }
        if let Some(next) = ahead.last() {
            heap.push((next.seq, endpoint));
        }
        seen += 1;
        if filter.at(row.accepted_ms)
            && key.is_none_or(|key| key == row.key)
            && (filter.status.is_none() || row.last.is_some_and(|last| filter.code(last.status)))
            && let Some(event) = event(store, seq)?
            && filter.about(
                &event.event,
                &event.product,
                &event.message_id,
                event.account.as_deref(),
                event.id,
            )
        {
            lasts.push(row.last);
            let parked = row.parked.map(|parked| (parked.due_ms, parked.attempts));
            let last = parked.zip(row.last).map(|((_, attempts), last)| HistoryNote {
                attempts,
                status: last.status,
                ..HistoryNote::default()
            });
            rows.push(Row::Waiting(endpoint, event, parked, last));
        }
        if rows.len() >= limit || seen >= WAITING {
            stopped = Some((seq, endpoint));
            break;
        }
    }
    let lasts = rows.iter().zip(lasts).filter_map(|(row, last)| match row {
        Row::Waiting(uid, event, ..) => Some(((*uid, event.seq), last?)),
        Row::Settled(_) => None,
    });
    let mut notes = last_attempts(store, lasts)?;
    for row in rows {
        if let Row::Waiting(uid, event, _, last) = row
            && let Some(note) = notes.remove(&(*uid, event.seq))
        {
            *last = Some(note);
        }
    }
    Ok(stopped)
}

pub(super) fn ended_after(
    store: &Store,
    filter: &Filter,
    place: Option<u64>,
) -> Result<(Vec<Row>, u64), SpoolError> {
    let Some(place) = place else { return Ok((Vec::new(), next_block(store)?)) };
    rows_after(store, place, (BLOCKS, SCAN), |entry| match entry {
        Entry::Settled(row) if filter.matches(&row) => Some(Row::Settled(row)),
        _ => None,
    })
}

pub(super) fn erase_waiting(
    spool: Arc<EmbeddedSpool>,
    filter: Filter,
    from: (EndpointUid, Seq),
) -> Answer<(u64, Option<(EndpointUid, Seq)>)> {
    Box::pin(async move {
        let looked = spool.look(move |store| {
            let key = filter.message_id.as_ref().map(|message_id| MessageKey::of(message_id));
            let rows = waiting_from(store, from, WAITING)?;
            let next = rows.last().filter(|_| rows.len() >= WAITING);
            let next = next.map(|last| (last.endpoint, Seq(last.seq.0.saturating_add(1))));
            let mut found = Vec::new();
            for row in rows.iter().filter(|row| key.is_none_or(|key| key == row.key)) {
                if let Some(event) = event(store, row.seq)?
                    && filter.about(
                        &event.event,
                        &event.product,
                        &event.message_id,
                        event.account.as_deref(),
                        event.id,
                    )
                {
                    found.push((row.endpoint, row.seq));
                }
            }
            Ok((found, next))
        });
        let (found, next) = looked.await?;
        Ok((count(&spool, Amendment::Erase(found)).await?, next))
    })
}

pub(super) fn erase_past(
    spool: Arc<EmbeddedSpool>,
    filter: Filter,
    cursor: Option<Cursor>,
) -> Answer<(u64, Option<Cursor>)> {
    Box::pin(async move {
        let goes = move |filter: &Filter, entry: &Entry| {
            let same = |message_id: &str, account: Option<&str>| {
                filter.message_id.as_deref().is_none_or(|wanted| wanted == message_id)
                    && (filter.account.is_none() || filter.account.as_deref() == account)
            };
            match entry {
                Entry::Settled(row) => same(&row.message_id, row.account.as_deref()),
                Entry::Tried(row) => same(&row.message_id, row.account.as_deref()),
                // Numbers only.
                Entry::Replayed(_) => false,
            }
        };
        let place = match cursor {
            Some(Cursor::Ended(block, row)) => Place(block, row),
            _ => Place::NEWEST,
        };
        let wanted = filter.clone();
        let looked = spool.look(move |store| {
            let walk = Walk { place, limit: usize::MAX, scan: SCAN, mark: wanted.mark(), since_ms: 0 };
            let blocks = std::cell::RefCell::new(std::collections::BTreeSet::new());
            let (_, next) = walk.blocks(store, |number, entry| {
                if goes(&wanted, entry) {
                    blocks.borrow_mut().insert(number);
                }
            })?;
            Ok((blocks.into_inner(), next))
        });
        let (blocks, next) = looked.await?;
        let blocks: Vec<u64> = blocks.into_iter().collect();
        let scrub = Amendment::Scrub(blocks, Box::new(move |entry| goes(&filter, entry)));
        let erased = count(&spool, scrub).await?;
        Ok((erased, next.map(|Place(block, row)| Cursor::Ended(block, row))))
    })
}

pub(super) async fn count(spool: &EmbeddedSpool, amendment: Amendment) -> Result<u64, SpoolError> {
    match spool.amend(amendment).await? {
        Amended::Count(count) => Ok(count),
        Amended::Replayed(_) => Ok(0),
    }
}

/// Dead letters, one way or the other; see [`dead_letters`].
pub(super) fn letters(
    store: &Store,
    filter: &Filter,
    walk: Letters,
    bounds: (usize, u64, usize),
    events: bool,
) -> Result<(Vec<crate::spool::DeadLetter>, Option<u64>), SpoolError> {
    dead_letters(
        store,
        walk,
        bounds,
        events,
        |uid| filter.of(uid),
        |letter| super::letter_matches(filter, letter),
    )
}
