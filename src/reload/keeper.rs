use super::actor::{InForce, Incarnation, ReloadActor, ReloadArgs, ReloadMessage};
use super::handle::ReloadHandle;
use super::round::Bench;
use super::watcher::WatchTimes;
use crate::metrics::{Metrics, names};
use crate::policy::{Restart, RestartPolicy};
use metrics::Counter;
use ractor::{Actor, ActorRef, SpawnErr};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// Starts the reload actor again when it fails: without it no file would ever be read again, and nobody would notice.
pub(super) struct Keeper {
    bench: Bench,
    metrics: Metrics,
    watch: Option<WatchTimes>,
    in_force: InForce,
    restarts: Counter,
}

impl Keeper {
    pub(super) fn new(args: ReloadArgs) -> Self {
        let ReloadArgs { loader, running, generation, last_good, publisher, metrics, clock, watch } = args;
        let in_force = Arc::new(Mutex::new((running, generation)));
        let restarts = metrics.counter(names::ACTOR_RESTARTS, &[("actor", "reload")]);
        Self { bench: Bench::new(loader, last_good, publisher, clock), metrics, watch, in_force, restarts }
    }

    /// Starts an actor on what is in force now.
    pub(super) async fn spawn(&self) -> Result<(ActorRef<ReloadMessage>, JoinHandle<()>), SpawnErr> {
        let incarnation = Incarnation {
            bench: self.bench.clone(),
            metrics: self.metrics.clone(),
            watch: self.watch,
            in_force: Arc::clone(&self.in_force),
        };
        ReloadActor::spawn(None, ReloadActor, incarnation).await
    }

    /// Goes on until the actor is stopped on purpose.
    pub(super) async fn keep(self, handle: ReloadHandle, first: JoinHandle<()>) {
        let (mut policy, mut at_work) = (RestartPolicy::default(), Some(first));
        loop {
            if let Some(join) = at_work.take() {
                drop(join.await);
            }
            if handle.is_stopped() {
                return;
            }
            self.restarts.increment(1);
            let wait = match policy.failed(self.bench.clock.now()) {
                Restart::After(wait) => {
                    tracing::error!(restart_in = ?wait, "what reads the files failed");
                    wait
                }
                Restart::Park(wait) => {
                    tracing::error!(retry_in = ?wait, "what reads the files keeps failing: parked");
                    wait
                }
            };
            tokio::select! {
                () = handle.stopped() => return,
                () = tokio::time::sleep(wait) => {}
            }
            match self.spawn().await {
                Ok((actor, join)) => {
                    handle.becomes(actor);
                    at_work = Some(join);
                }
                Err(error) => tracing::error!(%error, "what reads the files cannot be started"),
            }
        }
    }
}
