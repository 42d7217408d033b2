use super::actor::{InForce, Incarnation, ReloadActor, ReloadArgs, ReloadMessage};
use super::handle::ReloadHandle;
use crate::metrics::names;
use crate::policy::{Restart, RestartPolicy};
use metrics::Counter;
use ractor::{Actor, ActorRef, SpawnErr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// Starts the reload actor again when it fails: without it no file would ever be read again, and nobody would notice.
pub(super) struct Keeper {
    args: ReloadArgs,
    in_force: InForce,
    restarts: Counter,
}

impl Keeper {
    pub(super) fn new(args: ReloadArgs) -> Self {
        let in_force = Arc::new(Mutex::new((Arc::clone(&args.running), args.generation)));
        let restarts = args.metrics.counter(names::ACTOR_RESTARTS, &[("actor", "reload")]);
        Self { args, in_force, restarts }
    }

    /// Starts an actor on what is in force now.
    pub(super) async fn spawn(&self) -> Result<(ActorRef<ReloadMessage>, JoinHandle<()>), SpawnErr> {
        let (running, generation) = self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let args = ReloadArgs { running, generation, ..self.args.clone() };
        let in_force = Arc::clone(&self.in_force);
        ReloadActor::spawn(None, ReloadActor, Incarnation { args, in_force }).await
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
            let wait = match policy.failed(self.args.clock.now()) {
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
