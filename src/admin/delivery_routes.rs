//! `/api/v1/events` and `/api/v1/deliveries`.

use super::backend::AdminBackend;
use super::caller::Caller;
use super::dead_letters::Erased;
use super::deliveries::{
    DeliveriesBackend, DeliveryDetail, DeliveryPage, DeliverySummary, EventDetail, Refused, Retried,
};
use super::endpoints::Identifier;
use super::filter::DeliveryFilter;
use super::openapi::{Conflicting, Failing, Invalid, Missing};
use super::problem::Problem;
use super::query::{DeliveryQuery, ErasureQuery, Query};
use super::scoped;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::StatusCode;
use std::convert::Infallible;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) type Backend = State<Arc<dyn AdminBackend>>;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn AdminBackend>> {
    OpenApiRouter::new()
        .routes(routes!(event))
        .routes(routes!(list, erase))
        .routes(routes!(show))
        .routes(routes!(retry))
}

/// The part of the daemon that answers, if it keeps a history.
pub(super) fn of(backend: &Arc<dyn AdminBackend>) -> Result<Arc<dyn DeliveriesBackend>, Problem> {
    backend.deliveries().ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "this daemon keeps no history"))
}

/// The longest page, and what it is where nothing is said.
pub(super) const LIMITS: (usize, usize) = (500, 50);

/// One event, and what became of it
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "deliveries", operation_id = "show_event",
    params(("id" = String, Path, description = "`evt_…`, as the publisher was answered and `webhook-id` says")),
    responses((status = 200, body = EventDetail), Missing, Failing))]
async fn event(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Json<EventDetail>, Refused> {
    Ok(Json(scoped::event(&*of(&backend)?, &caller, &id).await?))
}

/// What waits, newest first, then what has ended, newest first
///
/// With `follow`, what ends from now on, as server-sent events named `delivery`, until the caller or the daemon stops.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(DeliveryQuery),
    responses(
        (status = 200, description = "a page, or with `follow` a stream of deliveries", content(
            (DeliveryPage = "application/json"), (DeliverySummary = "text/event-stream"),
        )),
        Invalid, Missing, Failing,
    ))]
async fn list(
    State(backend): Backend,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    let mut query =
        Query::read(query.as_deref(), &[&DeliveryFilter::DELIVERIES[..], &["limit", "cursor", "follow"]])?;
    let follow = query.flag("follow")?;
    let limit = query.limit(LIMITS)?;
    let cursor = query.take("cursor");
    let wanted = query.filter(&caller)?;
    if !follow {
        return Ok(Json(backend.list(wanted, cursor, limit).await?).into_response());
    }
    let events = backend.follow(wanted).filter_map(async |row| {
        let event = Event::default().event("delivery").id(row.id.clone());
        event.json_data(&row).ok().map(Ok::<_, Infallible>)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// One delivery in full: its attempts, and its body while that is kept
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", operation_id = "show_delivery",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, body = DeliveryDetail), Missing, Failing))]
async fn show(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Json<DeliveryDetail>, Refused> {
    Ok(Json(scoped::delivery(&*of(&backend)?, &caller, &id).await?))
}

/// Tries a delivery that waits for its retry now, or replays a dead letter
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries", operation_id = "retry_delivery",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses(
        (status = 202, body = Retried, description = "it is tried as soon as there is a slot"),
        Missing, Conflicting, Failing,
        (status = 429, body = Problem, content_type = "application/problem+json", description = "as much as is allowed waits already"),
    ))]
async fn retry(
    State(backend): Backend,
    caller: Caller,
    Identifier(id): Identifier,
) -> Result<Response, Refused> {
    let backend = of(&backend)?;
    scoped::reachable(&*backend, &caller, &id)?;
    let retried = backend.retry(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(retried)).into_response())
}

/// Erases everything of one message or one account: what waits, dead letters, history
///
/// For operators only: it leaves no trace of what a subscriber was owed.
#[utoipa::path(delete, path = "/api/v1/deliveries", tag = "deliveries", operation_id = "erase", params(ErasureQuery),
    responses((status = 200, body = Erased), Invalid, Missing, Failing))]
async fn erase(
    State(backend): Backend,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Erased>, Refused> {
    caller.operator()?;
    let backend = of(&backend)?;
    let mut query = Query::read(query.as_deref(), &[&ErasureQuery::MEMBERS])?;
    let wanted = query.filter(&caller)?;
    if wanted.message_id.is_some() == wanted.account.is_some() {
        let detail = "name exactly one of message_id and account: everything about it is erased";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).into());
    }
    Ok(Json(backend.erase(wanted).await?))
}
