//! One round of a reload: evaluate, publish what differs, keep what was good.

use super::evaluate::{Running, evaluate};
use super::last_good::LastGood;
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

/// What a round works with.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) loader: Loader,
    pub(super) last_good: Arc<Mutex<LastGood>>,
    pub(super) publisher: Arc<dyn Publish>,
}

/// What a round found and did.
pub(super) struct Round {
    pub(super) running: Arc<Running>,
    pub(super) changes: Vec<String>,
    /// The generation that was published, if anything was.
    pub(super) published: Option<Generation>,
}

impl Bench {
    /// Runs a round from what is in force.
    ///
    /// # Errors
    /// Why it broke off: nothing changed.
    pub(super) async fn round(
        self,
        before: Arc<Running>,
        removing: BTreeSet<Arc<str>>,
    ) -> Result<Round, String> {
        let (bench, old) = (self.clone(), before.clone());
        let judged =
            tokio::task::spawn_blocking(move || evaluate(&bench.loader, &bench.last_good(), &old, &removing));
        let mut running = Arc::new(judged.await.map_err(|_| BROKE_OFF.to_owned())?);
        let changes = running.changes_since(&before);
        let mut published = None;
        if !changes.is_empty() || running.invalid != before.invalid {
            let publication = Publication {
                daemon: running.daemon.clone(),
                endpoints: running.endpoints.values().cloned().collect(),
                invalid: running.invalid.clone(),
            };
            published = Some(self.publisher.publish(publication).await?);
        }
        let kept = running.clone();
        let stored = tokio::task::spawn_blocking(move || {
            let invalid: BTreeSet<&str> = kept.invalid.iter().map(AsRef::as_ref).collect();
            let known = |name: &str| kept.endpoints.contains_key(name) || invalid.contains(name);
            self.last_good().update(&kept.good, self.loader.base(), known)
        });
        if let Ok(Err(error)) = stored.await {
            tracing::warn!(%error, "cannot keep the last good versions of endpoint files");
        }
        // They are on the disk; nobody else asks for them.
        if let Some(running) = Arc::get_mut(&mut running) {
            running.good = Vec::new();
        }
        Ok(Round { running, changes, published })
    }

    fn last_good(&self) -> MutexGuard<'_, LastGood> {
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
