//! Deliveries as the API shows them, what is asked about them, and the paths for it.

use super::backend::AdminBackend;
use super::dead_letters::{DeadLetterPage, Erased, LetterLines, ReplayJob, ReplayRequest};
use super::filter::{DeliveryFilter, Wanted};
use super::problem::Problem;
use super::query::Query;
use async_trait::async_trait;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::sync::Arc;

/// What a delivery is doing, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is sent as soon as there is a slot.
    Ready,
    /// An attempt failed: it waits for its retry.
    Parked,
    /// An attempt runs now.
    InFlight,
    /// Its endpoint may not send now; `reason` says why.
    Held,
    /// The destination has it.
    Delivered,
    /// It will not be tried again by itself; `reason` says why.
    Dead,
}

impl DeliveryState {
    /// Every state, in the order they are listed.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Parked, Self::InFlight, Self::Held, Self::Delivered, Self::Dead];

    /// The word for it in API, command line and page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Parked => "parked",
            Self::InFlight => "in_flight",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// One delivery in a list. Times are RFC 3339, UTC, with milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverySummary {
    /// `dlv_…`.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The event's id: `evt_…`, the same as `webhook-id`.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// The product it came from.
    pub product: String,
    /// The customer it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The message it is about.
    pub message_id: String,
    /// What it is doing, or how it ended.
    pub state: DeliveryState,
    /// Of a dead one: `gone`, `rejected`, `exhausted`, `expired`, `overflow` or `endpoint_removed`. Of a held one: what
    /// its endpoint is (`paused`, `open`, `waiting`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the last attempt came to, one line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Attempts spent since acceptance or replay.
    pub attempts: u32,
    /// The status code of the last attempt, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// When its event was accepted, or the delivery replayed.
    pub accepted_at: String,
    /// When it ended; absent: it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// When its next attempt is due, of a parked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// How long the last attempt took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// What waits first, newest accepted first; then what has ended, newest ended first. May be empty although
    /// more follow: so many were looked at and none was wanted.
    pub deliveries: Vec<DeliverySummary>,
    /// Where to go on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One attempt. What is absent was not done, or not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptRecord {
    /// 1 for the first since acceptance or replay. Probes of a failing endpoint count nowhere: their number repeats.
    pub number: u32,
    /// When it ended.
    pub ended_at: String,
    /// Whether the destination has it.
    pub ok: bool,
    /// The kind of its failure: `http_error`, `timeout`, `dns`, `connect`, `tls` or `sink_error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The answer's status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// What it came to, one line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The whole attempt, in microseconds.
    pub took_us: u64,
    /// Looking the name up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_us: Option<u64>,
    /// The TCP handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// The TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_us: Option<u64>,
    /// From the request's last byte to the head of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_us: Option<u64>,
    /// The first KiB of the answer, where `keep_answer` is on; bytes that are no UTF-8 are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Which configuration it was made with.
    pub generation: u64,
}

/// One delivery in full.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryDetail {
    /// What a list says of it.
    pub delivery: DeliverySummary,
    /// Its attempts, oldest first, as far as history still has them.
    pub attempts: Vec<AttemptRecord>,
    /// The deliveries it was replayed as.
    #[serde(default)]
    pub replayed_as: Vec<String>,
    /// The body, while it is kept: until it is delivered, or its dead letter goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// An event and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventDetail {
    /// `evt_…`.
    pub id: String,
    /// Its name.
    pub event: String,
    /// The product it came from.
    pub product: String,
    /// The customer it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The message it is about.
    pub message_id: String,
    /// When it was accepted.
    pub accepted_at: String,
    /// Its deliveries, replays included.
    pub deliveries: Vec<DeliverySummary>,
    /// The body, while a delivery of it waits or is a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// What a retry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// The delivery that is tried now: the same one, or of a dead letter the new one.
    pub id: String,
    /// Whether a dead letter was replayed.
    pub replayed: bool,
}

/// Why something about deliveries was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// There is no such thing (any more).
    #[error("{0}")]
    NotFound(String),
    /// What is asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not as things are now.
    #[error("{0}")]
    Conflict(String),
    /// Too much at once.
    #[error("{0}")]
    Busy(String),
    /// The store fails.
    #[error("{0}")]
    Failing(String),
}

impl IntoResponse for DeliveryError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Failing(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, self.to_string()).into_response()
    }
}

/// A request that is answered with a problem.
pub(super) struct Refused(Response);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem.into_response())
    }
}

impl From<DeliveryError> for Refused {
    fn from(error: DeliveryError) -> Self {
        Self(error.into_response())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0
    }
}

/// What an answer about deliveries is.
pub type Answered<T> = Result<T, DeliveryError>;

/// What the API asks about deliveries and dead letters.
#[async_trait]
pub trait DeliveriesBackend: Send + Sync + 'static {
    /// A page of deliveries.
    async fn list(&self, wanted: Wanted, cursor: Option<String>, limit: usize) -> Answered<DeliveryPage>;

    /// What ends from now on, as it ends; ends when the daemon stops.
    fn follow(&self, wanted: Wanted) -> BoxStream<'static, DeliverySummary>;

    /// One delivery in full.
    async fn show(&self, id: &str) -> Answered<DeliveryDetail>;

    /// One event with its deliveries.
    async fn event(&self, id: &str) -> Answered<EventDetail>;

    /// Tries a parked delivery now, or replays a dead letter.
    async fn retry(&self, id: &str) -> Answered<Retried>;

    /// Takes everything of one message or one account away: what waits, dead letters, history.
    async fn erase(&self, wanted: Wanted) -> Answered<Erased>;

    /// A page of dead letters, newest dead first.
    async fn letters(&self, wanted: Wanted, cursor: Option<String>, limit: usize)
    -> Answered<DeadLetterPage>;

    /// Dead letters with their bodies, oldest dead first, each a line of JSON.
    async fn export(&self, wanted: Wanted) -> Answered<LetterLines>;

    /// Deletes one dead letter.
    async fn delete_letter(&self, id: &str) -> Answered<()>;

    /// Deletes all that are wanted; how many.
    async fn delete_letters(&self, wanted: Wanted) -> Answered<u64>;

    /// Starts a replay of all dead letters that are wanted.
    async fn start_replay(&self, request: ReplayRequest) -> Answered<ReplayJob>;

    /// The replays since the daemon's start, newest first; of those that have ended the last hundred.
    fn replays(&self) -> Vec<ReplayJob>;

    /// One of them.
    fn replay(&self, id: &str) -> Answered<ReplayJob>;

    /// Ends one; what it has not replayed stays a dead letter.
    fn cancel_replay(&self, id: &str) -> Answered<ReplayJob>;
}

pub(super) type Backend = State<Arc<dyn AdminBackend>>;

/// The part of the daemon that answers, if it keeps a history.
pub(super) fn of(backend: &Arc<dyn AdminBackend>) -> Result<Arc<dyn DeliveriesBackend>, Problem> {
    backend.deliveries().ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "this daemon keeps no history"))
}

/// The longest page, and what it is where nothing is said.
pub(super) const LIMITS: (usize, usize) = (500, 50);

pub(super) async fn list(State(backend): Backend, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query =
        Query::read(query.as_deref(), &[&DeliveryFilter::DELIVERIES[..], &["limit", "cursor", "follow"]])?;
    let follow = query.flag("follow")?;
    let limit = query.limit(LIMITS)?;
    let cursor = query.take("cursor");
    let wanted = query.filter()?;
    if !follow {
        let page = backend.list(wanted, cursor, limit).await?;
        return Ok(Json(page).into_response());
    }
    let events = backend.follow(wanted).filter_map(async |row| {
        let event = Event::default().event("delivery").id(row.id.clone());
        event.json_data(&row).ok().map(Ok::<_, Infallible>)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

pub(super) async fn show(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let detail = backend.show(&id).await?;
    Ok(Json(detail).into_response())
}

pub(super) async fn event(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let detail = backend.event(&id).await?;
    Ok(Json(detail).into_response())
}

pub(super) async fn retry(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let retried = backend.retry(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(retried)).into_response())
}

/// Erases everything of one message or one account.
pub(super) async fn erase(State(backend): Backend, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&["message_id", "account"]])?;
    let wanted = query.filter()?;
    if wanted.message_id.is_some() == wanted.account.is_some() {
        let detail = "name exactly one of message_id and account: everything about it is erased";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).into());
    }
    let erased = backend.erase(wanted).await?;
    Ok(Json(erased).into_response())
}
