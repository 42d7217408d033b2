use super::backend::{AdminBackend, TestError};
use super::explain::explain;
use super::guard::guard;
use super::problem::Problem;
use super::status::{Health, Status, TestEvent};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use http::{StatusCode, header};
use std::net::SocketAddr;
use std::sync::Arc;

type Backend = State<Arc<dyn AdminBackend>>;

pub(super) fn router(backend: Arc<dyn AdminBackend>, listen: SocketAddr) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .route("/api/v1/status", get(status))
        .route("/api/v1/explain", post(explain))
        .route("/api/v1/endpoints/{name}/test", post(test))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(listen, guard))
        .with_state(backend)
}

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

async fn healthy() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), reason: None })
}

async fn ready(State(backend): Backend) -> Response {
    match backend.ready() {
        Ok(()) => healthy().await.into_response(),
        Err(reason) => {
            let health = Health { status: "unready".to_owned(), reason: Some(reason) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
        }
    }
}

async fn reload(State(backend): Backend) -> Response {
    let report = backend.reload().await;
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, Json(report)).into_response()
}

async fn status(State(backend): Backend) -> Json<Status> {
    Json(backend.status().await)
}

async fn test(State(backend): Backend, Path(name): Path<String>, body: Bytes) -> Response {
    let event = if body.is_empty() { Ok(TestEvent::default()) } else { serde_json::from_slice(&body) };
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            let status = match error.classify() {
                serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            let detail = format!("this is no test event: {error}; its members are event, product and data");
            return Problem::new(status, detail).into_response();
        }
    };
    match backend.test(&name, event).await {
        Ok(report) => Json(report).into_response(),
        Err(error @ TestError::NotFound(_)) => {
            Problem::new(StatusCode::NOT_FOUND, error.to_string()).into_response()
        }
        Err(error @ TestError::Unfit(_)) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response()
        }
    }
}

async fn nothing() -> Problem {
    let paths = "/metrics, /-/healthy, /-/ready, /-/reload and /api/v1/status";
    Problem::new(StatusCode::NOT_FOUND, format!("nothing is here; look at {paths}"))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method, see the Allow header")
}
