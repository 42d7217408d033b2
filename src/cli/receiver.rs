//! A receiver on this machine: a real HTTP server that checks passwords, answers as it is told, and reports every
//! request. `listen` and `dev` print what it reports.

use crate::clock::{SystemClock, unix_ms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bytes of a body that are read.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Connections at once; the next ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Who is let in. Credentials are kept as the encoded part of `Authorization: Basic`.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Whoever shows these.
    Everywhere(String),
    /// Whoever shows those of the path; other paths are not there.
    ByPath(HashMap<String, String>),
}

/// How it answers.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    pub(super) access: Access,
    pub(super) status: StatusCode,
    /// So many in a hundred are answered 503.
    pub(super) fail_percent: u8,
    /// The wait before each answer.
    pub(super) latency: Duration,
}

/// A request that was answered.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Arrival {
    /// Milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    pub(super) method: String,
    pub(super) path: String,
    /// The answer.
    pub(super) status: u16,
    /// The 503 came from `--fail`.
    pub(super) injected: bool,
    /// Of the body, if it is an event.
    pub(super) event: String,
    pub(super) product: String,
    pub(super) webhook_id: String,
    pub(super) attempt: String,
    /// Of the body.
    pub(super) bytes: usize,
}

/// Serves until `shutdown` is cancelled; then connections end where they are.
pub(super) async fn serve(
    listener: TcpListener,
    behaviour: Behaviour,
    arrivals: mpsc::Sender<Arrival>,
    shutdown: CancellationToken,
) {
    let behaviour = Arc::new(behaviour);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (behaviour, arrivals) = (behaviour.clone(), arrivals.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &behaviour, &arrivals));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new());
            // What breaks a connection is the other side's business.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    if let Ok((stream, _)) = listener.accept().await {
        return Some((stream, permit));
    }
    // Out of descriptors, most likely: they come back when connections close.
    tokio::time::sleep(Duration::from_millis(100)).await;
    None
}

async fn answer(
    request: Request<Incoming>,
    behaviour: &Behaviour,
    arrivals: &mpsc::Sender<Arrival>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    #[derive(Default, serde::Deserialize)]
    struct Event {
        #[serde(default)]
        event: String,
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    tokio::time::sleep(behaviour.latency).await;
    let mut injected = false;
    let status = match (&body, admit(&behaviour.access, &path, &head.headers)) {
        (Err(_), _) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, Err(refused)) => refused,
        (Ok(_), Ok(())) if rand::random_range(0..100) < behaviour.fail_percent => {
            injected = true;
            StatusCode::SERVICE_UNAVAILABLE
        }
        (Ok(_), Ok(())) => behaviour.status,
    };
    let body = body.unwrap_or_default();
    let event: Event = serde_json::from_slice(&body).unwrap_or_default();
    let word = |name: &str| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let arrival = Arrival {
        at_ms: unix_ms(&SystemClock),
        method: head.method.to_string(),
        path,
        status: status.as_u16(),
        injected,
        event: event.event,
        product: word("postrider-product"),
        webhook_id: word("webhook-id"),
        attempt: word("postrider-attempt"),
        bytes: body.len(),
    };
    // Nobody listens any more: the answer still counts.
    let _ = arrivals.send(arrival).await;
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        let challenge = http::HeaderValue::from_static("Basic realm=\"postrider\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    Ok(response)
}

fn admit(access: &Access, path: &str, headers: &HeaderMap) -> Result<(), StatusCode> {
    let wanted = match access {
        Access::Open => return Ok(()),
        Access::Everywhere(credentials) => credentials,
        Access::ByPath(paths) => paths.get(path).ok_or(StatusCode::NOT_FOUND)?,
    };
    let shown = headers.get(header::AUTHORIZATION).map_or(&[][..], http::HeaderValue::as_bytes);
    let (scheme, shown) = shown.split_at_checked(6).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"basic ") && bool::from(shown.ct_eq(wanted.as_bytes())) {
        Ok(())
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

/// The encoded form of `username:password`.
pub(super) fn credentials(text: &str) -> Result<String, String> {
    if text.contains(':') { Ok(STANDARD.encode(text)) } else { Err("write it as USER:PASSWORD".to_owned()) }
}

/// A short time: `200ms`, `2s`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 200ms or 2s".to_owned();
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let number: u32 = number.trim().parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(u64::from(number) * scale))
}
