//! Dead letters as the API shows them, replays as jobs, and the paths for both.

use super::deliveries::{Answered, Backend, DeliverySummary, LIMITS, Refused, of};
use super::filter::DeliveryFilter;
use super::problem::Problem;
use super::query::Query;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream::BoxStream;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Lines of JSON, as they are read.
pub type LetterLines = BoxStream<'static, Answered<Bytes>>;

/// One page of dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterPage {
    /// Newest dead first. May be empty although more follow.
    pub dead_letters: Vec<DeliverySummary>,
    /// Where to go on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A line of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportedLetter {
    /// What a list says of it.
    pub delivery: DeliverySummary,
    /// The body; absent if it is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// How many were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Dead letters.
    pub deleted: u64,
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Deliveries that waited. One whose attempt ran meanwhile may still have arrived.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// Entries of history.
    pub history: u64,
}

/// A replay that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which dead letters; `state` makes no sense here. Without any member: all.
    pub filter: DeliveryFilter,
    /// How fast: `50/s` where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Only count.
    pub dry_run: bool,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It counts what it will replay.
    Counting,
    /// It replays.
    Running,
    /// It has seen all of them.
    Done,
    /// A person ended it.
    Cancelled,
    /// The store failed; what it has not replayed stays a dead letter.
    Failed,
}

impl ReplayState {
    /// Whether it goes on.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Counting | Self::Running)
    }
}

/// A replay. It lives in the daemon's memory: a restart ends it, and what it has not replayed by then is still a dead
/// letter. Each letter becomes a delivery in one commit, so none is lost and none replayed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayJob {
    /// `rpl_…`.
    pub id: String,
    /// How it stands.
    pub state: ReplayState,
    /// Which dead letters.
    pub filter: DeliveryFilter,
    /// How fast.
    pub rate: String,
    /// Only counts.
    pub dry_run: bool,
    /// How many there are: those that died before it began.
    pub matched: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// How many are deliveries again.
    pub replayed: u64,
    /// How many stay dead letters: their endpoint is not there any more, or their body is damaged.
    pub skipped: u64,
    /// Why it waits, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// The replays since the daemon's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayList {
    /// Newest first.
    pub replays: Vec<ReplayJob>,
}

pub(super) async fn list(State(backend): Backend, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query =
        Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..], &["limit", "cursor"]])?;
    let limit = query.limit(LIMITS)?;
    let cursor = query.take("cursor");
    let wanted = query.filter()?;
    let page = backend.letters(wanted, cursor, limit).await?;
    Ok(Json(page).into_response())
}

pub(super) async fn export(State(backend): Backend, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..]])?;
    let wanted = query.filter()?;
    Ok(letters_file(backend.export(wanted).await?))
}

/// Lines of dead letters as a file to keep.
pub(super) fn letters_file(lines: LetterLines) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"dead-letters.ndjson\""),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

/// Without a filter it must say `all=true`: nobody deletes everything by leaving something out.
pub(super) async fn delete(State(backend): Backend, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..], &["all"]])?;
    let all = query.flag("all")?;
    let wanted = query.filter()?;
    if wanted.is_empty() != all {
        let detail = "name which dead letters to delete by a filter, or all of them by all=true";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).into());
    }
    let deleted = backend.delete_letters(wanted).await?;
    Ok(Json(Deleted { deleted }).into_response())
}

pub(super) async fn delete_one(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    backend.delete_letter(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn start(State(backend): Backend, body: Bytes) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let request = if body.is_empty() { Ok(ReplayRequest::default()) } else { serde_json::from_slice(&body) };
    let request = request.map_err(|error| {
        let detail = format!("this is no replay: {error}; its members are filter, rate and dry_run");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let job = backend.start_replay(request).await?;
    let place = format!("/api/v1/dead-letters/replays/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(job)).into_response())
}

pub(super) async fn replays(State(backend): Backend) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    Ok(Json(ReplayList { replays: backend.replays() }).into_response())
}

pub(super) async fn replay(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    Ok(Json(backend.replay(&id)?).into_response())
}

pub(super) async fn cancel(State(backend): Backend, Path(id): Path<String>) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    Ok(Json(backend.cancel_replay(&id)?).into_response())
}
