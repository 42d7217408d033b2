//! The publisher: posts numbered events and writes down what became of every attempt.
//!
//! A connection takes a message and posts its four statuses one after another, so that their order is known. What was
//! refused is posted again; what ended without an answer is posted again only if it carries an id.

mod post;

use crate::event::Event;
use crate::log::{Attempt, Log, Outcome};
use crate::stats::quantile;
use post::{Answer, Target};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often logs reach the disk's cache, and a stopped daemon is tried again.
const FLUSH: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(5);

/// Where events are posted.
#[derive(Debug, Clone)]
pub enum To {
    /// An address.
    Address(SocketAddr),
    /// The address named `ingress` in this file, which `postrider run --ready-file` writes. It is read again for every
    /// new connection: a daemon that was started again listens elsewhere.
    ReadyFile(PathBuf),
}

/// What to post, how fast and until when.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub to: To,
    /// Connections kept open.
    pub connections: usize,
    /// Events per second, due at fixed times whatever the daemon does; none: as fast as it answers.
    pub rate: Option<f64>,
    /// Stop after so many events.
    pub events: Option<u64>,
    /// Stop after so long.
    pub time: Option<Duration>,
    /// Number of the first message: publishers that write to one folder need numbers of their own.
    pub first_message: u64,
    /// Bytes of `data`.
    pub bytes: usize,
    /// Post every message for one of so many accounts; none: for no account.
    pub accounts: Option<u64>,
    /// Where the log goes.
    pub dir: PathBuf,
    /// The log's name.
    pub name: String,
}

impl Options {
    /// Eight connections, as fast as possible, 300 bytes each, until stopped.
    #[must_use]
    pub fn new(to: To, dir: PathBuf) -> Self {
        Self {
            to,
            connections: 8,
            rate: None,
            events: None,
            time: None,
            first_message: 0,
            bytes: 300,
            accounts: None,
            dir,
            name: "main".to_owned(),
        }
    }
}

/// What a publisher did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Events accepted.
    pub accepted: u64,
    /// Deliveries promised for them.
    pub deliveries: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Attempts that ended without an answer.
    pub unknown: u64,
    /// From the first attempt to the last.
    pub seconds: f64,
    /// Half of the answers took no longer, microseconds.
    pub p50_us: u64,
    /// 99 % of the answers took no longer.
    pub p99_us: u64,
}

/// A publisher that works on a thread of its own.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<Summary>>,
}

impl Publisher {
    /// Starts to post.
    ///
    /// # Errors
    /// When the log or the thread cannot be made.
    pub fn start(options: Options) -> io::Result<Self> {
        let log = Log::published(&options.dir, &options.name)?;
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&accepted));
        let thread = std::thread::Builder::new().name("publisher".to_owned()).spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, run(options, log, stopped, counter))
        })?;
        Ok(Self { stop, accepted, thread })
    }

    /// Events accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Asks it to stop once the attempts in flight have ended.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// A switch that asks it to stop.
    #[must_use]
    pub fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When the log could not be written.
    pub fn join(self) -> io::Result<Summary> {
        self.thread.join().map_err(|_panic| io::Error::other("the publisher panicked"))?
    }
}

struct Shared {
    options: Options,
    log: RefCell<Log>,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    start: Instant,
    next_message: Cell<u64>,
    ticket: Cell<u64>,
    counts: RefCell<Summary>,
    took: RefCell<Vec<u64>>,
}

async fn run(
    options: Options,
    log: Log,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
) -> io::Result<Summary> {
    let start = Instant::now();
    let shared = Rc::new(Shared {
        next_message: Cell::new(options.first_message),
        log: RefCell::new(log),
        options,
        stop,
        accepted,
        start,
        ticket: Cell::new(0),
        counts: RefCell::default(),
        took: RefCell::default(),
    });
    let mut connections = JoinSet::new();
    for _ in 0..shared.options.connections {
        connections.spawn_local(Rc::clone(&shared).connection());
    }
    let mut flush = tokio::time::interval(FLUSH);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                None => break,
                Some(result) => result.map_err(io::Error::other)??,
            },
            _ = flush.tick() => shared.log.borrow_mut().flush()?,
        }
    }
    shared.log.borrow_mut().flush()?;
    let mut took = shared.took.take();
    took.sort_unstable();
    let mut summary = shared.counts.take();
    summary.seconds = start.elapsed().as_secs_f64();
    summary.p50_us = quantile(&took, 0.5);
    summary.p99_us = quantile(&took, 0.99);
    Ok(summary)
}

impl Shared {
    async fn connection(self: Rc<Self>) -> io::Result<()> {
        let mut target = Target::new(self.options.to.clone());
        while let Some(message) = self.claim() {
            for status in 0..Event::PER_MESSAGE {
                let event = Event { number: message * Event::PER_MESSAGE + status };
                let due = self.due().await;
                if self.over() || !self.publish(event, due, &mut target).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn claim(&self) -> Option<u64> {
        let message = self.next_message.get();
        let done = (message - self.options.first_message) * Event::PER_MESSAGE;
        if self.over() || self.options.events.is_some_and(|limit| done >= limit) {
            return None;
        }
        self.next_message.set(message + 1);
        Some(message)
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.options.time.is_some_and(|limit| self.start.elapsed() >= limit)
    }

    /// Waits until the next event is due, and says when that was: time lost behind a slow answer counts as latency.
    async fn due(&self) -> Instant {
        let Some(rate) = self.options.rate else { return Instant::now() };
        let ticket = self.ticket.get();
        self.ticket.set(ticket + 1);
        #[expect(clippy::cast_precision_loss, reason = "a count of events within one run")]
        let due = self.start + Duration::from_secs_f64(ticket as f64 / rate);
        tokio::time::sleep_until(due).await;
        due
    }

    /// Posts until the outcome is settled, or the publisher is stopped (false).
    async fn publish(&self, event: Event, due: Instant, target: &mut Target) -> io::Result<bool> {
        let body = event.request(self.options.bytes, self.options.accounts);
        let digest = event.digest(self.options.bytes);
        let mut since = due;
        loop {
            let sent_us = crate::clock::unix_us()
                .saturating_sub(micros(Instant::now().saturating_duration_since(since)));
            let answer = target.post(&body).await;
            let took_us = micros(since.elapsed());
            let mut attempt = Attempt {
                number: event.number,
                outcome: Outcome::Fail,
                status: 0,
                id: String::new(),
                deliveries: 0,
                digest,
                sent_us,
                took_us,
            };
            let settled = match answer {
                Answer::Accepted { status, id, deliveries } => {
                    attempt = Attempt { outcome: Outcome::Ok, status, id, deliveries, ..attempt };
                    self.took.borrow_mut().push(took_us);
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    let mut counts = self.counts.borrow_mut();
                    counts.accepted += 1;
                    counts.deliveries += u64::from(deliveries);
                    true
                }
                Answer::Refused { status } => {
                    attempt.status = status;
                    self.counts.borrow_mut().refused += 1;
                    false
                }
                Answer::Unreachable => false,
                Answer::Lost => {
                    attempt.outcome = Outcome::Unknown;
                    self.counts.borrow_mut().unknown += 1;
                    !event.keyed()
                }
            };
            // What never left is no attempt.
            if attempt.outcome != Outcome::Fail || attempt.status != 0 {
                self.log.borrow_mut().attempt(&attempt)?;
            }
            if settled {
                return Ok(true);
            }
            if self.over() {
                return Ok(false);
            }
            tokio::time::sleep(AGAIN).await;
            since = Instant::now();
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
