use super::actor::{RouterActor, RouterDeps, RouterMessage};
use super::directory::Directory;
use super::labels::is_problem;
use crate::clock::unix_ms;
use crate::config::DaemonConfig;
use crate::delivery::EndpointMessage;
use crate::ids::{EndpointUid, Generation, Identity, Seq};
use crate::net::Network;
use crate::policy::DeliverySettings;
use crate::spool::{NewEvent, Receipt, Spool, SpoolError, SpoolEvent};
use crate::table::{EndpointSpec, Entry, Table};
use arc_swap::ArcSwap;
use postrider_sink::{Host, HostContext, Task};
use ractor::{Actor, ActorRef, SpawnErr};
use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Events of one request, checked, on their way to the table.
pub struct Submission {
    /// The events. `targets` is empty and `generation` zero: the router fills them in.
    pub events: Vec<NewEvent>,
    /// Answered when all of it is durable, or nothing of it was stored.
    pub reply: oneshot::Sender<Receipt>,
    /// The room that admission control gave.
    pub permit: Option<Box<dyn Any + Send>>,
}

/// A configuration to be put in force.
pub struct Publication {
    /// The daemon's part.
    pub daemon: Arc<DaemonConfig>,
    /// Every endpoint that has a version to run.
    pub endpoints: Vec<Arc<EndpointSpec>>,
    /// Names whose file is rejected; they run their last good version, if they are among `endpoints`.
    pub invalid: Vec<Arc<str>>,
}

/// How to reach the router.
#[derive(Clone)]
pub struct RouterHandle {
    actor: ActorRef<RouterMessage>,
    table: Arc<ArcSwap<Table>>,
    directory: Arc<Directory>,
    spool: Arc<dyn Spool>,
    network: Arc<Network>,
    host: HostContext,
}

/// The host of a sink that is built for one attempt outside of its endpoint's actor: how it is says nothing about the
/// endpoint.
struct Apart(TaskTracker);

impl Host for Apart {
    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }

    fn up(&self, _kind: &str) {}

    fn down(&self, _kind: &str, _reason: &str) {}
}

/// Of more endpoints a table is built beside the runtime.
const MANY: usize = 1000;

/// A configuration could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The endpoints could not be given their numbers.
    #[error("the spool cannot register the endpoints: {0}")]
    Spool(#[from] SpoolError),
    /// The router has stopped.
    #[error("the router has stopped")]
    Stopped,
}

impl RouterHandle {
    /// Starts the router, with an empty table.
    ///
    /// # Errors
    /// When the actor cannot be spawned.
    pub async fn start(deps: RouterDeps) -> Result<Self, SpawnErr> {
        let (table, directory, spool) =
            (Arc::clone(&deps.table), Arc::clone(&deps.directory), Arc::clone(&deps.spool));
        let host = HostContext {
            endpoint: "".into(),
            user_agent: Arc::clone(&deps.user_agent),
            connector: deps.network.connector(""),
            clock: Arc::clone(&deps.clock),
            folder: Arc::clone(&deps.folder),
            connect_timeout: Duration::ZERO,
            timeout: Duration::ZERO,
            concurrency: 1,
            host: Arc::new(Apart(deps.sink_tasks.clone())),
        };
        let network = Arc::clone(&deps.network);
        let (actor, _joined) = Actor::spawn(None, RouterActor, deps).await?;
        Ok(Self { actor, table, directory, spool, network, host })
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// What can be seen of the endpoints.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What a sink of this endpoint is handed: for an attempt outside of its actor.
    #[must_use]
    pub fn host(&self, endpoint: &str, delivery: &DeliverySettings) -> HostContext {
        HostContext {
            endpoint: endpoint.into(),
            connector: self.network.connector(endpoint),
            connect_timeout: delivery.connect_timeout,
            timeout: delivery.timeout,
            concurrency: 1,
            ..self.host.clone()
        }
    }

    /// Ends when the router has.
    pub async fn ended(&self) {
        drop(self.actor.wait(None).await);
    }

    /// Hands events over. The answer comes through `submission.reply`; a dropped reply means the daemon is stopping.
    pub fn submit(&self, submission: Submission) {
        drop(self.actor.cast(RouterMessage::Submit(submission)));
    }

    /// Passes on what the spool says by itself.
    pub fn spool_event(&self, event: SpoolEvent) {
        drop(self.actor.cast(RouterMessage::Spool(event)));
    }

    /// Puts a configuration in force, between two events. Only the actors of endpoints that changed notice.
    ///
    /// # Errors
    /// When nothing was put in force.
    pub async fn publish(&self, publication: Publication) -> Result<Generation, PublishError> {
        let Publication { daemon, endpoints, invalid } = publication;
        let many = endpoints.len() > MANY;
        let (identities, endpoints) = aside(many, move || {
            let identities: Vec<Identity> = endpoints.iter().map(|spec| spec.identity.clone()).collect();
            (identities, endpoints)
        })
        .await?;
        let uids = self.spool.register(identities).await?;
        let (spool, now_ms) = (Arc::clone(&self.spool), unix_ms(&*self.host.clock));
        let catalogue = daemon.catalogue.clone();
        let (table, troubled) = aside(many, move || {
            let entries = uids.into_iter().zip(endpoints).map(|(uid, spec)| Entry { uid, spec });
            let table = Box::new(Table::new(Generation(0), catalogue, entries.collect()));
            let uids = table.entries().iter().map(|entry| entry.uid);
            let troubled = uids.filter(|uid| is_problem(&spool.endpoint_state(*uid), now_ms)).collect();
            (table, troubled)
        })
        .await?;
        let (reply, answer) = oneshot::channel();
        let message = RouterMessage::Publish { daemon, table, troubled, invalid, reply };
        self.actor.cast(message).map_err(|_| PublishError::Stopped)?;
        let (generation, before) = answer.await.map_err(|_| PublishError::Stopped)?;
        aside(many, move || drop(before)).await?;
        Ok(generation)
    }

    /// Endpoints whose destination is refused, or whose sink cannot be built, are looked at again.
    pub fn look_again(&self) {
        drop(self.actor.cast(RouterMessage::LookAgain));
    }

    /// A person wants an endpoint tried again at once. False: there is none of that name.
    pub async fn resume(&self, name: &str) -> bool {
        let (reply, answer) = oneshot::channel();
        drop(self.actor.cast(RouterMessage::Resume { name: name.into(), reply }));
        answer.await.unwrap_or(false)
    }

    /// An endpoint whose file was removed on purpose gets no grace: what waits for it is dead.
    pub async fn remove(&self, uid: EndpointUid) {
        let (reply, answer) = oneshot::channel();
        drop(self.actor.cast(RouterMessage::Remove { uid, reply }));
        let _ = answer.await;
    }

    /// Which deliveries of these endpoints are in flight. Those that say nothing in time count as having none.
    pub async fn in_flight(
        &self,
        endpoints: impl IntoIterator<Item = EndpointUid>,
    ) -> HashSet<(EndpointUid, Seq)> {
        let (reply, mut answers) = mpsc::unbounded_channel();
        for uid in endpoints {
            let message = EndpointMessage::InFlight { reply: reply.clone() };
            drop(self.actor.cast(RouterMessage::Pass { uid, message }));
        }
        drop(reply);
        let mut flying = HashSet::new();
        let collect = async {
            while let Some((uid, seqs)) = answers.recv().await {
                flying.extend(seqs.into_iter().map(|seq| (uid, seq)));
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(1), collect).await);
        flying
    }

    /// A person wants a parked delivery tried now. False: it does not wait for a retry.
    pub async fn hasten(&self, uid: EndpointUid, seq: Seq) -> bool {
        let (reply, answer) = oneshot::channel();
        let message = EndpointMessage::Hasten { seq, reply };
        drop(self.actor.cast(RouterMessage::Pass { uid, message }));
        answer.await.unwrap_or(false)
    }

    /// Starts no attempts any more, waits for those in flight at most for `grace`, then stops every actor.
    /// True: all of them had ended by then.
    pub async fn stop(&self, grace: Duration) -> bool {
        let (reply, answer) = oneshot::channel();
        drop(self.actor.cast(RouterMessage::Drain { reply }));
        let drained = tokio::time::timeout(grace, answer).await.is_ok();
        let stopped = self.actor.stop_and_wait(None, Some(Duration::from_secs(2)));
        drained && stopped.await.is_ok()
    }

    /// Makes the actor of an endpoint panic.
    #[cfg(test)]
    pub(crate) fn crash(&self, name: &str) {
        drop(self.actor.cast(RouterMessage::Crash { name: Some(name.into()) }));
    }

    /// Makes the router panic.
    #[cfg(test)]
    pub(crate) fn crash_itself(&self) {
        drop(self.actor.cast(RouterMessage::Crash { name: None }));
    }

    /// Hands over events of which filters have said something.
    #[cfg(test)]
    pub(super) fn submit_judged(&self, submission: Submission, judged: super::filters::Judged) {
        let judged = Box::new(judged);
        drop(self.actor.cast(RouterMessage::SubmitJudged { submission, judged }));
    }
}

/// Does some work, where it is much beside the runtime.
async fn aside<T: Send + 'static>(
    much: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PublishError> {
    if much {
        return tokio::task::spawn_blocking(work).await.map_err(|_| PublishError::Stopped);
    }
    Ok(work())
}
