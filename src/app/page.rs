use super::backend::Backend;
use crate::admin::PageBackend;
use crate::clock::{Clock, unix_ms};
use crate::ids::{EndpointUid, Identity};
use crate::metrics::{Metrics, Traffic};
use crate::reload::{Change, ReloadHandle};
use crate::router::RouterHandle;
use crate::spool::{Backlog, EmbeddedSpool, Spool as _};
use async_trait::async_trait;
use std::collections::HashMap;
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

    /// Series have a name and no account: they are counted for the endpoint that has the name now. Another one that had
    /// it before may still be there with what waits for it, which is in the gauges too, and nothing of that one's.
    fn tell_whose(&self, traffic: &mut Traffic) {
        let (table, listed) = (self.router.table(), self.router.directory().list());
        let mut of_name: HashMap<&str, Vec<(EndpointUid, Option<&str>)>> = HashMap::new();
        for (uid, observed) in &listed {
            let Identity { name, account } = &observed.identity;
            of_name.entry(name).or_default().push((*uid, account.as_deref()));
        }
        for endpoint in &mut traffic.endpoints {
            let same = of_name.get(endpoint.endpoint.as_str()).map(Vec::as_slice).unwrap_or_default();
            let current = table.named(&endpoint.endpoint);
            let current = current.map(|entry| (entry.uid, entry.spec.identity.account.as_deref()));
            let Some((uid, account)) = current.or_else(|| same.last().copied()) else { continue };
            endpoint.account = account.map(str::to_owned);
            if same.iter().any(|(other, _)| *other != uid) {
                endpoint.waiting =
                    self.spool.backlog(uid).map_or(0, |backlog| backlog.ready + backlog.parked);
            }
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
        let mut traffic = self.metrics.traffic();
        self.tell_whose(&mut traffic);
        traffic
    }

    fn letters(&self, account: Option<&str>) -> u64 {
        let seen = |backlog: &Backlog| account.is_none() || backlog.identity.account.as_deref() == account;
        self.spool.backlogs().into_iter().filter(seen).map(|backlog| backlog.dead).sum()
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
