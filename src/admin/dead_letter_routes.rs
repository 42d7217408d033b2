//! `/api/v1/dead-letters` and the replays below it.

use super::backend::AdminBackend;
use super::caller::Caller;
use super::dead_letters::{
    DeadLetterPage, Deleted, ExportedLetter, LetterLines, ReplayJob, ReplayList, ReplayRequest,
};
use super::deliveries::{DeliveryDetail, DeliveryError, Refused};
use super::delivery_routes::{Backend, LIMITS, of};
use super::endpoints::{Identifier, parse};
use super::filter::DeliveryFilter;
use super::openapi::{Failing, Invalid, Missing};
use super::problem::Problem;
use super::query::{DeletionQuery, ExportQuery, LetterQuery, Query};
use super::scoped;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn AdminBackend>> {
    OpenApiRouter::new()
        .routes(routes!(list, delete))
        .routes(routes!(export))
        .routes(routes!(replays, start))
        .routes(routes!(replay))
        .routes(routes!(cancel))
        .routes(routes!(show, delete_one))
}

/// Dead letters, newest dead first
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", operation_id = "list_dead_letters",
    params(LetterQuery), responses((status = 200, body = DeadLetterPage), Invalid, Missing, Failing))]
async fn list(
    State(backend): Backend,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<DeadLetterPage>, Refused> {
    let backend = of(&backend)?;
    let mut query =
        Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..], &["limit", "cursor"]])?;
    let limit = query.limit(LIMITS)?;
    let cursor = query.take("cursor");
    let wanted = query.filter(&caller)?;
    Ok(Json(backend.letters(wanted, cursor, limit).await?))
}

/// Dead letters with their bodies, oldest dead first, each a line of JSON
#[utoipa::path(get, path = "/api/v1/dead-letters/export", tag = "dead letters", operation_id = "export_dead_letters",
    params(ExportQuery),
    responses(
        (status = 200, body = ExportedLetter, content_type = "application/x-ndjson"),
        Invalid, Missing, Failing,
    ))]
async fn export(
    State(backend): Backend,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..]])?;
    let wanted = query.filter(&caller)?;
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

/// Deletes the dead letters of a filter
///
/// Without a filter it must say `all=true`: nobody deletes everything by leaving something out.
#[utoipa::path(delete, path = "/api/v1/dead-letters", tag = "dead letters", operation_id = "delete_dead_letters",
    params(DeletionQuery), responses((status = 200, body = Deleted), Invalid, Missing, Failing))]
async fn delete(
    State(backend): Backend,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Deleted>, Refused> {
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&DeliveryFilter::DEAD_LETTERS[..], &["all"]])?;
    let all = query.flag("all")?;
    if query.is_empty() != all {
        let detail = "name which dead letters to delete by a filter, or all of them by all=true";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).into());
    }
    let wanted = query.filter(&caller)?;
    Ok(Json(Deleted { deleted: backend.delete_letters(wanted).await? }))
}

/// One dead letter in full
#[utoipa::path(get, path = "/api/v1/dead-letters/{id}", tag = "dead letters", operation_id = "show_dead_letter",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, body = DeliveryDetail), Missing, Failing))]
async fn show(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Json<DeliveryDetail>, Refused> {
    let detail = scoped::delivery(&*of(&backend)?, &caller, &id).await?;
    if !detail.dead_letter {
        return Err(DeliveryError::NotFound(format!("{id} is no dead letter")).into());
    }
    Ok(Json(detail))
}

/// Deletes one dead letter
#[utoipa::path(delete, path = "/api/v1/dead-letters/{id}", tag = "dead letters", operation_id = "delete_dead_letter",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 204), Missing, Failing))]
async fn delete_one(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<StatusCode, Refused> {
    let backend = of(&backend)?;
    scoped::reachable(&*backend, &caller, &id)?;
    backend.delete_letter(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a replay of dead letters, oldest dead first
///
/// Without a body, of all. A dry run is answered when it has counted.
#[utoipa::path(post, path = "/api/v1/dead-letters/replays", tag = "dead letters", operation_id = "start_replay",
    request_body = Option<ReplayRequest>,
    responses(
        (status = 202, body = ReplayJob, headers(("location" = String, description = "where its progress is"))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "not JSON, or a filter or rate that is none"),
        Missing,
        (status = 422, body = Problem, content_type = "application/problem+json", description = "no replay"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "as many replays as are allowed go on already"),
        Failing,
    ))]
async fn start(State(backend): Backend, caller: Caller, body: Bytes) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let request = if body.is_empty() {
        ReplayRequest::default()
    } else {
        parse(&body, "a replay; its members are filter, rate and dry_run")?
    };
    let job = scoped::start_replay(&*backend, &caller, request).await?;
    let place = format!("/api/v1/dead-letters/replays/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(job)).into_response())
}

/// The replays since the daemon's start, newest first
#[utoipa::path(get, path = "/api/v1/dead-letters/replays", tag = "dead letters", operation_id = "list_replays",
    responses((status = 200, body = ReplayList), Missing))]
async fn replays(State(backend): Backend, caller: Caller) -> Result<Json<ReplayList>, Refused> {
    Ok(Json(ReplayList { replays: scoped::replays(&*of(&backend)?, &caller) }))
}

/// How a replay stands
#[utoipa::path(get, path = "/api/v1/dead-letters/replays/{id}", tag = "dead letters", operation_id = "show_replay",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, body = ReplayJob), Missing))]
async fn replay(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Json<ReplayJob>, Refused> {
    Ok(Json(scoped::replay(&*of(&backend)?, &caller, &id)?))
}

/// Ends a replay: what it has not replayed stays a dead letter
#[utoipa::path(post, path = "/api/v1/dead-letters/replays/{id}/cancel", tag = "dead letters", operation_id = "cancel_replay",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, body = ReplayJob), Missing))]
async fn cancel(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Json<ReplayJob>, Refused> {
    Ok(Json(scoped::cancel_replay(&*of(&backend)?, &caller, &id)?))
}
