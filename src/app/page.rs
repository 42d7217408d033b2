use super::backend::Backend;
use crate::admin::PageBackend;
use crate::clock::{Clock, unix_ms};
use crate::metrics::{Metrics, Traffic};
use crate::reload::{Change, ReloadHandle};
use crate::router::RouterHandle;
use crate::spool::EmbeddedSpool;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;

/// What the settings page asks beside what the API asks.
pub(super) struct Facts {
    path: PathBuf,
    router: RouterHandle,
    spool: Arc<EmbeddedSpool>,
    reload: ReloadHandle,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

impl Facts {
    pub(super) fn of(backend: &Backend) -> Self {
        Self {
            path: backend.path.clone(),
            router: backend.router.clone(),
            spool: Arc::clone(&backend.spool),
            reload: backend.reload.clone(),
            metrics: backend.metrics.clone(),
            clock: Arc::clone(&backend.clock),
        }
    }
}

#[async_trait]
impl PageBackend for Facts {
    fn now_ms(&self) -> u64 {
        unix_ms(&*self.clock)
    }

    fn traffic(&self) -> Traffic {
        self.router.directory().refresh_metrics(&*self.spool, &*self.clock);
        self.metrics.traffic()
    }

    fn catalogue(&self) -> (Vec<String>, Vec<String>) {
        let table = self.router.table();
        let names = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
        (names(&table.catalogue.events), names(&table.catalogue.products))
    }

    async fn reloads(&self) -> Vec<Change> {
        self.reload.status().await.map(|status| status.history).unwrap_or_default()
    }

    fn endpoints_folder(&self) -> String {
        self.path.with_file_name("endpoints").display().to_string()
    }
}
