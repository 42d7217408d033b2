use crate::http::Client;
use crate::log::Log;
use crate::output::Output;
use postrider_sink::{Clock, Trail};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::{Error, ResourceLimiter, bail};

/// Elements of all tables of an instance.
const ELEMENTS: usize = 1 << 20;
/// Instances, memories and tables that one component may be made of.
const PARTS: usize = 256;

/// What an instance runs with. Everything that a component can reach is in here.
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Limits,
    /// When the attempt at work began.
    pub(crate) began: Instant,
    /// When it is stopped.
    pub(crate) until: Instant,
    /// What the attempt at work has learned.
    pub(crate) trail: Arc<Trail>,
    /// What was refused to the attempt at work.
    pub(crate) refused: Option<Refusal>,
    /// What it wrote to standard output or error.
    pub(crate) output: Output,
    /// When the instance was made.
    pub(crate) born: Instant,
}

/// What all instances of an endpoint share.
pub(crate) struct Shared {
    pub(crate) endpoint: Arc<str>,
    /// As JSON.
    pub(crate) settings: String,
    /// None: nothing may be sent, settings are only checked.
    pub(crate) client: Option<Client>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) log: Log,
}

/// What a component asked for and did not get.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) kind: RefusalKind,
}

/// What is to be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// The address guard said so: the endpoint is to be held.
    Blocked,
    /// It is why the attempt failed.
    Denied,
    /// It was given nothing, which it may or may not have minded.
    Empty,
}

impl State {
    pub(crate) fn new(shared: Arc<Shared>, memory: usize, until: Instant) -> Self {
        let limits = Limits { most: memory, held: 0, elements: 0 };
        let now = Instant::now();
        let (trail, refused, output) = (Arc::default(), None, Output::default());
        Self { shared, limits, began: now, until, trail, refused, output, born: now }
    }

    /// Another attempt begins.
    pub(crate) fn begin(&mut self, until: Instant, trail: &Arc<Trail>) {
        (self.began, self.until) = (Instant::now(), until);
        self.trail = Arc::clone(trail);
        self.refused = None;
        self.output = Output::default();
    }

    /// What is left of the attempt.
    pub(crate) fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Counts the memory of an instance, all its parts together.
pub(crate) struct Limits {
    most: usize,
    held: usize,
    elements: usize,
}

impl Limits {
    /// Whether there is so little room left that the instance should not be used again.
    pub(crate) const fn is_tight(&self) -> bool {
        self.held > self.most / 4 * 3
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let held = self.held.saturating_sub(current).saturating_add(desired);
        if held > self.most {
            bail!("it wanted more than {} MiB of memory", self.most >> 20);
        }
        self.held = held;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let elements = self.elements.saturating_sub(current).saturating_add(desired);
        if elements > ELEMENTS {
            bail!("it wanted tables of more than {ELEMENTS} elements");
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}
