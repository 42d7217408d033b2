//! Keeps other people's web pages out. A browser on the operator's machine reaches loopback for any page it shows:
//! by a plain cross-site request, or by a name that the page's owner rebound to 127.0.0.1. The first shows in
//! `Origin` and `Sec-Fetch-Site`, the second in `Host`. Programs that are no browsers send neither of the first two.

use super::caller::Scope;
use super::door::{Door, Peer};
use super::page::signed_out;
use super::problem::Problem;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request's body: a test event is the largest thing anybody sends.
const MAX_BODY: usize = 256 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Paths that tell nobody anything.
pub(super) const HEALTH: [&str; 2] = ["/-/healthy", "/-/ready"];

/// Where a login of an account may go: these routes look at who asks. Anything else is for operators.
const SCOPED: [&str; 13] = [
    "/new",
    "/endpoints",
    "/deliveries",
    "/dead-letters",
    "/api/v1/endpoints",
    "/api/v1/test",
    "/api/v1/status",
    "/api/v1/explain",
    "/api/v1/events",
    "/api/v1/deliveries",
    "/api/v1/dead-letters",
    "/api/v1/openapi.json",
    "/logout",
];

/// What a browser may do with an answer that says nothing else: nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Refuses what a browser was tricked into and who has no login, and reads the whole body before a route runs.
pub(super) async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut answer = match admit(&door, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => *refusal,
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

async fn admit(door: &Door, mut request: Request) -> Result<Request, Box<Response>> {
    let refuse = |problem: Problem| Box::new(problem.into_response());
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().to_owned();
    let reads_openly = HEALTH.contains(&&*path) && !writes;
    let access = door.access();
    // Scrapers come by any name where a login, or the operator's word, says who may have what they get. Without either
    // it is the name that keeps it from a page whose own name was rebound to this machine.
    let by_any_name = path == "/metrics" && (access.metrics_public || !access.logins.is_empty());
    if !reads_openly && (writes || !by_any_name) {
        check(request.headers(), door.listen(), &access.hosts, writes).map_err(refuse)?;
    }
    let scraped = path == "/metrics" && access.metrics_public;
    let open = reads_openly || scraped || path == "/login" || path.starts_with("/assets/");
    if !open {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        let entrance = door.enter(&access, request.headers(), peer);
        let entrance = entrance.map_err(|problem| Box::new(turned_away(problem, &request)))?;
        if entrance.by_session && writes {
            same_site(request.headers()).map_err(refuse)?;
        }
        if entrance.caller.scope != Scope::Operator && !is_scoped(&path) {
            entrance.caller.operator().map_err(refuse)?;
        }
        request.extensions_mut().insert(entrance.caller);
    }
    read(request, writes, &path).await
}

/// Reads the body. Bytes that come slowly, or without end, are nobody's.
async fn read(request: Request, writes: bool, path: &str) -> Result<Request, Box<Response>> {
    let refuse = |status, detail: String| Err(Box::new(Problem::new(status, detail).into_response()));
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let detail = format!("the body could not be read, or has more than {MAX_BODY} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, detail);
        }
        Err(_) => {
            let detail = format!("the body took longer than {} s", BODY_TIME.as_secs());
            return refuse(StatusCode::REQUEST_TIMEOUT, detail);
        }
    };
    let api = path.starts_with("/api/") || path.starts_with("/-/");
    let known = is_type(&head.headers, "application/json")
        || (!api && is_type(&head.headers, "application/x-www-form-urlencoded"));
    if writes && !body.is_empty() && !known {
        let detail = "send the body with content-type: application/json".to_owned();
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    }
    Ok(Request::from_parts(head, Body::from(body)))
}

/// A person with a browser is led to the page that asks for the password: at once instead of a screen, by a link where
/// something was to be done, which is not done by signing in.
fn turned_away(problem: Problem, request: &Request) -> Response {
    let path = request.uri().path();
    let accepts = single(request.headers(), header::ACCEPT.as_str()).unwrap_or_default();
    if !accepts.contains("text/html") || path.starts_with("/api/") || path.starts_with("/-/") {
        return problem.into_response();
    }
    if *request.method() == Method::GET {
        let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
        let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        return Redirect::to(&format!("/login?next={next}")).into_response();
    }
    let answer = problem.into_response();
    if answer.status() == StatusCode::UNAUTHORIZED { signed_out() } else { answer }
}

fn is_scoped(path: &str) -> bool {
    path == "/"
        || SCOPED.iter().any(|scoped| {
            path.strip_prefix(scoped).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// A session's cookie comes along by itself, so a write that it vouches for says where it comes from.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Ok(());
    }
    let detail =
        "with a session, a write needs the header Origin or Sec-Fetch-Site; programs use Basic credentials";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn check(headers: &HeaderMap, listen: SocketAddr, hosts: &[Arc<str>], writes: bool) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let Some(host) = single(headers, header::HOST.as_str()) else {
        return refuse("exactly one Host header is needed");
    };
    if !is_ours(host, listen, hosts) {
        return refuse(
            "this Host is not this machine: use 127.0.0.1, localhost or the listen address, or add it to hosts in [admin]",
        );
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
fn is_ours(host: &str, listen: SocketAddr, hosts: &[Arc<str>]) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name.parse::<IpAddr>().map_or_else(
        |_| {
            let named = |host: &Arc<str>| host.eq_ignore_ascii_case(&name);
            name == "localhost" || name.ends_with(".localhost") || hosts.iter().any(named)
        },
        |address| address.is_loopback() || address == listen.ip() || listen.ip().is_unspecified(),
    )
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    single(headers, header::CONTENT_TYPE.as_str())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}
