//! One round of a reload: evaluate, publish what differs, keep what was good.

use super::evaluate::{Running, evaluate};
use super::last_good::LastGood;
use crate::clock::Clock;
use crate::config::Loader;
use crate::ids::Generation;
use crate::router::Publication;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where configurations go: the router.
pub trait Publish: Send + Sync + 'static {
    /// Puts a configuration in force, between two events; or says why nothing of it is.
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<Generation, String>>;

    /// Nothing was to be published, but somebody asked: what was refused or could not be built is looked at again.
    fn look_again(&self) {}
}

/// A defect of ours: it was logged as a panic.
pub(super) const BROKE_OFF: &str = "reading the configuration broke off";

/// Of the threads that read files.
const NICE: i32 = 10;

/// What a round works with.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) loader: Loader,
    last_good: Arc<Mutex<LastGood>>,
    pub(super) publisher: Arc<dyn Publish>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a round found and did.
pub(super) struct Round {
    pub(super) running: Arc<Running>,
    pub(super) changes: Vec<String>,
    /// The generation that was published, if anything was.
    pub(super) published: Option<Generation>,
}

impl Bench {
    pub(super) fn new(
        loader: Loader,
        last_good: LastGood,
        publisher: Arc<dyn Publish>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { loader, last_good: Arc::new(Mutex::new(last_good)), publisher, clock }
    }

    /// Runs a round from what is in force.
    ///
    /// # Errors
    /// Why it broke off: nothing changed.
    pub(super) async fn round(
        self,
        before: Arc<Running>,
        removing: BTreeSet<Arc<str>>,
    ) -> Result<Round, String> {
        let bench = self.clone();
        let judged = beside(move || {
            let now = bench.clock.unix();
            let running = evaluate(&bench.loader, &bench.last_good(), &before, &removing, now);
            let changes = running.changes_since(&before);
            let news = !changes.is_empty() || running.invalid != before.invalid;
            let publication = news.then(|| Publication {
                daemon: running.daemon.clone(),
                endpoints: running.endpoints.iter().cloned().collect(),
                invalid: running.invalid.clone(),
            });
            (running, changes, publication)
        });
        let (mut running, changes, publication) = judged.await?;
        let published = match publication {
            Some(publication) => Some(self.publisher.publish(publication).await?),
            None => None,
        };
        let good = std::mem::take(&mut running.good);
        let mut running = Arc::new(running);
        let known = running.clone();
        let kept = beside(move || {
            let invalid: BTreeSet<&str> = known.invalid.iter().map(AsRef::as_ref).collect();
            let keep = |name: &str| known.endpoints.has(name) || invalid.contains(name);
            let kept = self.last_good().update(&good, self.loader.base(), keep);
            kept.inspect_err(
                |error| tracing::warn!(%error, "cannot keep the last good versions of endpoint files"),
            )
            .is_ok()
        });
        // What is in force is in force, whatever becomes of the copies. All of it is read again then, and kept perhaps.
        if !kept.await.unwrap_or(false)
            && let Some(running) = Arc::get_mut(&mut running)
        {
            running.looks.clear();
        }
        Ok(Round { running, changes, published })
    }

    fn last_good(&self) -> MutexGuard<'_, LastGood> {
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does some work beside the runtime, at a lower priority: there may be very many files, and nobody's delivery is to wait
/// for them.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let apart = move || {
        // Not on the blocking thread itself: it has other work later, and its priority could not be given back.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("postrider-reload".to_owned());
            let work = move || {
                // Of the calling thread alone, on Linux. Refused: it stays as it is.
                let _ = rustix::process::setpriority_process(None, NICE);
                work()
            };
            thread.spawn_scoped(scope, work).ok()?.join().ok()
        })
    };
    tokio::task::spawn_blocking(apart).await.ok().flatten().ok_or_else(|| BROKE_OFF.to_owned())
}
