use super::backend::AdminBackend;
use super::caller::{Caller, Scope};
use super::door::Door;
use super::endpoints;
use super::explain;
use super::guard::guard;
use super::login::{login, logout};
use super::openapi::{self, Document};
use super::page::{self, Page};
use super::problem::Problem;
use super::status::{ConfigStatus, Health, ReloadReport, SpoolStatus, Status};
use super::{dead_letter_routes, delivery_routes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router, middleware};
use http::{StatusCode, header};
use std::net::SocketAddr;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Backend = State<Arc<dyn AdminBackend>>;

/// Every route that is documented.
pub(super) fn documented() -> OpenApiRouter<Arc<dyn AdminBackend>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(metrics))
        .routes(routes!(healthy))
        .routes(routes!(ready))
        .routes(routes!(reload))
        .routes(routes!(status))
        .routes(routes!(openapi::openapi))
        .routes(routes!(explain::explain))
        .merge(endpoints::routes())
        .merge(delivery_routes::routes())
        .merge(dead_letter_routes::routes())
}

pub(super) fn router(backend: Arc<dyn AdminBackend>, listen: SocketAddr, page: Option<Page>) -> Router {
    let door = Arc::new(Door::new(Arc::clone(&backend), listen));
    let (routes, document) = documented().split_for_parts();
    let document = Document::new(&document, &backend.endpoint_schema());
    routes
        .route("/login", post(login))
        .route("/logout", post(logout))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .with_state(backend)
        .merge(page.map(page::router).unwrap_or_default())
        .layer(Extension(Arc::new(document)))
        .layer(Extension(Arc::clone(&door)))
        .layer(middleware::from_fn_with_state(door, guard))
}

/// All series in the text format of Prometheus
#[utoipa::path(get, path = "/metrics", tag = "daemon", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 500, body = Problem, content_type = "application/problem+json", description = "they could not be written"),
))]
async fn metrics(State(backend): Backend) -> Response {
    // With many endpoints this takes milliseconds, which the deliveries of this thread would wait for.
    match tokio::task::spawn_blocking(move || backend.render_metrics()).await {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")
            .into_response(),
    }
}

/// Whether the process answers
#[utoipa::path(get, path = "/-/healthy", tag = "daemon", responses((status = 200, body = Health)))]
async fn healthy() -> Response {
    health(Ok(()))
}

/// Whether it works
#[utoipa::path(get, path = "/-/ready", tag = "daemon", responses(
    (status = 200, body = Health),
    (status = 503, body = Health, description = "starting, stopping, or the spool fails or its disk is full"),
))]
async fn ready(State(backend): Backend) -> Response {
    health(backend.ready())
}

/// What a health path answers, where this is the matter.
pub(super) fn health(ready: Result<(), String>) -> Response {
    match ready {
        Ok(()) => Json(Health { status: "ok".to_owned(), reason: None }).into_response(),
        Err(reason) => {
            let health = Health { status: "unready".to_owned(), reason: Some(reason) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
        }
    }
}

/// Reads the files again and puts in force what of them is valid
#[utoipa::path(post, path = "/-/reload", tag = "daemon", responses(
    (status = 200, body = ReloadReport),
    (status = 422, body = ReloadReport, description = "something is rejected"),
))]
async fn reload(State(backend): Backend) -> Response {
    let report = backend.reload().await;
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, Json(report)).into_response()
}

/// How the daemon and its endpoints are
#[utoipa::path(get, path = "/api/v1/status", tag = "daemon", responses((status = 200, body = Status)))]
async fn status(State(backend): Backend, caller: Caller) -> Json<Status> {
    let mut status = backend.status().await;
    if caller.scope != Scope::Operator {
        status.endpoints.retain(|endpoint| caller.sees(endpoint.account.as_deref()));
        // The machine is the operator's.
        status.spool = SpoolStatus::default();
        status.config = ConfigStatus::default();
        status.unready = status.unready.map(|_| "no events are taken now".to_owned());
    }
    Json(status)
}

async fn nothing() -> Problem {
    let paths = "/metrics, /-/healthy, /-/ready, /api/v1/status and /api/v1/openapi.json";
    Problem::new(StatusCode::NOT_FOUND, format!("nothing is here; look at {paths}"))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method, see the Allow header")
}
