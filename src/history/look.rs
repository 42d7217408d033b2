use crate::ids::{EndpointUid, EventId, Seq};
use crate::spool::past::{dead_letter, event as stored, event_with_id, waiting};
use crate::spool::{DeadLetter, Entry, Mark, Place, Settled, SpoolError, Store, StoredEvent, Tried, Walk};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows of history about one delivery or one event: its attempts, its end, its replays.
const ROWS: usize = 2_000;

/// Everything that is known of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFile {
    /// Its endpoint.
    pub endpoint: EndpointUid,
    /// Its place.
    pub seq: Seq,
    /// It waits: when its next attempt is due and the attempts spent, once one was.
    pub waiting: Option<Option<(u64, u32)>>,
    /// It is a dead letter.
    pub letter: Option<DeadLetter>,
    /// It ended, and history still has it.
    pub settled: Option<Settled>,
    /// Its attempts that failed, oldest first.
    pub tried: Vec<Tried>,
    /// What it was replayed as.
    pub replayed_as: Option<Seq>,
    /// Its event, while it is kept.
    pub event: Option<Arc<StoredEvent>>,
}

/// Everything that is known of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFile {
    /// Its deliveries, replays included.
    pub deliveries: Vec<DeliveryFile>,
    /// It, while it is kept.
    pub event: Option<Arc<StoredEvent>>,
}

/// Rows of history with a mark, all of them within a bound.
fn entries(
    store: &Store,
    mark: Mark,
    since_ms: u64,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Entry>, SpoolError> {
    let (mut found, mut place) = (Vec::new(), Place::NEWEST);
    loop {
        let walk = Walk { place, limit: ROWS, scan: usize::MAX, mark: Some(mark), since_ms };
        let (rows, next) = walk.rows(store, |entry| wanted(entry).then(|| entry.clone()))?;
        found.extend(rows);
        match next {
            Some(next) if found.len() < ROWS => place = next,
            _ => return Ok(found),
        }
    }
}

pub(super) fn delivery(
    store: &Store,
    endpoint: EndpointUid,
    seq: Seq,
) -> Result<Option<DeliveryFile>, SpoolError> {
    let file = look(store, endpoint, seq)?;
    // Rows are read one after another: of one that waited and has no event any more, the end came in between.
    if file.as_ref().is_some_and(|file| file.waiting.is_some() && file.event.is_none()) {
        return look(store, endpoint, seq);
    }
    Ok(file)
}

fn look(store: &Store, endpoint: EndpointUid, seq: Seq) -> Result<Option<DeliveryFile>, SpoolError> {
    let waits = waiting(store, endpoint, seq)?;
    let letter = dead_letter(store, endpoint, seq)?;
    let rows = entries(store, Mark::delivery(endpoint, seq), 0, |entry| match entry {
        Entry::Settled(row) => (row.endpoint, row.seq) == (endpoint, seq),
        Entry::Tried(row) => (row.endpoint, row.seq) == (endpoint, seq),
        Entry::Replayed(row) => (row.endpoint, row.from) == (endpoint, seq),
    })?;
    let kept = waits.is_some() || letter.is_some();
    let mut file = DeliveryFile {
        endpoint,
        seq,
        waiting: waits.map(|row| row.parked.map(|parked| (parked.due_ms, parked.attempts))),
        letter,
        settled: None,
        tried: Vec::new(),
        replayed_as: None,
        event: if kept { stored(store, seq)? } else { None },
    };
    for row in rows {
        match row {
            Entry::Settled(row) => file.settled = Some(row),
            Entry::Tried(row) => file.tried.push(row),
            Entry::Replayed(row) => file.replayed_as = Some(row.to),
        }
    }
    file.tried.reverse();
    let known = kept || file.settled.is_some() || !file.tried.is_empty();
    Ok(known.then_some(file))
}

pub(super) fn event(
    store: &Store,
    holding: &[(EndpointUid, Seq)],
    id: EventId,
) -> Result<Option<EventFile>, SpoolError> {
    let mut deliveries: BTreeSet<(Seq, EndpointUid)> = BTreeSet::new();
    let event = event_with_id(store, id)?;
    if let Some(event) = &event {
        // Whose newest delivery is older has none of it.
        for &(uid, _) in holding.iter().filter(|(_, last)| *last >= event.seq) {
            if waiting(store, uid, event.seq)?.is_some() || dead_letter(store, uid, event.seq)?.is_some() {
                deliveries.insert((event.seq, uid));
            }
        }
    }
    let rows = entries(store, Mark::event(id), id.unix_ms(), |entry| match entry {
        Entry::Settled(row) => row.id == id,
        Entry::Replayed(row) => row.id == id,
        Entry::Tried(_) => false,
    })?;
    for row in rows {
        match row {
            Entry::Settled(row) => {
                deliveries.insert((row.seq, row.endpoint));
            }
            Entry::Replayed(row) => {
                deliveries.extend([(row.from, row.endpoint), (row.to, row.endpoint)]);
            }
            Entry::Tried(_) => {}
        }
    }
    let files = deliveries.into_iter().filter_map(|(seq, uid)| delivery(store, uid, seq).transpose());
    let files: Vec<DeliveryFile> = files.collect::<Result<_, _>>()?;
    let event = event.or_else(|| files.iter().find_map(|file| file.event.clone()));
    Ok((event.is_some() || !files.is_empty()).then_some(EventFile { deliveries: files, event }))
}
