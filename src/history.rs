//! What was settled and what waits: compact rows for people to search, and the dead letters with their events.
//!
//! The spool writes what one commit settled, and which attempts failed, as one block; [`History`] reads the blocks
//! back, newest first. A filter looks at a bounded number of rows at a time and hands back a cursor, so that no
//! question stalls anything; a message, an event or a delivery is found by the index of the blocks.

mod dead;
mod last;
mod look;
mod query;
#[cfg(test)]
mod tests;

pub use dead::{LetterCount, LetterPage, Outcome};
pub use look::{DeliveryFile, EventFile};
pub use query::{BadCursor, Cursor, Endpoints, Filter, Page, Row};

use crate::ids::{EndpointUid, EventId, Seq};
use crate::spool::{DeadLetter, EmbeddedSpool, SpoolError};
use futures_util::future::BoxFuture;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// What an answer of history is.
pub type Answer<T> = BoxFuture<'static, Result<T, SpoolError>>;

/// What became of deliveries, for people, and what people may change of it.
pub trait History: Send + Sync + 'static {
    /// What waits, newest accepted first, then what has ended, newest ended first. `cursor` is what the page before said.
    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: NonZeroUsize) -> Answer<Page<Row>>;

    /// What has ended from a place on, oldest first, and where the next such question begins. Without a place:
    /// nothing, and the place of what ends next.
    fn ended_after(&self, filter: Filter, place: Option<u64>) -> Answer<(Vec<Row>, u64)>;

    /// One delivery with its attempts; none: nothing is known of it.
    fn delivery(&self, endpoint: EndpointUid, seq: Seq) -> Answer<Option<DeliveryFile>>;

    /// One event with its deliveries; none: nothing is known of it.
    fn event(&self, id: EventId) -> Answer<Option<EventFile>>;

    /// Dead letters, newest dead first.
    fn dead(&self, filter: Filter, cursor: Option<u64>, limit: NonZeroUsize) -> Answer<LetterPage>;

    /// Dead letters that died before `before`, oldest dead first, from `from` on, about 4 MiB of them at most.
    fn dead_since(&self, filter: Filter, from: u64, before: u64, limit: NonZeroUsize) -> Answer<LetterPage>;

    /// How many [`Self::dead_since`] would hand out of the next `scan`, and bytes of their bodies.
    fn count_dead(&self, filter: Filter, from: u64, before: u64, scan: NonZeroUsize) -> Answer<LetterCount>;

    /// The place of the dead letter that dies next.
    fn next_dead(&self) -> Answer<u64>;

    /// Makes dead letters deliveries again, each with a new sequence, its attempts and its age begun anew, and its
    /// event's id. Together or not at all; what each came to is in their order.
    fn replay(&self, letters: Vec<(EndpointUid, Seq)>) -> Answer<Vec<Outcome>>;

    /// Deletes dead letters; how many were there.
    fn delete(&self, letters: Vec<(EndpointUid, Seq)>) -> Answer<u64>;

    /// Erases deliveries that wait, about one message or of one account, from `from` on: how many, and where to go on.
    fn erase_waiting(
        &self,
        filter: Filter,
        from: (EndpointUid, Seq),
    ) -> Answer<(u64, Option<(EndpointUid, Seq)>)>;

    /// Erases rows about one message or one account from history, from a place down: how many, and where to go on.
    fn erase_past(&self, filter: Filter, cursor: Option<Cursor>) -> Answer<(u64, Option<Cursor>)>;
}

/// The history that an [`EmbeddedSpool`] writes.
#[derive(Clone)]
pub struct EmbeddedHistory {
    spool: Arc<EmbeddedSpool>,
}

impl EmbeddedHistory {
    /// Reads from this spool.
    #[must_use]
    pub const fn of(spool: Arc<EmbeddedSpool>) -> Self {
        Self { spool }
    }
}

impl History for EmbeddedHistory {
    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: NonZeroUsize) -> Answer<Page<Row>> {
        let awaited = self.spool.awaited();
        self.spool.look(move |store| query::list(store, &filter, &awaited, cursor, limit.get()))
    }

    fn ended_after(&self, filter: Filter, place: Option<u64>) -> Answer<(Vec<Row>, u64)> {
        self.spool.look(move |store| query::ended_after(store, &filter, place))
    }

    fn delivery(&self, endpoint: EndpointUid, seq: Seq) -> Answer<Option<DeliveryFile>> {
        self.spool.look(move |store| look::delivery(store, endpoint, seq))
    }

    fn event(&self, id: EventId) -> Answer<Option<EventFile>> {
        let holding = self.spool.holding();
        self.spool.look(move |store| look::event(store, &holding, id))
    }

    fn dead(&self, filter: Filter, cursor: Option<u64>, limit: NonZeroUsize) -> Answer<LetterPage> {
        self.spool.look(move |store| dead::down(store, &filter, cursor, limit.get()))
    }

    fn dead_since(&self, filter: Filter, from: u64, before: u64, limit: NonZeroUsize) -> Answer<LetterPage> {
        self.spool.look(move |store| dead::up(store, &filter, from, before, limit.get()))
    }

    fn count_dead(&self, filter: Filter, from: u64, before: u64, scan: NonZeroUsize) -> Answer<LetterCount> {
        self.spool.look(move |store| dead::tally(store, &filter, from, before, scan.get()))
    }

    fn next_dead(&self) -> Answer<u64> {
        self.spool.look(crate::spool::past::after_last_letter)
    }

    fn replay(&self, letters: Vec<(EndpointUid, Seq)>) -> Answer<Vec<Outcome>> {
        dead::replay(&self.spool, letters)
    }

    fn delete(&self, letters: Vec<(EndpointUid, Seq)>) -> Answer<u64> {
        dead::delete(&self.spool, letters)
    }

    fn erase_waiting(
        &self,
        filter: Filter,
        from: (EndpointUid, Seq),
    ) -> Answer<(u64, Option<(EndpointUid, Seq)>)> {
        query::erase_waiting(Arc::clone(&self.spool), filter, from)
    }

    fn erase_past(&self, filter: Filter, cursor: Option<Cursor>) -> Answer<(u64, Option<Cursor>)> {
        query::erase_past(Arc::clone(&self.spool), filter, cursor)
    }
}

/// Whether a dead letter is wanted.
fn letter_matches(filter: &Filter, letter: &DeadLetter) -> bool {
    let about = letter.event.as_ref().is_none_or(|event| {
        filter.about(&event.event, &event.product, &event.message_id, event.account.as_deref(), event.id)
    });
    about
        && (letter.event.is_some() || !filter.asks_events())
        && filter.dead.is_none_or(|reason| reason == letter.reason)
        && filter.code(letter.status)
        && filter.at(letter.died_ms)
}
