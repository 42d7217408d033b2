use super::Answer;
use super::query::{Filter, count, letters};
use crate::ids::{EndpointUid, Seq};
use crate::spool::{Amended, Amendment, DeadLetter, EmbeddedSpool, Letters, Refused, SpoolError, Store};
use std::sync::Arc;

/// Letters looked at for one page.
const SCAN: usize = 5_000;
/// Bytes of bodies of one page.
const BYTES: u64 = 4 * 1024 * 1024;

/// Part of the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters. May be empty although more follow.
    pub letters: Vec<DeadLetter>,
    /// Where to go on; none: that was all.
    pub next: Option<u64>,
}

/// How many dead letters part of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterCount {
    /// So many.
    pub letters: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Where to go on; none: that was all.
    pub next: Option<u64>,
}

/// What became of a dead letter that was to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is this delivery now.
    Replayed(Seq),
    /// It was no dead letter any more.
    Gone,
    /// A byte of its event is wrong: it stays.
    Damaged,
    /// As much as is allowed waits already: it stays, for now.
    Full,
}

pub(super) fn down(
    store: &Store,
    filter: &Filter,
    cursor: Option<u64>,
    limit: usize,
) -> Result<LetterPage, SpoolError> {
    let walk = Letters::Down(cursor.unwrap_or(u64::MAX));
    let (letters, next) = letters(store, filter, walk, (limit, BYTES, SCAN), true)?;
    Ok(LetterPage { letters, next })
}

pub(super) fn up(
    store: &Store,
    filter: &Filter,
    from: u64,
    before: u64,
    limit: usize,
) -> Result<LetterPage, SpoolError> {
    let (letters, next) = letters(store, filter, Letters::Up(from, before), (limit, BYTES, SCAN), true)?;
    Ok(LetterPage { letters, next })
}

pub(super) fn tally(
    store: &Store,
    filter: &Filter,
    from: u64,
    before: u64,
    scan: usize,
) -> Result<LetterCount, SpoolError> {
    let bounds = (usize::MAX, u64::MAX, scan);
    let (found, next) = letters(store, filter, Letters::Up(from, before), bounds, filter.asks_events())?;
    let bytes = found.iter().map(|letter| u64::from(letter.length)).sum();
    Ok(LetterCount { letters: u64::try_from(found.len()).unwrap_or(u64::MAX), bytes, next })
}

pub(super) fn replay(spool: &Arc<EmbeddedSpool>, letters: Vec<(EndpointUid, Seq)>) -> Answer<Vec<Outcome>> {
    let amended = spool.amend(Amendment::Replay(letters));
    Box::pin(async move {
        let Amended::Replayed(outcomes) = amended.await? else { return Ok(Vec::new()) };
        let outcome = |outcome| match outcome {
            Ok(seq) => Outcome::Replayed(seq),
            Err(Refused::Gone) => Outcome::Gone,
            Err(Refused::Damaged) => Outcome::Damaged,
            Err(Refused::Full) => Outcome::Full,
        };
        Ok(outcomes.into_iter().map(outcome).collect())
    })
}

pub(super) fn delete(spool: &Arc<EmbeddedSpool>, letters: Vec<(EndpointUid, Seq)>) -> Answer<u64> {
    let spool = Arc::clone(spool);
    Box::pin(async move { count(&spool, Amendment::Delete(letters)).await })
}
