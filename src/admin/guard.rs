//! Keeps other people's web pages out. A browser on the operator's machine reaches loopback for any page it shows:
//! by a plain cross-site request, or by a name that the page's owner rebound to 127.0.0.1. The first shows in
//! `Origin` and `Sec-Fetch-Site`, the second in `Host`. Programs that are no browsers send neither of the first two.

use super::problem::Problem;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes of a request's body: a test event is the largest thing anybody sends.
const MAX_BODY: usize = 256 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Refuses what a browser was tricked into, and reads the whole body before a route runs.
pub(super) async fn guard(State(listen): State<SocketAddr>, request: Request, next: Next) -> Response {
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let guarded = writes || request.uri().path().starts_with("/api/");
    if guarded && let Err(problem) = check(request.headers(), listen, writes) {
        return problem.into_response();
    }
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let detail = format!("the body could not be read, or has more than {MAX_BODY} bytes");
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response();
        }
        Err(_) => {
            let detail = format!("the body took longer than {} s", BODY_TIME.as_secs());
            return Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
        }
    };
    let page = !head.uri.path().starts_with("/api/") && !head.uri.path().starts_with("/-/");
    if writes && !body.is_empty() && !is_json(&head.headers) && !page {
        let detail = "send the body with content-type: application/json";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into_response();
    }
    let mut request = Request::from_parts(head, Body::from(body));
    request.extensions_mut().insert(super::caller::Caller::local(super::caller::Way::Page));
    next.run(request).await
}

fn check(headers: &HeaderMap, listen: SocketAddr, writes: bool) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let Some(host) = single(headers, header::HOST.as_str()) else {
        return refuse("exactly one Host header is needed");
    };
    if !is_ours(host, listen) {
        return refuse("this Host is not this machine: use 127.0.0.1, localhost or the listen address");
    }
    if !writes {
        return Ok(());
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = single(headers, header::ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
        if !origin.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host)) {
            return refuse("requests from other sites are refused: Origin is not this Host");
        }
    }
    if headers.contains_key("sec-fetch-site")
        && !matches!(single(headers, "sec-fetch-site"), Some("same-origin" | "none"))
    {
        return refuse(
            "requests from other sites are refused: Sec-Fetch-Site is neither same-origin nor none",
        );
    }
    Ok(())
}

/// The header's value, if it is there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A name can be rebound by whoever owns it, so only addresses and the names of loopback count.
fn is_ours(host: &str, listen: SocketAddr) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name.parse::<IpAddr>().map_or_else(
        |_| name == "localhost" || name.ends_with(".localhost"),
        |address| address.is_loopback() || address == listen.ip() || listen.ip().is_unspecified(),
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    single(headers, header::CONTENT_TYPE.as_str())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
