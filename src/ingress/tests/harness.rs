use super::super::{Ingress, IngressDeps, Limits, Submit};
use crate::clock::SystemClock;
use crate::config::{
    AdminConfig, Credential, DaemonConfig, IngressConfig, Publisher, ReloadConfig, ShutdownConfig,
    SpoolConfig,
};
use crate::ids::{EventId, Generation};
use crate::metrics::Metrics;
use crate::net::NetworkPolicy;
use crate::policy::DeliverySettings;
use crate::router::Submission;
use crate::spool::{Accepted, NewEvent, Receipt, Refusal};
use crate::table::{Catalogue, Table};
use arc_swap::ArcSwap;
use postrider_sink::Secret;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test is red.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const EVENT: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"s","details":{}}}"#;

/// What the router says.
#[derive(Clone)]
pub(super) enum Says {
    Accepted,
    Duplicate,
    Refused(Refusal),
    /// Drops the reply.
    Nothing,
    /// Keeps the submission until the test looks.
    Later,
}

/// A router that answers as it is told and keeps what it was given.
#[derive(Clone)]
pub(super) struct Double(Arc<Mutex<State>>);

struct State {
    says: Says,
    events: Vec<NewEvent>,
    held: Vec<Submission>,
}

impl Submit for Double {
    fn submit(&self, submission: Submission) {
        let mut state = self.0.lock().unwrap();
        state.events.extend(submission.events.iter().cloned());
        let receipt = |duplicate| -> Receipt {
            let one = |_: &NewEvent| Accepted { id: EventId([7; 16]), deliveries: 2, duplicate };
            Ok(submission.events.iter().map(one).collect())
        };
        let answer = match state.says.clone() {
            Says::Accepted => receipt(false),
            Says::Duplicate => receipt(true),
            Says::Refused(refusal) => Err(refusal),
            Says::Nothing => return,
            Says::Later => return state.held.push(submission),
        };
        let _ = submission.reply.send(answer);
    }

    fn table(&self) -> Arc<Table> {
        Arc::new(Table::new(Generation(1), Catalogue::default(), Vec::new()))
    }
}

/// An ingress that runs.
pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) config: Arc<ArcSwap<DaemonConfig>>,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
    pub(super) running: JoinHandle<()>,
    router: Double,
}

pub(super) fn config(publishers: Vec<Publisher>) -> DaemonConfig {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    DaemonConfig {
        ingress: IngressConfig { publishers, max_body: 4096, max_batch: 10, ..IngressConfig::at(nowhere) },
        admin: AdminConfig::at(nowhere),
        spool: SpoolConfig::at("data".into()),
        catalogue: Catalogue::default(),
        network: NetworkPolicy::default(),
        limits: crate::config::LimitsConfig::default(),
        reload: ReloadConfig::default(),
        shutdown: ShutdownConfig::default(),
        defaults: DeliverySettings::default(),
    }
}

pub(super) fn publisher(name: &str, credential: Credential) -> Publisher {
    Publisher { name: name.into(), credential, rate: None, accounts: Vec::new() }
}

pub(super) fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic { username: username.into(), password: Secret::new(password.to_owned()) }
}

pub(super) async fn house() -> House {
    house_with(Limits::default(), Vec::new()).await
}

pub(super) async fn house_with(limits: Limits, publishers: Vec<Publisher>) -> House {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = State { says: Says::Accepted, events: Vec::new(), held: Vec::new() };
    let router = Double(Arc::new(Mutex::new(state)));
    let config = Arc::new(ArcSwap::from_pointee(config(publishers)));
    let (metrics, shutdown) = (Metrics::new(), CancellationToken::new());
    let ingress = Ingress::new(IngressDeps {
        router: router.clone(),
        metrics: metrics.clone(),
        clock: Arc::new(SystemClock),
        config: config.clone(),
        limits,
    });
    let stop = shutdown.clone();
    #[expect(clippy::disallowed_methods, reason = "the house owns it and the runtime of the test ends it")]
    let running = tokio::spawn(async move { ingress.run(listener, stop).await });
    House { address, config, metrics, shutdown, running, router }
}

impl House {
    pub(super) fn says(&self, says: Says) {
        self.router.0.lock().unwrap().says = says;
    }

    /// What the router was given.
    pub(super) fn events(&self) -> Vec<NewEvent> {
        self.router.0.lock().unwrap().events.clone()
    }

    /// What the router holds, once it holds so many.
    pub(super) async fn held(&self, count: usize) -> Vec<Submission> {
        let enough = async {
            loop {
                {
                    let mut state = self.router.0.lock().unwrap();
                    if state.held.len() >= count {
                        return std::mem::take(&mut state.held);
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, enough).await.unwrap()
    }

    pub(super) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), rest: Vec::new() }
    }

    /// Sends these bytes on a connection of their own and reads the answer.
    pub(super) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.reply().await
    }

    /// Posts with some headers on a connection of its own.
    pub(super) async fn post(&self, headers: &str, body: &str) -> Reply {
        self.raw(post(headers, body)).await
    }
}

/// A post with some headers, each with its line end.
pub(super) fn post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

pub(super) struct Client {
    pub(super) stream: TcpStream,
    rest: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The end of the problem's `type`.
    pub(super) fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{self:?}");
        assert!(
            !document["title"].as_str().unwrap().is_empty()
                && !document["detail"].as_str().unwrap().is_empty()
        );
        document["type"].as_str().unwrap().strip_prefix("urn:postrider:problem:").unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have closed already; what it said is still there to read.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.rest);
        timeout(PATIENCE, read).await.expect("an answer in time").unwrap_or(0) > 0
    }

    /// The next answer.
    pub(super) async fn reply(&mut self) -> Reply {
        loop {
            if let Some(end) = self.rest.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8(self.rest[..end + 2].to_vec()).unwrap();
                let status = head[9..12].parse().unwrap();
                let reply = Reply { status, head, body: String::new() };
                let length = reply.header("content-length").map_or(0, |value| value.parse().unwrap());
                let all = end + 4 + length;
                if self.rest.len() >= all {
                    let body = String::from_utf8(self.rest[end + 4..all].to_vec()).unwrap();
                    self.rest.drain(..all);
                    return Reply { body, ..reply };
                }
            }
            assert!(self.more().await, "closed without an answer: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    /// Whether the other side closes, without another byte.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.rest.is_empty() && !self.more().await && self.rest.is_empty()
    }
}
