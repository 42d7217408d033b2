//! A connector that goes where the test says, and receivers that answer what the test says.

use crate::HttpSinkFactory;
use postrider_sink::{
    Clock, ConnectError, ConnectErrorKind, Connection, Connector, Delivery, HostContext, Outcome, Secret,
    Sink, SinkFactory, Table, Trail, Value, async_trait,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// 2026-11-23T05:00:00Z, a Monday.
pub(crate) const NOW: Duration = Duration::from_secs(1_795_410_000);

pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix(&self) -> Duration {
        NOW
    }
}

pub(crate) enum Way {
    /// To this address, whatever the name.
    Tcp(SocketAddr),
    /// To whoever holds the other end of the channel.
    Memory(mpsc::UnboundedSender<DuplexStream>),
    /// Nowhere.
    Fails(ConnectErrorKind),
    /// Never ready.
    Hangs,
}

pub(crate) struct TestConnector {
    way: Way,
    pub(crate) connections: AtomicUsize,
    pub(crate) epoch: AtomicU64,
}

#[async_trait]
impl Connector for TestConnector {
    async fn connect(&self, host: &str, _port: u16, trail: &Trail) -> Result<Connection, ConnectError> {
        trail.dns(Duration::ZERO);
        self.connections.fetch_add(1, Ordering::SeqCst);
        match &self.way {
            Way::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| ConnectError {
                    kind: ConnectErrorKind::Connect,
                    message: error.to_string(),
                })?;
                stream.set_nodelay(true).unwrap();
                trail.connect(Duration::ZERO);
                Ok(Box::new(stream))
            }
            Way::Memory(others) => {
                let (ours, theirs) = tokio::io::duplex(256 * 1024);
                others.send(theirs).unwrap();
                Ok(Box::new(ours))
            }
            Way::Fails(kind) => Err(ConnectError { kind: *kind, message: format!("no way to {host}") }),
            Way::Hangs => std::future::pending().await,
        }
    }

    async fn addresses(&self, host: &str, _port: u16, _trail: &Trail) -> Result<Vec<IpAddr>, ConnectError> {
        match &self.way {
            Way::Fails(kind) => Err(ConnectError { kind: *kind, message: format!("no way to {host}") }),
            _ => Ok(vec![[192, 0, 2, 7].into()]),
        }
    }

    fn policy_epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }
}

/// A sink and what it was built with.
pub(crate) struct Rig {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) connector: Arc<TestConnector>,
}

pub(crate) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

pub(crate) fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The settings of an endpoint at `url`, credentials `acme:secret`.
pub(crate) fn settings(url: &str) -> Table {
    let credentials = Value::Secret(Secret::new("YWNtZTpzZWNyZXQ=".into()));
    let basic = Value::Table(table([("credentials", credentials)]));
    table([("url", text(url)), ("auth", Value::Table(table([("basic", basic)])))])
}

/// An HTTP sink keeps no task running.
struct NoHost;

impl postrider_sink::Host for NoHost {
    fn spawn(&self, _task: postrider_sink::Task) {
        panic!("the sink was not meant to run a task");
    }

    fn up(&self, _kind: &str) {}

    fn down(&self, _kind: &str, _reason: &str) {}
}

impl TestConnector {
    pub(crate) fn new(way: Way) -> Self {
        Self { way, connections: AtomicUsize::new(0), epoch: AtomicU64::new(0) }
    }
}

impl Rig {
    pub(crate) async fn new(way: Way) -> Self {
        Self::of(&HttpSinkFactory::new(), &settings("http://hooks.example/in?key=1"), way).await
    }

    pub(crate) async fn of(factory: &HttpSinkFactory, settings: &Table, way: Way) -> Self {
        let connector = Arc::new(TestConnector::new(way));
        let host = HostContext {
            endpoint: "acme".into(),
            user_agent: "postrider/0.1.0".into(),
            connector: connector.clone(),
            clock: Arc::new(FixedClock),
            folder: std::path::Path::new(".").into(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            concurrency: 4,
            host: Arc::new(NoHost),
        };
        let sink = factory.check(settings).unwrap().build(&host).await.unwrap();
        Self { sink, connector }
    }

    pub(crate) async fn deliver(&self) -> Outcome {
        self.deliver_this(&delivery()).await
    }

    pub(crate) async fn deliver_this(&self, delivery: &Delivery) -> Outcome {
        tokio::time::timeout(Duration::from_secs(15), self.sink.deliver(delivery)).await.expect("an outcome")
    }

    pub(crate) fn connections(&self) -> usize {
        self.connector.connections.load(Ordering::SeqCst)
    }
}

pub(crate) const BODY: &str = r#"{"event":"delivered","timestamp":"2026-11-23T05:00:00Z","data":{ "message_id":"wamid.42","status":"delivered","details":{} }}"#;

pub(crate) fn delivery() -> Delivery {
    Delivery {
        id: "evt_01".into(),
        event: "delivered".into(),
        product: "campaigns".into(),
        account: Some("acme".into()),
        body: BODY.into(),
        attempt: 3,
        test: false,
        traceparent: None,
        trail: Arc::default(),
    }
}

/// What a receiver does with one request.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Keep,
    Close,
    Hold,
    /// Sends such bytes without end.
    Flood(&'static [u8]),
}

pub(crate) fn reply(bytes: &str, then: Then) -> Reply {
    Reply { bytes: bytes.as_bytes().to_vec(), then }
}

pub(crate) fn ok() -> Reply {
    reply("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Keep)
}

/// A receiver on loopback: the nth request gets the nth reply, and the last reply from then on.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Told each time the receiver has closed a connection.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (tell, closed) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let into = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, replies.clone(), Arc::clone(&into), tell.clone()));
            }
        });
        Self { address, seen, closed, _tasks: tasks }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|raw| String::from_utf8(raw.clone()).unwrap()).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    replies: Vec<Reply>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    tell: mpsc::UnboundedSender<()>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let nth = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            seen.len() - 1
        };
        let reply = replies.get(nth).or(replies.last()).unwrap().clone();
        if stream.write_all(&reply.bytes).await.is_err() {
            return;
        }
        match reply.then {
            Then::Keep => {}
            Then::Close => {
                drop(stream);
                let _ = tell.send(());
                return;
            }
            Then::Hold => std::future::pending().await,
            Then::Flood(bytes) => while stream.write_all(bytes).await.is_ok() {},
        }
    }
}

/// One request as it came in, head and body. `None`: the other side closed.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    loop {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8(raw[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if raw.len() == end + length.parse::<usize>().unwrap() {
                return Some(raw);
            }
        }
        if stream.read_buf(&mut raw).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
