use super::evaluate::Running;
use super::handle::ReloadHandle;
use super::keeper::Keeper;
use super::last_good::LastGood;
use super::metrics::ReloadMetrics;
use super::outcome::{Change, ReloadOutcome, ReloadStatus};
use super::round::{BROKE_OFF, Bench, Publish, Round};
use super::watcher::{self, WatchTimes, Watcher};
use crate::clock::{Clock, unix_ms};
use crate::config::{ConfigError, Loader};
use crate::ids::Generation;
use crate::metrics::Metrics;
use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How many reloads are remembered.
const HISTORY: usize = 50;
/// Changes of one reload that the log names; the page has them all.
const SHOWN: usize = 20;

/// How soon a round that broke off is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How soon rejected files are read again although they look the same: the cause may lie elsewhere, in a want of
/// descriptors perhaps.
const RETRY_REJECTED: Duration = Duration::from_secs(30);

/// Decides when the files are read again, one round at a time, and what is said about it.
pub struct ReloadActor;

/// What a [`ReloadActor`] is told.
pub enum ReloadMessage {
    /// Something may have changed.
    FilesChanged,
    /// Somebody asks for a reload.
    Reload {
        /// Endpoints that shall go, so that the last of them may.
        removing: Vec<Arc<str>>,
        /// What came of it.
        reply: oneshot::Sender<ReloadOutcome>,
    },
    /// Somebody asks how things stand.
    Inspect {
        /// How they stand.
        reply: oneshot::Sender<ReloadStatus>,
    },
    /// A round is over.
    RoundFinished(RoundFinished),
    /// What is not in force is to be tried again.
    Retry,
    /// Panic.
    #[cfg(test)]
    Crash,
}

/// What a round came to; the actor's own business.
pub struct RoundFinished(Result<Round, String>);

/// What a [`ReloadActor`] starts with.
pub struct ReloadArgs {
    /// Reads the files.
    pub loader: Loader,
    /// What is in force: it was published as `generation`.
    pub running: Arc<Running>,
    /// Of which generation.
    pub generation: Generation,
    /// The last good versions there are.
    pub last_good: LastGood,
    /// Where configurations go: the router.
    pub publisher: Arc<dyn Publish>,
    /// The registry.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How files are watched; none: only what is asked for outright is read.
    pub watch: Option<WatchTimes>,
}

/// What is in force, known beyond one actor: the next one goes on from there.
pub(super) type InForce = Arc<Mutex<(Arc<Running>, Generation)>>;

/// What one actor is started with.
pub struct Incarnation {
    pub(super) bench: Bench,
    pub(super) metrics: Metrics,
    pub(super) watch: Option<WatchTimes>,
    pub(super) in_force: InForce,
}

/// A [`ReloadActor`] at work.
pub struct ReloadState {
    bench: Bench,
    running: Arc<Running>,
    generation: Generation,
    in_force: InForce,
    clock: Arc<dyn Clock>,
    metrics: ReloadMetrics,
    watcher: Option<Watcher>,
    tasks: JoinSet<()>,
    /// Those who wait for the round at work.
    asked: Vec<oneshot::Sender<ReloadOutcome>>,
    busy: bool,
    /// Whether a [`ReloadMessage::Retry`] is on its way.
    retrying: bool,
    /// The round after it.
    next: Option<NextRound>,
    /// Why the last round broke off.
    trouble: Option<String>,
    last_success_ms: u64,
    history: VecDeque<Change>,
}

#[derive(Default)]
struct NextRound {
    asked: Vec<oneshot::Sender<ReloadOutcome>>,
    removing: BTreeSet<Arc<str>>,
}

impl ReloadActor {
    /// Starts the actor, and has it started again whenever it fails. The join handle ends when it was stopped.
    ///
    /// # Errors
    /// The actor could not be started.
    pub async fn start(args: ReloadArgs) -> Result<(ReloadHandle, JoinHandle<()>), SpawnErr> {
        let keeper = Keeper::new(args);
        let (actor, join) = keeper.spawn().await?;
        let handle = ReloadHandle::new(actor);
        #[expect(clippy::disallowed_methods, reason = "the caller gets the handle, and the actor's stops it")]
        let kept = tokio::spawn(keeper.keep(handle.clone(), join));
        Ok((handle, kept))
    }
}

impl Actor for ReloadActor {
    type Msg = ReloadMessage;
    type State = ReloadState;
    type Arguments = Incarnation;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        Incarnation { bench, metrics, watch, in_force }: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let (running, generation) = in_force.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (metrics, clock) = (ReloadMetrics::new(&metrics), bench.clock.clone());
        let now = unix_ms(&*clock);
        metrics.stands(&running.errors, now);
        // The first round stores the last good versions, and finds what moved since the first reading.
        let hint = move || myself.cast(ReloadMessage::FilesChanged).is_ok();
        let watcher = match watch {
            Some(times) => {
                Some(Watcher::start(watcher::paths(&bench.loader, &running), times, clock.clone(), hint))
            }
            None => {
                hint();
                None
            }
        };
        Ok(ReloadState {
            bench,
            running,
            generation,
            in_force,
            clock,
            metrics,
            watcher,
            tasks: JoinSet::new(),
            asked: Vec::new(),
            busy: false,
            retrying: false,
            next: None,
            trouble: None,
            last_success_ms: now,
            history: VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ReloadMessage::FilesChanged => {
                state.next.get_or_insert_default();
            }
            ReloadMessage::Retry => {
                state.retrying = false;
                state.next.get_or_insert_default();
            }
            ReloadMessage::Reload { removing, reply } => {
                let next = state.next.get_or_insert_default();
                next.asked.push(reply);
                next.removing.extend(removing);
            }
            ReloadMessage::Inspect { reply } => {
                let _ = reply.send(state.status());
            }
            ReloadMessage::RoundFinished(RoundFinished(round)) => state.finished(&myself, round),
            #[cfg(test)]
            ReloadMessage::Crash => panic!("told to crash"),
        }
        state.start_round(&myself);
        Ok(())
    }
}

impl ReloadState {
    /// Starts the next round, unless one is at work: what that one reads may be older than what was asked for.
    fn start_round(&mut self, myself: &ActorRef<ReloadMessage>) {
        if self.busy {
            return;
        }
        let Some(next) = self.next.take() else { return };
        self.busy = true;
        self.asked = next.asked;
        let round = self.bench.clone().round(self.running.clone(), next.removing);
        let myself = myself.clone();
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(async move {
            // A panic must not leave the actor waiting for a round that never ends.
            let round =
                AssertUnwindSafe(round).catch_unwind().await.unwrap_or_else(|_| Err(BROKE_OFF.to_owned()));
            let _ = myself.cast(ReloadMessage::RoundFinished(RoundFinished(round)));
        });
    }

    fn finished(&mut self, myself: &ActorRef<ReloadMessage>, round: Result<Round, String>) {
        self.busy = false;
        let asked = std::mem::take(&mut self.asked);
        let outcome = match round {
            Err(trouble) => {
                self.retry_later(myself, RETRY);
                let known = self.trouble.replace(trouble.clone()).is_some_and(|known| known == trouble);
                if known && asked.is_empty() {
                    return;
                }
                let error = ConfigError::about("reload", trouble).note("everything keeps running as it is");
                ReloadOutcome::Rejected { generation: self.generation, errors: vec![error] }
            }
            Ok(round) => {
                self.trouble = None;
                let news = !round.changes.is_empty() || round.running.errors != self.running.errors;
                let before = std::mem::replace(&mut self.running, round.running);
                if round.published.is_none() && !asked.is_empty() {
                    self.bench.publisher.look_again();
                }
                self.generation = round.published.unwrap_or(self.generation);
                *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) =
                    (Arc::clone(&self.running), self.generation);
                // The last of it, which may be very many endpoints, goes beside the runtime.
                drop(tokio::task::spawn_blocking(move || drop(before)));
                if let Some(watcher) = &self.watcher {
                    watcher.watch(watcher::paths(&self.bench.loader, &self.running));
                }
                if !self.running.errors.is_empty() {
                    self.retry_later(myself, RETRY_REJECTED);
                }
                if !news && asked.is_empty() {
                    return;
                }
                self.outcome(news, round.changes)
            }
        };
        self.note(&outcome);
        for reply in asked {
            let _ = reply.send(outcome.clone());
        }
    }

    /// What is not in force yet is tried again, whether or not a file changes.
    fn retry_later(&mut self, myself: &ActorRef<ReloadMessage>, wait: Duration) {
        if std::mem::replace(&mut self.retrying, true) {
            return;
        }
        let myself = myself.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = myself.cast(ReloadMessage::Retry);
        });
    }

    /// A file that was put right by taking its change back has changed nothing that runs, but it is news.
    fn outcome(&self, news: bool, mut changes: Vec<String>) -> ReloadOutcome {
        if news && changes.is_empty() && self.running.errors.is_empty() {
            changes.push("what was rejected is gone".to_owned());
        }
        ReloadOutcome::of(self.generation, changes, self.running.errors.clone())
    }

    fn note(&mut self, outcome: &ReloadOutcome) {
        let now = unix_ms(&*self.clock);
        if outcome.is_ok() {
            self.last_success_ms = now;
        }
        self.metrics.count(outcome.result());
        self.metrics.stands(&self.running.errors, self.last_success_ms);
        let errors: Vec<String> = outcome.errors().iter().map(ConfigError::one_line).collect();
        for error in outcome.errors() {
            tracing::error!("{}", error.log_line());
        }
        let (result, generation) = (outcome.result(), outcome.generation().0);
        let changes = outcome.changes();
        let (shown, more) = changes.split_at(changes.len().min(SHOWN));
        tracing::info!(result, generation, changes = ?shown, more = more.len(), "configuration reloaded");
        self.history.truncate(HISTORY - 1);
        let changes = outcome.changes().to_vec();
        self.history.push_front(Change { at_ms: now, result, generation, changes, errors });
    }

    fn status(&self) -> ReloadStatus {
        ReloadStatus {
            generation: self.generation.0,
            last_success_ms: self.last_success_ms,
            invalid: self.running.invalid.clone(),
            errors: self.running.errors.clone(),
            history: self.history.iter().cloned().collect(),
        }
    }
}
