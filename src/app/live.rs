use super::start::dedup_limits;
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
}

impl Publish for Live {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<Generation, String>> {
        let (router, spool, config) =
            (self.router.clone(), Arc::clone(&self.spool), Arc::clone(&self.config));
        Box::pin(async move {
            let daemon = Arc::clone(&publication.daemon);
            let generation = router.publish(publication).await.map_err(|error| error.to_string())?;
            spool.set_limits(&daemon.spool, dedup_limits(&daemon));
            config.store(daemon);
            Ok(generation)
        })
    }
}
