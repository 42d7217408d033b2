//! The receiver: answers for every endpoint at `/NAME` and writes down what arrives.
//!
//! `GET /-/count` tells how many requests were answered with success, as JSON.

use crate::authorization;
use crate::event::{digest, number_in};
use crate::log::{Log, Receipt};
use crate::wire::{Message, Wire};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const FLUSH: Duration = Duration::from_millis(50);

/// What to listen on and how to behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0: the system chooses.
    pub listen: SocketAddr,
    /// The names of the endpoints it stands for.
    pub endpoints: Vec<String>,
    /// The share of requests that are answered 500. Which ones follows from the seed, the event and the attempt.
    pub fail_share: f64,
    /// What chooses among the possible runs.
    pub seed: u64,
    /// Where the log goes.
    pub dir: PathBuf,
    /// The log's name.
    pub name: String,
}

impl Options {
    /// On loopback, answering 200 to everything.
    #[must_use]
    pub fn new(endpoints: Vec<String>, dir: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            endpoints,
            fail_share: 0.0,
            seed: 0,
            dir,
            name: "main".to_owned(),
        }
    }
}

/// By name.
type Endpoints = Arc<HashMap<String, Behaviour>>;

/// How one endpoint behaves; may be changed at any time.
#[derive(Debug)]
struct Behaviour {
    authorization: String,
    status: AtomicU16,
    delay_ms: AtomicU64,
    answered: AtomicU64,
}

/// A receiver that works on a thread of its own.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    endpoints: Endpoints,
    count: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<()>>,
}

impl Receiver {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the address, the log or the thread cannot be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let log = Log::received(&options.dir, &options.name)?;
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let endpoints: HashMap<_, _> = options
            .endpoints
            .into_iter()
            .map(|name| {
                let behaviour = Behaviour {
                    authorization: authorization(&name),
                    status: AtomicU16::new(200),
                    delay_ms: AtomicU64::new(0),
                    answered: AtomicU64::new(0),
                };
                (name, behaviour)
            })
            .collect();
        let endpoints = Arc::new(endpoints);
        let server = Shared {
            endpoints: Arc::clone(&endpoints),
            count: Arc::clone(&count),
            fail_share: options.fail_share,
            seed: options.seed,
            log: RefCell::new(log),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async move {
                Rc::new(server).serve(TcpListener::from_std(listener)?, &stopped).await
            })
        })?;
        Ok(Self { address, stop, endpoints, count, thread })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered with success so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Requests of one endpoint answered with success so far.
    #[must_use]
    pub fn count_of(&self, endpoint: &str) -> u64 {
        self.behaviour(endpoint).map_or(0, |behaviour| behaviour.answered.load(Ordering::Relaxed))
    }

    /// From now on this endpoint answers so.
    pub fn set_status(&self, endpoint: &str, status: u16) {
        if let Some(behaviour) = self.behaviour(endpoint) {
            behaviour.status.store(status, Ordering::Relaxed);
        }
    }

    /// From now on this endpoint takes so long to answer.
    pub fn set_delay(&self, endpoint: &str, delay: Duration) {
        if let Some(behaviour) = self.behaviour(endpoint) {
            let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            behaviour.delay_ms.store(millis, Ordering::Relaxed);
        }
    }

    /// A switch that asks it to stop.
    #[must_use]
    pub fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Stops it; its log is complete then.
    ///
    /// # Errors
    /// When the log could not be written.
    pub fn stop(self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until it has been stopped.
    ///
    /// # Errors
    /// When the log could not be written.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().map_err(|_panic| io::Error::other("the receiver panicked"))?
    }

    fn behaviour(&self, endpoint: &str) -> Option<&Behaviour> {
        self.endpoints.get(endpoint)
    }
}

struct Shared {
    endpoints: Endpoints,
    count: Arc<AtomicU64>,
    fail_share: f64,
    seed: u64,
    log: RefCell<Log>,
}

impl Shared {
    async fn serve(self: Rc<Self>, listener: TcpListener, stop: &AtomicBool) -> io::Result<()> {
        let mut connections = JoinSet::new();
        let mut flush = tokio::time::interval(FLUSH);
        while !stop.load(Ordering::Relaxed) {
            tokio::select! {
                accepted = listener.accept() => {
                    // A peer that left again, or no descriptor just now: neither concerns the next.
                    if let Ok((stream, _peer)) = accepted {
                        connections.spawn_local(Rc::clone(&self).connection(stream));
                    }
                }
                Some(_ended) = connections.join_next() => {}
                _ = flush.tick() => self.log.borrow_mut().flush()?,
            }
        }
        self.log.borrow_mut().flush()
    }

    async fn connection(self: Rc<Self>, stream: TcpStream) -> io::Result<()> {
        // Only latency would suffer.
        let _ = stream.set_nodelay(true);
        let mut wire = Wire::new(stream);
        loop {
            let Some(message) = wire.next().await? else { return Ok(()) };
            if message.word(1) == "/-/count" {
                let body = format!("{{\"count\":{}}}", self.count.load(Ordering::Relaxed));
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                wire.send(head.as_bytes()).await?;
                continue;
            }
            let (receipt, delay_ms) = self.receipt(&message);
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            let status = receipt.answered;
            self.log.borrow_mut().receipt(&receipt)?;
            if (200..300).contains(&status) {
                self.count.fetch_add(1, Ordering::Relaxed);
                if let Some(behaviour) = self.behaviour(&receipt.endpoint) {
                    behaviour.answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            if status == 200 {
                wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            } else {
                let answer = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 0\r\n\r\n");
                wire.send(answer.as_bytes()).await?;
            }
        }
    }

    fn receipt(&self, message: &Message<'_>) -> (Receipt, u64) {
        let endpoint = message.word(1).trim_start_matches('/').replace(char::is_whitespace, "_");
        let behaviour = self.behaviour(&endpoint);
        let id = message.header("webhook-id").unwrap_or_default().replace(char::is_whitespace, "_");
        let attempt = message.header("postrider-attempt").and_then(|text| text.parse().ok()).unwrap_or(0);
        let authorized = behaviour.is_some_and(|behaviour| {
            message.header("authorization") == Some(behaviour.authorization.as_str())
        });
        let status = behaviour.map_or(404, |behaviour| behaviour.status.load(Ordering::Relaxed));
        let answered = if status == 200 && self.fails(&endpoint, &id, attempt) { 500 } else { status };
        let delay_ms = behaviour.map_or(0, |behaviour| behaviour.delay_ms.load(Ordering::Relaxed));
        let receipt = Receipt {
            number: number_in(message.body),
            digest: digest(message.body),
            at_us: crate::clock::unix_us(),
            endpoint,
            id,
            attempt,
            answered,
            authorized,
        };
        (receipt, delay_ms)
    }

    fn fails(&self, endpoint: &str, id: &str, attempt: u32) -> bool {
        if self.fail_share <= 0.0 {
            return false;
        }
        let draw = xxh3_64_with_seed(format!("{endpoint} {id} {attempt}").as_bytes(), self.seed);
        #[expect(clippy::cast_precision_loss, reason = "a draw between 0 and 1 needs no more digits")]
        let draw = draw as f64 / u64::MAX as f64;
        draw < self.fail_share
    }

    fn behaviour(&self, endpoint: &str) -> Option<&Behaviour> {
        self.endpoints.get(endpoint)
    }
}
