//! Replays of many dead letters: jobs with a rate, a progress and an end.
//!
//! A job replays what died before it began, oldest dead first, so that the deliveries of a message come in their order
//! again. It lives in memory. Each batch is one commit that turns letters into deliveries, so whenever a job or the
//! daemon ends, every letter is one or the other; asking again goes on with what is left.

use super::deliveries::{Deliveries, failing};
use crate::admin::{Answered, DeliveryError, ReplayJob, ReplayRequest, ReplayState, Wanted, rfc3339};
use crate::chance::SystemChance;
use crate::clock::unix_ms;
use crate::config::parse_rate;
use crate::history::{Filter, History as _, Outcome};
use crate::ids::{EndpointUid, EventId, Seq};
use crate::policy::{Rate, TokenBucket};
use futures_util::FutureExt as _;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Jobs that go on at once,
const LIVE: usize = 8;
/// of them at most so many of one account: the others are left room.
const LIVE_OF_ACCOUNT: usize = 2;
/// and jobs that are remembered.
const REMEMBERED: usize = 100;
/// Letters read at once.
const BATCH: NonZeroUsize = NonZeroUsize::new(50).unwrap();
/// Letters counted at once.
const COUNTED: NonZeroUsize = NonZeroUsize::new(200).unwrap();
/// How fast, where nothing is said.
const RATE: &str = "50/s";
/// How long a dry run may take before it is answered with what it has counted.
const COUNTING: Duration = Duration::from_secs(10);
/// Between two batches, at least: few letters at once, so that no live event waits long behind them.
const PACE: Duration = Duration::from_millis(5);
/// After the spool was full.
const FULL: Duration = Duration::from_millis(500);

/// The jobs since the daemon's start.
#[derive(Clone, Default)]
pub(super) struct Replays {
    jobs: Arc<Mutex<VecDeque<Job>>>,
    tasks: TaskTracker,
    /// Jobs panic at their next batch.
    #[cfg(test)]
    pub(super) crash: Arc<std::sync::atomic::AtomicBool>,
}

struct Job {
    seen: ReplayJob,
    cancel: CancellationToken,
}

/// What a job needs to know.
pub(super) struct Run {
    filter: Filter,
    rate: Rate,
}

impl Run {
    pub(super) fn new(backend: &Deliveries, request: &ReplayRequest) -> Answered<Self> {
        if request.filter.state.is_some() {
            return Err(DeliveryError::Invalid(
                "state makes no sense in a replay: all of them are dead".into(),
            ));
        }
        let text = request.rate.as_deref().unwrap_or(RATE);
        let rate = parse_rate(text).ok_or_else(|| {
            DeliveryError::Invalid(format!("rate {text:?} is none: write a count and s, m or h, like 50/s"))
        })?;
        let now_ms = unix_ms(&*backend.clock);
        let wanted: Wanted = request.filter.understand(now_ms).map_err(DeliveryError::Invalid)?;
        Ok(Self { filter: backend.filter(&wanted), rate })
    }
}

impl Replays {
    pub(super) async fn start(
        &self,
        backend: Deliveries,
        run: Run,
        request: ReplayRequest,
    ) -> Answered<ReplayJob> {
        let before = backend.history.next_dead().await.map_err(failing)?;
        let now_ms = unix_ms(&*backend.clock);
        let id = EventId::at(now_ms, &SystemChance).to_string().replacen("evt_", "rpl_", 1);
        let (cancel, dry_run) = (backend.draining.child_token(), request.dry_run);
        let seen = ReplayJob {
            id: id.clone(),
            state: ReplayState::Counting,
            filter: request.filter,
            rate: request.rate.unwrap_or_else(|| RATE.to_owned()),
            dry_run,
            matched: 0,
            bytes: 0,
            replayed: 0,
            skipped: 0,
            note: None,
            created_at: rfc3339(now_ms),
            ended_at: None,
        };
        {
            let mut jobs = self.lock();
            let live = || jobs.iter().filter(|job| job.seen.state.is_live());
            let owner = &seen.filter.owner;
            let own = live().filter(|job| job.seen.filter.owner == *owner).count();
            if live().count() >= LIVE || (owner.is_some() && own >= LIVE_OF_ACCOUNT) {
                let text = "as many replays as are allowed go on already: wait for one, or cancel it";
                return Err(DeliveryError::Busy(text.to_owned()));
            }
            jobs.push_front(Job { seen, cancel: cancel.clone() });
            while jobs.len() > REMEMBERED {
                let Some(oldest) = jobs.iter().rposition(|job| !job.seen.state.is_live()) else { break };
                jobs.remove(oldest);
            }
        }
        let replays = self.clone();
        let worker = Worker { backend, run, before, dry_run, id: id.clone(), replays, cancel };
        let done = self.tasks.spawn(worker.work());
        if dry_run {
            drop(tokio::time::timeout(COUNTING, done).await);
        }
        self.job(&id)
    }

    pub(super) fn list(&self) -> Vec<ReplayJob> {
        self.lock().iter().map(|job| job.seen.clone()).collect()
    }

    pub(super) fn job(&self, id: &str) -> Answered<ReplayJob> {
        let jobs = self.lock();
        let job = jobs.iter().find(|job| job.seen.id == id);
        job.map(|job| job.seen.clone()).ok_or_else(|| DeliveryError::no_replay(id))
    }

    pub(super) fn cancel(&self, id: &str) -> Answered<ReplayJob> {
        self.job(id)?;
        if let Some(job) = self.lock().iter().find(|job| job.seen.id == id) {
            job.cancel.cancel();
        }
        self.job(id)
    }

    fn note(&self, id: &str, change: impl FnOnce(&mut ReplayJob)) {
        if let Some(job) = self.lock().iter_mut().find(|job| job.seen.id == id) {
            change(&mut job.seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job under way.
struct Worker {
    backend: Deliveries,
    run: Run,
    /// Only letters that died before this place: what dies again meanwhile is not replayed again.
    before: u64,
    dry_run: bool,
    id: String,
    replays: Replays,
    cancel: CancellationToken,
}

impl Worker {
    async fn work(self) {
        // A job that never ends would keep its place among those that go on.
        let made = AssertUnwindSafe(self.make()).catch_unwind().await;
        let ended = made.unwrap_or_else(|_| {
            Err(DeliveryError::Failing(
                "it broke off, a fault of the daemon; another goes on with what is left".into(),
            ))
        });
        let now_ms = unix_ms(&*self.backend.clock);
        let cancelled = self.cancel.is_cancelled();
        self.replays.note(&self.id, |job| {
            job.ended_at = Some(rfc3339(now_ms));
            job.note = ended.as_ref().err().map(ToString::to_string);
            job.state = match ended {
                Err(_) => ReplayState::Failed,
                Ok(()) if cancelled => ReplayState::Cancelled,
                Ok(()) => ReplayState::Done,
            };
        });
        if let Ok(job) = self.replays.job(&self.id) {
            tracing::info!(id = job.id, replayed = job.replayed, skipped = job.skipped, state = ?job.state, "a replay has ended");
        }
    }

    async fn make(&self) -> Answered<()> {
        self.count().await?;
        if self.dry_run || self.cancel.is_cancelled() {
            return Ok(());
        }
        self.replays.note(&self.id, |job| job.state = ReplayState::Running);
        self.replay().await
    }

    async fn count(&self) -> Answered<()> {
        let mut from = Some(0);
        let clock = &*self.backend.clock;
        while let Some(place) = from.filter(|_| !self.cancel.is_cancelled()) {
            let begun = clock.now();
            let read = self.backend.history.count_dead(self.run.filter.clone(), place, self.before, COUNTED);
            let counted = read.await.map_err(failing)?;
            self.replays.note(&self.id, |job| {
                job.matched += counted.letters;
                job.bytes += counted.bytes;
            });
            from = counted.next;
            // Most of the time is everybody else's, unless a person waits for the numbers.
            let share = if self.dry_run { 1 } else { 3 };
            tokio::time::sleep(clock.now().saturating_duration_since(begun) * share).await;
        }
        Ok(())
    }

    async fn replay(&self) -> Answered<()> {
        let clock = &*self.backend.clock;
        let mut bucket = TokenBucket::new(self.run.rate, clock.now());
        let most = self.most();
        let mut from = Some(0);
        while let Some(place) = from {
            let read = self.backend.history.dead_since(self.run.filter.clone(), place, self.before, BATCH);
            let page = read.await.map_err(failing)?;
            from = page.next;
            let table = self.backend.router.table();
            let (there, gone): (Vec<_>, Vec<_>) =
                page.letters.into_iter().partition(|letter| table.with_uid(letter.endpoint).is_some());
            let skipped = u64::try_from(gone.len()).unwrap_or(u64::MAX);
            self.replays.note(&self.id, |job| job.skipped += skipped);
            let mut left: VecDeque<_> = there.iter().map(|letter| (letter.endpoint, letter.seq)).collect();
            while !left.is_empty() {
                let mut batch = Vec::new();
                let mut wait = Duration::ZERO;
                while let Some(letter) = left.front().copied().filter(|_| batch.len() < most) {
                    match bucket.take(clock.now(), 1) {
                        Ok(()) => batch.push(letter),
                        Err(until) => {
                            wait = until;
                            break;
                        }
                    }
                    left.pop_front();
                }
                if self.cancel.is_cancelled() {
                    return Ok(());
                }
                if !batch.is_empty() && !self.batch(batch, &mut left).await? {
                    wait = wait.max(FULL);
                }
                // A page that ended early is no reason to wait for the next.
                if !left.is_empty() {
                    wait = wait.max(PACE);
                }
                tokio::select! {
                    () = self.cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
        Ok(())
    }

    /// Letters of one batch: twice what is due between two, so that what fell behind is made up for, and the second's
    /// worth that a rate lets through at first does not come all at once.
    fn most(&self) -> usize {
        let Rate { count, per } = self.run.rate;
        let due = f64::from(count.get()) * PACE.as_secs_f64() / per.as_secs_f64().max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let most = (2.0 * due).ceil().clamp(1.0, 1e6) as usize;
        most
    }

    /// One commit. False: some did not fit, and are left for later.
    async fn batch(
        &self,
        batch: Vec<(EndpointUid, Seq)>,
        left: &mut VecDeque<(EndpointUid, Seq)>,
    ) -> Answered<bool> {
        #[cfg(test)]
        assert!(!self.replays.crash.load(std::sync::atomic::Ordering::Relaxed), "told to crash");
        let outcomes = self.backend.history.replay(batch.clone()).await.map_err(failing)?;
        let full: Vec<_> = batch
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Full)
            .map(|(letter, _)| *letter)
            .collect();
        let count = |wanted: fn(&Outcome) -> bool| {
            u64::try_from(outcomes.iter().filter(|outcome| wanted(outcome)).count()).unwrap_or(u64::MAX)
        };
        let replayed = count(|outcome| matches!(outcome, Outcome::Replayed(_)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Gone | Outcome::Damaged));
        let waits = !full.is_empty();
        for letter in full.into_iter().rev() {
            left.push_front(letter);
        }
        self.replays.note(&self.id, |job| {
            job.replayed += replayed;
            job.skipped += skipped;
            job.note = waits
                .then(|| "as much as is allowed waits already: it goes on when there is room".to_owned());
        });
        Ok(!waits)
    }
}
