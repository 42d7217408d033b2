//! What the API asks about deliveries and dead letters, answered from history, the router and the spool.

use super::replays::{Replays, Run};
use super::views::Views;
use crate::admin::{
    Answered, DeadLetterPage, DeliveriesBackend, DeliveryDetail, DeliveryError, DeliveryPage, DeliveryState,
    DeliverySummary, Erased, EventDetail, ExportedLetter, LetterLines, ReplayJob, ReplayRequest, Retried,
    Wanted,
};
use crate::clock::Clock;
use crate::history::{Cursor, EmbeddedHistory, Filter, History as _, Outcome};
use crate::ids::{DeliveryId, EndpointUid, EventId, Identity, Seq};
use crate::router::RouterHandle;
use crate::spool::{EmbeddedSpool, SpoolError};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pages that a filter passes over before it hands back an empty one: it stops after this.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often who follows is told what is new.
const FOLLOW: Duration = Duration::from_millis(300);
/// Dead letters read, replayed or deleted at once.
const BATCH: NonZeroUsize = NonZeroUsize::new(200).unwrap();

/// The parts that answer.
#[derive(Clone)]
pub(super) struct Deliveries {
    pub(super) router: RouterHandle,
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) history: EmbeddedHistory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) draining: CancellationToken,
    pub(super) replays: Replays,
    /// One erasure at a time: two that write the same block of history again would undo each other.
    pub(super) erasing: Arc<tokio::sync::Mutex<()>>,
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn failing(error: SpoolError) -> DeliveryError {
    DeliveryError::Failing(error.to_string())
}

fn bad_cursor() -> DeliveryError {
    DeliveryError::Invalid("this cursor is none that was handed out here; start without one".to_owned())
}

fn id_of(text: &str) -> Answered<DeliveryId> {
    text.parse().map_err(|_| DeliveryError::no_delivery(text))
}

impl Deliveries {
    /// The filter of history that a wish of the API comes to.
    pub(super) fn filter(&self, wanted: &Wanted) -> Filter {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let waits = !matches!(wanted.state, None | Some(DeliveryState::Delivered | DeliveryState::Dead));
        let (name, owner) = (wanted.endpoint.as_deref(), wanted.owner.as_deref());
        let fits = |known: &Identity| {
            name.is_none_or(|name| &*known.name == name)
                && (owner.is_none() || known.account.as_deref() == owner)
        };
        let endpoints = (name.is_some() || owner.is_some()).then(|| {
            let known = self.spool.known().into_iter();
            known.filter(|(_, known)| known.as_ref().is_some_and(fits)).map(|(uid, _)| uid).collect()
        });
        let time_ms = (wanted.since_ms.is_some() || wanted.until_ms.is_some())
            .then(|| wanted.since_ms.unwrap_or(0)..wanted.until_ms.unwrap_or(u64::MAX));
        Filter {
            endpoints,
            id: None,
            message_id: text(&wanted.message_id),
            event: text(&wanted.event),
            product: text(&wanted.product),
            account: text(&wanted.account),
            status: wanted.code.clone(),
            time_ms,
            no_waiting: matches!(wanted.state, Some(DeliveryState::Delivered | DeliveryState::Dead)),
            no_delivered: waits || wanted.state == Some(DeliveryState::Dead),
            no_dead: waits || wanted.state == Some(DeliveryState::Delivered),
            dead: wanted.reason,
        }
    }

    fn views(&self) -> Views {
        Views::new(&self.router, &self.spool, &*self.clock)
    }

    /// One dead letter becomes a delivery again.
    async fn replay_one(&self, id: DeliveryId) -> Answered<Retried> {
        let DeliveryId(uid, seq) = id;
        if self.router.table().with_uid(uid).is_none() {
            let text = "its endpoint is not there any more: there is nowhere to send it";
            return Err(DeliveryError::Conflict(text.to_owned()));
        }
        let outcome = self.history.replay(vec![(uid, seq)]).await.map_err(failing)?;
        match outcome.first() {
            Some(Outcome::Replayed(to)) => {
                Ok(Retried { id: DeliveryId(uid, *to).to_string(), replayed: true })
            }
            Some(Outcome::Full) => Err(DeliveryError::Busy("as much as is allowed waits already".to_owned())),
            Some(Outcome::Damaged) => Err(DeliveryError::Conflict("its stored event is damaged".to_owned())),
            Some(Outcome::Gone) | None => Err(DeliveryError::no_delivery(&id.to_string())),
        }
    }
}

#[async_trait]
impl DeliveriesBackend for Deliveries {
    async fn list(&self, wanted: Wanted, cursor: Option<String>, limit: usize) -> Answered<DeliveryPage> {
        let mut cursor: Option<Cursor> =
            cursor.map(|text| text.parse()).transpose().map_err(|_| bad_cursor())?;
        let filter = self.filter(&wanted);
        let begun = self.clock.now();
        let mut deliveries = Vec::new();
        loop {
            let left = NonZeroUsize::new(limit.saturating_sub(deliveries.len())).unwrap_or(NonZeroUsize::MIN);
            let page = self.history.list(filter.clone(), cursor, left).await.map_err(failing)?;
            let mut views = self.views();
            views.look_at(&self.router, &page.rows).await;
            let rows = page.rows.iter().map(|row| views.row(row));
            deliveries.extend(rows.filter(|row| wanted.state.is_none_or(|state| state == row.state)));
            cursor = page.next;
            let late = self.clock.now().saturating_duration_since(begun) > PATIENCE;
            if cursor.is_none() || deliveries.len() >= limit || late {
                return Ok(DeliveryPage { deliveries, cursor: cursor.map(|cursor| cursor.to_string()) });
            }
        }
    }

    fn follow(&self, wanted: Wanted) -> BoxStream<'static, DeliverySummary> {
        let ended = |backend: &Self, wanted: &Wanted| Filter { no_waiting: true, ..backend.filter(wanted) };
        let (filter, generation) = (ended(self, &wanted), self.router.table().generation);
        let start = (self.clone(), wanted, filter, generation, None::<u64>);
        let batches = stream::unfold(start, move |(backend, wanted, filter, generation, place)| async move {
            let pause = if place.is_some() { FOLLOW } else { Duration::ZERO };
            tokio::select! {
                () = backend.draining.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            // Endpoints that came meanwhile are followed as well.
            let now = backend.router.table().generation;
            let filter = if now == generation { filter } else { ended(&backend, &wanted) };
            // A store that fails is looked at again later, from the same place.
            let looked = backend.history.ended_after(filter.clone(), place).await;
            let (rows, next) = looked.map_or((Vec::new(), place), |(rows, next)| (rows, Some(next)));
            // Who follows looks several times a second, and mostly nothing has ended.
            let views = (!rows.is_empty()).then(|| backend.views());
            let rows: Vec<DeliverySummary> =
                views.iter().flat_map(|views| rows.iter().map(|row| views.row(row))).collect();
            Some((stream::iter(rows), (backend, wanted, filter, now, next)))
        });
        batches.flatten().boxed()
    }

    fn owner(&self, id: &str) -> Option<String> {
        let DeliveryId(uid, _) = id.parse().ok()?;
        self.spool.identity(uid)?.account.as_deref().map(str::to_owned)
    }

    async fn show(&self, id: &str) -> Answered<DeliveryDetail> {
        let DeliveryId(uid, seq) = id_of(id)?;
        let file = self
            .history
            .delivery(uid, seq)
            .await
            .map_err(failing)?
            .ok_or_else(|| DeliveryError::no_delivery(id))?;
        let mut views = self.views();
        views.look(&self.router, [uid]).await;
        views.detail(&file).ok_or_else(|| DeliveryError::no_delivery(id))
    }

    async fn event(&self, id: &str) -> Answered<EventDetail> {
        let unknown = || DeliveryError::no_event(id);
        let event: EventId = id.parse().map_err(|_| unknown())?;
        let file = self.history.event(event).await.map_err(failing)?.ok_or_else(unknown)?;
        let mut views = self.views();
        views.look(&self.router, file.deliveries.iter().map(|file| file.endpoint)).await;
        views.event(event, &file).ok_or_else(unknown)
    }

    async fn retry(&self, id: &str) -> Answered<Retried> {
        let found @ DeliveryId(uid, seq) = id_of(id)?;
        let file = self
            .history
            .delivery(uid, seq)
            .await
            .map_err(failing)?
            .ok_or_else(|| DeliveryError::no_delivery(id))?;
        if file.letter.is_some() {
            return self.replay_one(found).await;
        }
        if file.waiting.is_none() {
            let text = match file.settled {
                Some(settled) if settled.result.is_err() => "its dead letter was replayed or deleted",
                _ => "it was delivered, and its body is not kept",
            };
            return Err(DeliveryError::Conflict(text.to_owned()));
        }
        if self.router.hasten(uid, seq).await {
            return Ok(Retried { id: found.to_string(), replayed: false });
        }
        let text = "it does not wait for a retry: it is in flight, next, or behind another of its message";
        Err(DeliveryError::Conflict(text.to_owned()))
    }

    async fn erase(&self, wanted: Wanted) -> Answered<Erased> {
        let _alone = self.erasing.lock().await;
        let filter = self.filter(&wanted);
        let mut erased = Erased::default();
        let mut from = Some((EndpointUid(0), Seq(0)));
        while let Some(place) = from {
            let (count, next) = self.history.erase_waiting(filter.clone(), place).await.map_err(failing)?;
            erased.pending += count;
            from = next;
        }
        erased.dead = self.delete_letters(wanted).await?;
        let mut cursor = None;
        loop {
            let (count, next) = self.history.erase_past(filter.clone(), cursor).await.map_err(failing)?;
            erased.history += count;
            if next.is_none() {
                return Ok(erased);
            }
            cursor = next;
        }
    }

    async fn letters(
        &self,
        wanted: Wanted,
        cursor: Option<String>,
        limit: usize,
    ) -> Answered<DeadLetterPage> {
        let place = |text: String| u64::from_str_radix(text.strip_prefix('d')?, 16).ok();
        let mut cursor = cursor.map(|text| place(text).ok_or_else(bad_cursor)).transpose()?;
        let filter = self.filter(&wanted);
        let (views, begun) = (self.views(), self.clock.now());
        let mut dead_letters = Vec::new();
        loop {
            let left =
                NonZeroUsize::new(limit.saturating_sub(dead_letters.len())).unwrap_or(NonZeroUsize::MIN);
            let page = self.history.dead(filter.clone(), cursor, left).await.map_err(failing)?;
            dead_letters.extend(page.letters.iter().map(|letter| views.letter(letter)));
            cursor = page.next;
            let late = self.clock.now().saturating_duration_since(begun) > PATIENCE;
            if cursor.is_none() || dead_letters.len() >= limit || late {
                return Ok(DeadLetterPage {
                    dead_letters,
                    cursor: cursor.map(|place| format!("d{place:x}")),
                });
            }
        }
    }

    async fn export(&self, wanted: Wanted) -> Answered<LetterLines> {
        let before = self.history.next_dead().await.map_err(failing)?;
        let start = (self.clone(), self.filter(&wanted), Some(0), before);
        let chunks = stream::unfold(start, |(backend, filter, from, before)| async move {
            let page = backend.history.dead_since(filter.clone(), from?, before, BATCH).await;
            let page = match page {
                Ok(page) => page,
                // The stream ends with the error, so that a cut export is not taken for a whole one.
                Err(error) => return Some((Err(failing(error)), (backend, filter, None, before))),
            };
            let views = backend.views();
            let mut lines = Vec::new();
            for letter in &page.letters {
                let body = letter.event.as_ref().and_then(|event| super::views::raw(&event.body));
                let line = ExportedLetter { delivery: views.letter(letter), body };
                let begin = lines.len();
                if serde_json::to_writer(&mut lines, &line).is_ok() {
                    // A body is as its publisher wrote it, over several lines perhaps. In a string there is none.
                    let written = lines.iter_mut().skip(begin);
                    written.filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
                    lines.push(b'\n');
                } else {
                    lines.truncate(begin);
                }
            }
            Some((Ok(Bytes::from(lines)), (backend, filter, page.next, before)))
        });
        Ok(chunks.boxed())
    }

    async fn delete_letter(&self, id: &str) -> Answered<()> {
        let DeliveryId(uid, seq) = id_of(id)?;
        match self.history.delete(vec![(uid, seq)]).await.map_err(failing)? {
            0 => Err(DeliveryError::NotFound(format!("{id} is no dead letter"))),
            _ => Ok(()),
        }
    }

    async fn delete_letters(&self, wanted: Wanted) -> Answered<u64> {
        let before = self.history.next_dead().await.map_err(failing)?;
        let filter = self.filter(&wanted);
        let (mut deleted, mut from) = (0, Some(0));
        while let Some(place) = from {
            let page =
                self.history.dead_since(filter.clone(), place, before, BATCH).await.map_err(failing)?;
            let letters: Vec<_> = page.letters.iter().map(|letter| (letter.endpoint, letter.seq)).collect();
            if !letters.is_empty() {
                deleted += self.history.delete(letters).await.map_err(failing)?;
            }
            from = page.next;
        }
        Ok(deleted)
    }

    async fn start_replay(&self, request: ReplayRequest) -> Answered<ReplayJob> {
        let run = Run::new(self, &request)?;
        self.replays.start(self.clone(), run, request).await
    }

    fn replays(&self) -> Vec<ReplayJob> {
        self.replays.list()
    }

    fn replay(&self, id: &str) -> Answered<ReplayJob> {
        self.replays.job(id)
    }

    fn cancel_replay(&self, id: &str) -> Answered<ReplayJob> {
        self.replays.cancel(id)
    }
}
