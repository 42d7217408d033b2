use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(20);

/// What the receiver does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers so.
    Status(u16, Vec<(String, String)>),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Close,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    pub(crate) fn with(status: u16, name: &str, value: &str) -> Self {
        Self::Status(status, vec![(name.to_owned(), value.to_owned())])
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Request {
    /// The value of a header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

#[derive(Default)]
struct Path {
    /// What comes next; the last one stays.
    script: Vec<Reply>,
    /// Only requests with this header are answered as told, others 401.
    authorization: Option<String>,
    requests: Vec<Request>,
}

#[derive(Default)]
struct State {
    paths: Mutex<HashMap<String, Path>>,
}

/// A subscriber's server. It ends with this value.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    arrived: watch::Receiver<u64>,
    _server: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let (arrival, arrived) = watch::channel(0);
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            let arrival = Arc::new(arrival);
            loop {
                let Ok((stream, _peer)) = listener.accept().await else { continue };
                let (state, arrival) = (Arc::clone(&shared), Arc::clone(&arrival));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let (state, arrival) = (Arc::clone(&state), Arc::clone(&arrival));
                        async move { state.answer(request, &arrival).await }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, state, arrived, _server: server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on requests to `path` are treated so, one after another; the last reply stays. Without a script they
    /// are answered 200.
    pub(crate) fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut script: Vec<Reply> = replies.into_iter().collect();
        script.reverse();
        self.state.with(path, |path| path.script = script);
    }

    /// From now on `path` wants the credentials of this endpoint.
    pub(crate) fn want_credentials(&self, path: &str, endpoint: &str) {
        self.state.with(path, |path| path.authorization = Some(postrider_checker::authorization(endpoint)));
    }

    /// What has arrived at `path`.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        self.state.with(path, |path| path.requests.clone())
    }

    /// Waits until so many have arrived at `path`.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Request> {
        let mut arrived = self.arrived.clone();
        let enough = arrived.wait_for(|_| self.requests(path).len() >= count);
        let in_time = tokio::time::timeout(DEADLINE, enough).await.is_ok();
        let requests = self.requests(path);
        assert!(in_time, "{} of {count} arrived at {path} within {DEADLINE:?}", requests.len());
        requests
    }
}

impl State {
    fn with<T>(&self, path: &str, f: impl FnOnce(&mut Path) -> T) -> T {
        f(self.paths.lock().expect("no test panics while it holds it").entry(path.to_owned()).or_default())
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        arrival: &watch::Sender<u64>,
    ) -> Result<Response<Full<Bytes>>, String> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let reply = self.with(head.uri.path(), |path| {
            let authorized = path
                .authorization
                .as_deref()
                .is_none_or(|wanted| head.headers.get("authorization").is_some_and(|value| value == wanted));
            path.requests.push(Request { headers: head.headers.clone(), body, at: Instant::now() });
            if !authorized {
                return Reply::status(401);
            }
            if path.script.len() > 1 {
                return path.script.pop().expect("not empty");
            }
            path.script.last().cloned().unwrap_or(Reply::status(200))
        });
        arrival.send_modify(|count| *count += 1);
        let mut response = Response::new(Full::new(Bytes::new()));
        match reply {
            Reply::Status(status, headers) => {
                *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                if status == 200 {
                    *response.body_mut() = Full::new(Bytes::from_static(b"taken"));
                }
                for (name, value) in headers {
                    let name = http::HeaderName::try_from(name).expect("a name");
                    response.headers_mut().insert(name, value.parse().expect("a value"));
                }
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return Err("told to close".to_owned()),
        }
        Ok(response)
    }
}
