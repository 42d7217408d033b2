//! `/api/v1/endpoints` and `/api/v1/test`.

use super::backend::AdminBackend;
use super::caller::Caller;
use super::endpoint::{
    EndpointDetail, EndpointError, EndpointList, Order, Precondition, Settings, SettingsSchema, UnsavedTest,
};
use super::object::object;
use super::openapi::Missing;
use super::problem::Problem;
use super::status::{EndpointStatus, TestEvent, TestReport};
use crate::admin::TestError;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Backend = State<Arc<dyn AdminBackend>>;

/// The most endpoints of one page, and how many it has where nothing is said.
const PAGE: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn AdminBackend>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, delete))
        .routes(routes!(activate))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(test))
        .routes(routes!(test_unsaved))
}

/// The `{name}` or `{id}` of a path. One that cannot be read is nobody's.
pub(super) struct Identifier(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Identifier {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, &state).await;
        let missing = |_| Problem::new(StatusCode::NOT_FOUND, "nothing can be called that");
        name.map(|Path(name)| Self(name)).map_err(missing)
    }
}

/// Which endpoints are listed. Filters that are given must all fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
struct Filters {
    /// A part of the name, the destination or the note; upper and lower case are the same.
    search: Option<String>,
    /// The state: `active`, `paused`, `open` …
    state: Option<String>,
    /// Those that want this event.
    event: Option<String>,
    /// Those that want this product.
    product: Option<String>,
    /// Those of this account.
    account: Option<String>,
    /// Those whose names come after this one.
    after: Option<String>,
    /// At most so many; without it 1,000, and never more.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl Filters {
    fn fit(&self, endpoint: &EndpointStatus) -> bool {
        let wants = |asked: &Option<String>, names: &[String]| {
            asked.as_ref().is_none_or(|asked| names.iter().any(|name| name == asked || name == "all"))
        };
        let found = |text: &str| {
            let has = |field: &str| field.to_lowercase().contains(&text.to_lowercase());
            has(&endpoint.name)
                || [&endpoint.destination, &endpoint.note, &endpoint.last_error]
                    .into_iter()
                    .flatten()
                    .any(|field| has(field))
        };
        self.search.as_deref().is_none_or(found)
            && self.state.as_ref().is_none_or(|state| *state == endpoint.state)
            && wants(&self.event, &endpoint.events)
            && wants(&self.product, &endpoint.products)
            && self.account.as_ref().is_none_or(|account| endpoint.account.as_ref() == Some(account))
    }
}

/// The endpoints that the caller may see
#[utoipa::path(get, path = "/api/v1/endpoints", tag = "endpoints", operation_id = "list_endpoints", params(Filters), responses(
    (status = 200, body = EndpointList),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "a filter that is none"),
))]
async fn list(
    State(backend): Backend,
    caller: Caller,
    filters: Result<Query<Filters>, QueryRejection>,
) -> Result<Json<EndpointList>, Problem> {
    let refuse = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Query(filters) = filters.map_err(|error| refuse(error.body_text()))?;
    let limit = filters.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(refuse(format!("limit is 1 to {PAGE}")));
    }
    let all = backend.status().await.endpoints.into_iter();
    let fitting: Vec<EndpointStatus> =
        all.filter(|endpoint| caller.sees(endpoint.account.as_deref()) && filters.fit(endpoint)).collect();
    let total = u64::try_from(fitting.len()).unwrap_or(u64::MAX);
    let after = filters.after.as_deref().unwrap_or_default();
    let mut rest = fitting.into_iter().filter(|endpoint| after.is_empty() || endpoint.name.as_str() > after);
    let mut endpoints: Vec<EndpointStatus> = rest.by_ref().take(limit).collect();
    let mut next = None;
    // A name may be there twice, for two accounts while one of them is removed: they stay together.
    for endpoint in rest {
        if endpoints.last().is_some_and(|last| last.name == endpoint.name) {
            endpoints.push(endpoint);
            continue;
        }
        next = endpoints.last().map(|last| last.name.clone());
        break;
    }
    Ok(Json(EndpointList { endpoints, total, next }))
}

/// An endpoint in full: settings without secrets, text, where each value comes from, state and history
#[utoipa::path(get, path = "/api/v1/endpoints/{name}", tag = "endpoints", operation_id = "show_endpoint", params(("name" = String, Path)), responses(
    (status = 200, body = EndpointDetail, headers(("etag" = String, description = "the file's version"))),
    Missing,
    (status = 503, body = Problem, content_type = "application/problem+json", description = "its file cannot be read"),
))]
async fn show(
    State(backend): Backend,
    caller: Caller,
    Identifier(name): Identifier,
) -> Result<Response, Problem> {
    Ok(detail(StatusCode::OK, backend.endpoint(&caller, &name).await?))
}

/// Writes an endpoint's file, keeping comments and order, and puts it in force
///
/// The body has the keys of the file. Send `If-Match` with the version you have read, or `If-None-Match: *` to
/// create. A secret sent as `{"fingerprint": …}` stays as it is; a new one is written as text, and kept in a file of
/// its own. It must be entered again when the URL leads to another host.
#[utoipa::path(put, path = "/api/v1/endpoints/{name}", tag = "endpoints", operation_id = "put_endpoint",
    params(
        ("name" = String, Path),
        ("if-match" = Option<String>, Header, description = "the version to change, or *", example = "*"),
        ("if-none-match" = Option<String>, Header, description = "* to create: sent in place of if-match"),
    ),
    request_body(content = SettingsSchema, description = "the settings"),
    responses(
        (status = 200, body = EndpointDetail, headers(("etag" = String))),
        (status = 201, body = EndpointDetail, headers(("etag" = String), ("location" = String))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "not JSON"),
        Missing,
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the folder cannot be written: the TOML to put there; or the name is taken"),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "somebody else changed it: both sides"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "invalid settings, one by one"),
        (status = 428, body = Problem, content_type = "application/problem+json", description = "neither If-Match nor If-None-Match"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "written, but not in force"),
    ))]
async fn put(
    State(backend): Backend,
    caller: Caller,
    Identifier(name): Identifier,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let expected = required(&headers)?;
    let settings: Settings = parse(&body, "settings: an object with the keys of an endpoint file")?;
    let (endpoint, new) = backend.put_endpoint(&caller, &name, settings, expected).await?;
    let mut answer = detail(if new { StatusCode::CREATED } else { StatusCode::OK }, endpoint);
    if let (true, Ok(location)) = (new, HeaderValue::try_from(format!("/api/v1/endpoints/{name}"))) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// Removes an endpoint: its file is deleted, and what waits for it is dead at once
#[utoipa::path(delete, path = "/api/v1/endpoints/{name}", tag = "endpoints", operation_id = "remove_endpoint",
    params(("name" = String, Path), ("if-match" = Option<String>, Header, description = "the version to remove, or *", example = "*")),
    responses(
        (status = 204),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a precondition that is none"),
        Missing,
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the folder cannot be written"),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "somebody else changed it"),
        (status = 428, body = Problem, content_type = "application/problem+json", description = "If-Match is missing"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "deleted, but still in force"),
    ))]
async fn delete(
    State(backend): Backend,
    caller: Caller,
    Identifier(name): Identifier,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    backend.delete_endpoint(&caller, &name, required(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

macro_rules! order {
    ($name:ident, $path:literal, $order:expr, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(post, path = $path, tag = "endpoints",
            params(("name" = String, Path), ("if-match" = Option<String>, Header, description = "the version to change, or *", example = "*")),
            responses(
                (status = 200, body = EndpointDetail, headers(("etag" = String))),
                (status = 400, body = Problem, content_type = "application/problem+json", description = "a precondition that is none"),
                Missing,
                (status = 409, body = Problem, content_type = "application/problem+json", description = "the folder cannot be written: the TOML to put there"),
                (status = 412, body = Problem, content_type = "application/problem+json", description = "somebody else changed it"),
                (status = 422, body = Problem, content_type = "application/problem+json", description = "its settings do not allow it"),
                (status = 503, body = Problem, content_type = "application/problem+json", description = "written, but not in force"),
            ))]
        async fn $name(
            State(backend): Backend,
            caller: Caller,
            Identifier(name): Identifier,
            headers: HeaderMap,
        ) -> Result<Response, Problem> {
            let endpoint = backend.order(&caller, &name, $order, expected(&headers)?).await?;
            Ok(detail(StatusCode::OK, endpoint))
        }
    };
}

order!(activate, "/api/v1/endpoints/{name}/activate", Order::Activate, "Collects and sends from now on");
order!(pause, "/api/v1/endpoints/{name}/pause", Order::Pause, "Collects, and holds what it collects");
order!(
    resume,
    "/api/v1/endpoints/{name}/resume",
    Order::Resume,
    "Sends again, what was held first: ends a pause, a suspension and a block"
);

/// Makes one attempt with a test event; it works in every state and is counted nowhere
#[utoipa::path(post, path = "/api/v1/endpoints/{name}/test", tag = "endpoints", operation_id = "test_endpoint", params(("name" = String, Path)),
    request_body = Option<TestEvent>,
    responses(
        (status = 200, body = TestReport, description = "what became of it; a failed attempt too"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "not JSON"),
        Missing,
        (status = 422, body = Problem, content_type = "application/problem+json", description = "no test event, or no sink yet"),
    ))]
async fn test(
    State(backend): Backend,
    caller: Caller,
    Identifier(name): Identifier,
    body: Bytes,
) -> Result<Json<TestReport>, Problem> {
    let event = if body.is_empty() {
        TestEvent::default()
    } else {
        parse(&body, "a test event; its members are event, product and data")?
    };
    let report = backend.test(&caller, &name, event).await.map_err(|error| match error {
        TestError::NotFound(name) => EndpointError::NotFound(name),
        TestError::Unfit(detail) => EndpointError::Unfit(detail),
    })?;
    Ok(Json(report))
}

/// Makes one attempt with settings that are not saved, on the way that deliveries take
#[utoipa::path(post, path = "/api/v1/test", tag = "endpoints", request_body = UnsavedTest, responses(
    (status = 200, body = TestReport, description = "what became of it; a failed attempt too"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "not JSON"),
    Missing,
    (status = 422, body = Problem, content_type = "application/problem+json", description = "invalid settings, one by one"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "a file cannot be read"),
))]
async fn test_unsaved(
    State(backend): Backend,
    caller: Caller,
    body: Bytes,
) -> Result<Json<TestReport>, Problem> {
    let test = parse(&body, "a test; its members are settings, name, event, product and data")?;
    Ok(Json(backend.test_unsaved(&caller, test).await?))
}

fn detail(status: StatusCode, endpoint: EndpointDetail) -> Response {
    let etag = HeaderValue::try_from(format!("\"{}\"", endpoint.etag));
    let mut answer = (status, Json(endpoint)).into_response();
    if let Ok(etag) = etag {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

/// Reads JSON. What is no JSON is 400; what is another thing than `what` is 422.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = object(&mut reader).and_then(|read| reader.end().map(|()| read));
    read.map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, format!("this is no {}: {error}", what.trim_start_matches("a ")))
    })
}

fn required(headers: &HeaderMap) -> Result<Precondition, Problem> {
    match expected(headers)? {
        Precondition::None => {
            let detail = "send If-Match with the version you have read, or If-None-Match: * to create";
            Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail))
        }
        expected => Ok(expected),
    }
}

/// RFC 9110, sections 13.1.1 and 13.1.2. A weak version is nobody's.
fn expected(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let all = |name: HeaderName| -> Result<Option<String>, Problem> {
        let texts: Result<Vec<&str>, _> = headers.get_all(&name).iter().map(HeaderValue::to_str).collect();
        let wrong = |_| Problem::new(StatusCode::BAD_REQUEST, format!("{name} is no list of versions"));
        let texts = texts.map_err(wrong)?;
        Ok((!texts.is_empty()).then(|| texts.join(",")))
    };
    match (all(IF_MATCH)?, all(IF_NONE_MATCH)?) {
        (None, None) => Ok(Precondition::None),
        (Some(text), None) if text.trim() == "*" => Ok(Precondition::Match(Vec::new())),
        (Some(text), None) => {
            let strong = |tag: &str| Some(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
            let mut versions: Vec<String> = text.split(',').filter_map(strong).collect();
            if versions.is_empty() {
                // An empty list would mean any.
                versions.push(String::new());
            }
            Ok(Precondition::Match(versions))
        }
        (None, Some(text)) if text.trim() == "*" => Ok(Precondition::Absent),
        _ => {
            let detail = "send either If-Match, or If-None-Match: *";
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}
