use super::children::Children;
use super::directory::Directory;
use super::filters::{Filters, Judged};
use super::handle::Submission;
use super::labels::Labels;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::DaemonConfig;
use crate::delivery::{AttemptLimit, EndpointMessage, Problem};
use crate::ids::{EndpointUid, Generation};
use crate::metrics::Metrics;
use crate::net::Network;
use crate::spool::{Append, Spool, SpoolEvent};
use crate::table::Table;
use crate::table::filter::FilterFailure;
use arc_swap::ArcSwap;
use metrics::Counter;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Matches, numbers, supervises.
pub(super) struct RouterActor;

/// What the router is started with.
pub struct RouterDeps {
    /// Where it publishes the table.
    pub table: Arc<ArcSwap<Table>>,
    /// Where it says what can be seen of the endpoints.
    pub directory: Arc<Directory>,
    /// Where events are stored.
    pub spool: Arc<dyn Spool>,
    /// The way out for sinks.
    pub network: Arc<Network>,
    /// Where relative paths start.
    pub folder: Arc<Path>,
    /// Owns what sinks keep running.
    pub sink_tasks: TaskTracker,
    /// `postrider/VERSION`.
    pub user_agent: Arc<str>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Jitter and span ids.
    pub chance: Arc<dyn Chance>,
    /// The series.
    pub metrics: Metrics,
}

/// What the router is told.
pub enum RouterMessage {
    /// Events came in.
    Submit(Submission),
    /// Filters were asked about these events.
    SubmitJudged {
        /// The events.
        submission: Submission,
        /// What the filters said.
        judged: Box<Judged>,
    },
    /// The spool says something by itself.
    Spool(SpoolEvent),
    /// Another configuration is to be put in force.
    Publish {
        /// The daemon's part.
        daemon: Arc<DaemonConfig>,
        /// Its table, of no generation yet.
        table: Box<Table>,
        /// The endpoints of which the spool remembers a problem.
        troubled: Vec<EndpointUid>,
        /// Names whose file is rejected, and that have no version to run.
        invalid: Vec<Arc<str>>,
        /// Answered once it is in force, with the table before it: letting go of that one takes time.
        reply: oneshot::Sender<(Generation, Arc<Table>)>,
    },
    /// What is refused, or cannot be built, is to be looked at again.
    LookAgain,
    /// An endpoint's actor has been idle, and has seen so many messages.
    AskRetire {
        /// Whose.
        uid: EndpointUid,
        /// How many.
        seen: u64,
    },
    /// An endpoint's actor may be started again.
    RestartDue {
        /// Whose.
        uid: EndpointUid,
    },
    /// The grace of a removed endpoint may be over.
    GraceDue {
        /// Whose.
        uid: EndpointUid,
    },
    /// A person wants an endpoint tried again.
    Resume {
        /// Its name.
        name: Arc<str>,
        /// Whether there is one.
        reply: oneshot::Sender<bool>,
    },
    /// An endpoint was removed on purpose: what waits for it is dead now.
    Remove {
        /// Whose.
        uid: EndpointUid,
        /// Answered when it is said.
        reply: oneshot::Sender<()>,
    },
    /// Something for the actor of an endpoint, if it has one.
    Pass {
        /// Whose.
        uid: EndpointUid,
        /// What.
        message: EndpointMessage,
    },
    /// Start no attempts any more.
    Drain {
        /// Answered when none is in flight.
        reply: oneshot::Sender<()>,
    },
    /// Make an endpoint's actor panic; none: the router itself.
    #[cfg(test)]
    Crash {
        /// Its name.
        name: Option<Arc<str>>,
    },
}

/// Everything the router knows.
pub(super) struct RouterState {
    pub(super) deps: RouterDeps,
    pub(super) children: Children,
    pub(super) generation: Generation,
    pub(super) removed_grace: Duration,
    pub(super) restarts: Counter,
    pub(super) filters: Filters,
    pub(super) labels: Labels,
    /// Names whose file is rejected.
    pub(super) rejected: HashSet<Arc<str>>,
    pub(super) limit: Arc<AttemptLimit>,
    pub(super) draining: Option<oneshot::Sender<()>>,
    pub(super) stopping: bool,
}

impl Actor for RouterActor {
    type Msg = RouterMessage;
    type State = RouterState;
    type Arguments = RouterDeps;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        deps: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let restarts = deps.metrics.counter(crate::metrics::names::ACTOR_RESTARTS, &[("actor", "endpoint")]);
        Ok(RouterState {
            deps,
            children: Children::default(),
            generation: Generation(0),
            removed_grace: Duration::from_secs(3600),
            restarts,
            filters: Filters::default(),
            labels: Labels::default(),
            rejected: HashSet::new(),
            limit: Arc::new(AttemptLimit::new(crate::config::LimitsConfig::default().attempts)),
            draining: None,
            stopping: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RouterMessage::Submit(submission) => state.submit(&myself, submission, None),
            RouterMessage::SubmitJudged { submission, judged } => {
                state.submit(&myself, submission, Some(*judged));
            }
            RouterMessage::Spool(event) => state.on_spool(&myself, event).await,
            RouterMessage::Publish { daemon, table, troubled, invalid, reply } => {
                let before = Box::pin(state.publish(&myself, &daemon, *table, &troubled, &invalid)).await;
                let _gone = reply.send((state.generation, before));
            }
            RouterMessage::LookAgain => state.look_again(),
            RouterMessage::AskRetire { uid, seen } => state.retire(uid, seen),
            RouterMessage::RestartDue { uid } => Box::pin(state.start_child(&myself, uid)).await,
            RouterMessage::GraceDue { uid } => state.grace_over(&myself, uid),
            RouterMessage::Resume { name, reply } => {
                let _gone = reply.send(Box::pin(state.resume(&myself, &name)).await);
            }
            RouterMessage::Remove { uid, reply } => {
                state.remove_now(uid);
                let _gone = reply.send(());
            }
            RouterMessage::Pass { uid, message } => state.pass(uid, message),
            RouterMessage::Drain { reply } => state.drain(reply),
            #[cfg(test)]
            RouterMessage::Crash { name: Some(name) } => state.crash(&name),
            #[cfg(test)]
            RouterMessage::Crash { name: None } => panic!("told to crash"),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.child_failed(&myself, child.get_id(), &error.to_string());
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                state.child_ended(&myself, child.get_id(), reason.as_deref());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        state.drained();
        Ok(())
    }
}

impl RouterState {
    pub(super) fn now(&self) -> Instant {
        self.deps.clock.now()
    }

    /// Matches the events by the table in force and hands them to the spool; those that filters must be asked about
    /// go there first, and again when the table has changed in between.
    fn submit(
        &mut self,
        myself: &ActorRef<RouterMessage>,
        mut submission: Submission,
        judged: Option<Judged>,
    ) {
        let table = self.deps.table.load();
        let mut judged = judged.filter(|judged| judged.generation == table.generation);
        for (index, event) in submission.events.iter_mut().enumerate() {
            event.generation = table.generation;
            let candidates = table.candidates(&event.event, &event.product, event.account.as_deref());
            if !candidates.filtered() {
                event.targets = candidates.iter().map(|entry| entry.uid).collect();
                continue;
            }
            let Some(judged) = &mut judged else {
                return self.filters.judge(myself, Arc::clone(&table), submission);
            };
            event.targets = judged.targets.get_mut(index).and_then(Option::take).unwrap_or_default();
        }
        drop(table);
        let Submission { events, reply, permit } = submission;
        self.deps.spool.append(Append { events, reply, permit });
        for (uid, failure) in judged.into_iter().flat_map(|judged| judged.failures) {
            self.filter_failed(uid, failure);
        }
    }

    /// A filter could not tell, so that an event was not delivered: that must not go unseen.
    fn filter_failed(&mut self, uid: EndpointUid, failure: FilterFailure) {
        self.adopt(uid);
        let now_ms = crate::clock::unix_ms(&*self.deps.clock);
        let Some(child) = self.children.get(uid) else { return };
        child.metrics.filter_failed(failure.kind.as_str());
        let name = &child.spec.identity.name;
        tracing::debug!(endpoint = %name, reason = %failure.reason, "its filter could not tell: not delivered");
        child.shared.filter_failed(Problem { at_ms: now_ms, reason: failure.reason });
    }

    async fn on_spool(&mut self, myself: &ActorRef<RouterMessage>, event: SpoolEvent) {
        match event {
            SpoolEvent::Committed(committed) => {
                for wake in committed.wakes {
                    self.wake(myself, wake).await;
                }
            }
            SpoolEvent::Died { endpoint, reason, count } => {
                self.adopt(endpoint);
                if let Some(child) = self.children.get(endpoint) {
                    child.metrics.died(reason.as_str(), count);
                }
                tracing::warn!(uid = endpoint.0, reason = reason.as_str(), count, "deliveries are dead");
            }
            SpoolEvent::Erased { endpoint, seqs } => self.pass(endpoint, EndpointMessage::Forget(seqs)),
            SpoolEvent::Failing(true) => {
                tracing::error!("the spool fails: events are refused until it works again");
            }
            SpoolEvent::Failing(false) => tracing::info!("the spool works again"),
        }
    }
}
