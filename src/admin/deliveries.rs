//! Deliveries as the API shows them, and what is asked about them.

use super::dead_letters::{DeadLetterPage, Erased, LetterLines, ReplayJob, ReplayRequest};
use super::filter::Wanted;
use super::problem::Problem;
use async_trait::async_trait;
use axum::response::{IntoResponse, Response};
use futures_util::stream::BoxStream;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// What a delivery is doing, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// The same in microseconds, for the page.
    #[serde(skip)]
    pub took_us: Option<u64>,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryPage {
    /// What waits first, newest accepted first; then what has ended, newest ended first. May be empty although
    /// more follow: so many were looked at and none was wanted.
    pub deliveries: Vec<DeliverySummary>,
    /// Where to go on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One attempt. What is absent was not done, or not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDetail {
    /// What a list says of it.
    pub delivery: DeliverySummary,
    /// Its attempts, oldest first, as far as history still has them.
    pub attempts: Vec<AttemptRecord>,
    /// The deliveries it was replayed as.
    #[serde(default)]
    pub replayed_as: Vec<String>,
    /// It is kept as a dead letter: it can be replayed.
    #[serde(default)]
    pub dead_letter: bool,
    /// The body, while it is kept: until it is delivered, or its dead letter goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
}

/// An event and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
}

/// What a retry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl DeliveryError {
    /// There is no such delivery, or none that the caller may see.
    #[must_use]
    pub fn no_delivery(id: &str) -> Self {
        Self::NotFound(format!("no delivery {id:?} is known (any more)"))
    }

    /// Likewise of an event.
    #[must_use]
    pub fn no_event(id: &str) -> Self {
        Self::NotFound(format!("no event {id:?} is known (any more)"))
    }

    /// Likewise of a replay.
    #[must_use]
    pub fn no_replay(id: &str) -> Self {
        Self::NotFound(format!("no replay {id:?} since the daemon's start"))
    }
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

    /// The account of the endpoint that a delivery goes to, by its id alone: whether the delivery exists is not looked
    /// at. None: it is for every account, or not known.
    fn owner(&self, id: &str) -> Option<String>;

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
