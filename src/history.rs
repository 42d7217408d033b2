//! What was settled: compact rows for people to search, and the dead letters with their events.
//!
//! The spool writes what one commit settled as one block; [`History`] reads the blocks back, newest first. A filter
//! looks at a bounded number of rows at a time and hands back a cursor, so that no question stalls anything.

use crate::ids::{EndpointUid, EventId};
use crate::spool::{
    DeadLetter, DeadReason, EmbeddedSpool, Place, Settled, SpoolError, dead_letters, settled_before,
};
use futures_util::future::BoxFuture;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Rows looked at for one page.
const SCAN: usize = 20_000;

/// Which settlements are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this endpoint.
    pub endpoint: Option<EndpointUid>,
    /// Of this event.
    pub id: Option<EventId>,
    /// About this message.
    pub message_id: Option<Arc<str>>,
    /// That ended so.
    pub result: Option<Result<(), DeadReason>>,
    /// With this event name.
    pub event: Option<Arc<str>>,
    /// From this product.
    pub product: Option<Arc<str>>,
    /// For this customer.
    pub account: Option<Arc<str>>,
    /// That ended in this time, milliseconds since the Unix epoch.
    pub ended_ms: Option<Range<u64>>,
}

impl Filter {
    /// Whether a settlement is wanted.
    #[must_use]
    pub fn matches(&self, row: &Settled) -> bool {
        fn same<T: PartialEq + ?Sized>(wanted: Option<&T>, is: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        same(self.endpoint.as_ref(), &row.endpoint)
            && same(self.id.as_ref(), &row.id)
            && same(self.message_id.as_deref(), &*row.message_id)
            && same(self.result.as_ref(), &row.result)
            && same(self.event.as_deref(), &*row.event)
            && same(self.product.as_deref(), &*row.product)
            && self.account.as_ref().is_none_or(|wanted| row.account.as_ref() == Some(wanted))
            && self.ended_ms.as_ref().is_none_or(|range| range.contains(&row.note.ended_ms))
    }
}

/// Where a page ended. Written as text that says nothing to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Place);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.0.0, self.0.1)
    }
}

/// A cursor that was not handed out by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| BadCursor);
        let (major, minor) = text.split_once('.').ok_or(BadCursor)?;
        Ok(Self(Place(number(major)?, number(minor)?)))
    }
}

/// Part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first. May be empty although more follow: so many were looked at and none was wanted.
    pub rows: Vec<T>,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
}

/// What was settled, for people.
pub trait History: Send + Sync + 'static {
    /// Settlements, newest first. `cursor` is what the page before said.
    fn list(
        &self,
        filter: Filter,
        cursor: Option<Cursor>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'static, Result<Page<Settled>, SpoolError>>;

    /// Dead letters of one endpoint or of all, newest first. A cursor belongs to the question it came from.
    fn dead(
        &self,
        endpoint: Option<EndpointUid>,
        cursor: Option<Cursor>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'static, Result<Page<DeadLetter>, SpoolError>>;
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

fn place(cursor: Option<Cursor>) -> Place {
    cursor.map_or(Place::NEWEST, |cursor| cursor.0)
}

fn page<T>((rows, next): (Vec<T>, Option<Place>)) -> Page<T> {
    Page { rows, next: next.map(Cursor) }
}

impl History for EmbeddedHistory {
    fn list(
        &self,
        filter: Filter,
        cursor: Option<Cursor>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'static, Result<Page<Settled>, SpoolError>> {
        self.spool.look(move |store| {
            settled_before(store, place(cursor), limit.get(), SCAN, |row| filter.matches(row)).map(page)
        })
    }

    fn dead(
        &self,
        endpoint: Option<EndpointUid>,
        cursor: Option<Cursor>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'static, Result<Page<DeadLetter>, SpoolError>> {
        self.spool.look(move |store| dead_letters(store, endpoint, place(cursor), limit.get()).map(page))
    }
}
