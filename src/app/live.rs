use super::changes::Changes;
use super::start::dedup_limits;
use crate::clock::{Clock, unix_ms};
use crate::config::DaemonConfig;
use crate::ids::Generation;
use crate::reload::Publish;
use crate::router::{Publication, RouterHandle};
use crate::spool::EmbeddedSpool;
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Puts a configuration in force everywhere: the budgets of the spool, the limits of the ingress, the table.
pub(super) struct Live {
    pub(super) router: RouterHandle,
    pub(super) spool: Arc<EmbeddedSpool>,
    pub(super) config: Arc<ArcSwap<DaemonConfig>>,
    pub(super) changes: Arc<Changes>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Publish for Live {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<Generation, String>> {
        let (router, spool, config) =
            (self.router.clone(), Arc::clone(&self.spool), Arc::clone(&self.config));
        let (changes, now_ms) = (Arc::clone(&self.changes), unix_ms(&*self.clock));
        let (seen, table) = (Arc::clone(&self.changes), self.router.table());
        Box::pin(async move {
            let compared = tokio::task::spawn_blocking(move || {
                let changed = seen.between(&table, &publication.endpoints, now_ms);
                (changed, publication)
            });
            let (changed, publication) = compared.await.map_err(|error| error.to_string())?;
            let daemon = Arc::clone(&publication.daemon);
            let generation = router.publish(publication).await.map_err(|error| error.to_string())?;
            spool.set_limits(&daemon.spool, dedup_limits(&daemon));
            config.store(daemon);
            if !changed.is_empty() {
                // A round of a reload may wait for its history to be written; deliveries do not.
                drop(tokio::task::spawn_blocking(move || changes.record(changed)).await);
            }
            Ok(generation)
        })
    }

    fn look_again(&self) {
        self.router.look_again();
    }
}
