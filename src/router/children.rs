use super::actor::{RouterMessage, RouterState};
use super::directory::Observed;
use super::labels::Labels;
use crate::clock::unix_ms;
use crate::delivery::{
    Absent, Condition, EndpointActor, EndpointArgs, EndpointHandle, EndpointMessage, EndpointShared, Problem,
};
use crate::ids::EndpointUid;
use crate::metrics::EndpointMetrics;
use crate::policy::{Restart, RestartPolicy};
use crate::sinks::SinkHost;
use crate::spool::Wake;
use crate::table::{EndpointSpec, Lifecycle};
use postrider_sink::HostContext;
use ractor::{Actor, ActorId, ActorRef};
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// The endpoints in use, and their actors.
#[derive(Default)]
pub(super) struct Children {
    by_uid: FxHashMap<EndpointUid, Child>,
    by_actor: HashMap<ActorId, EndpointUid>,
}

/// An endpoint in use.
pub(super) struct Child {
    pub(super) spec: Arc<EndpointSpec>,
    /// Why it has no version to run; none: `spec` is in force.
    pub(super) absent: Option<Absent>,
    pub(super) metrics: EndpointMetrics,
    pub(super) shared: Arc<EndpointShared>,
    actor: Option<EndpointHandle>,
    /// The attempts of the incarnation before.
    previous: Option<TaskTracker>,
    restarts: RestartPolicy,
    /// A restart is under way: work alone does not start it.
    waiting: bool,
}

impl Children {
    pub(super) fn get(&self, uid: EndpointUid) -> Option<&Child> {
        self.by_uid.get(&uid)
    }

    pub(super) fn get_mut(&mut self, uid: EndpointUid) -> Option<&mut Child> {
        self.by_uid.get_mut(&uid)
    }

    pub(super) fn uids(&self) -> Vec<EndpointUid> {
        let mut uids: Vec<_> = self.by_uid.keys().copied().collect();
        uids.sort_unstable();
        uids
    }

    pub(super) fn insert(&mut self, uid: EndpointUid, child: Child) {
        self.by_uid.insert(uid, child);
    }

    pub(super) fn remove(&mut self, uid: EndpointUid) {
        if let Some(actor) = self.by_uid.remove(&uid).and_then(|child| child.actor) {
            actor.stop("its endpoint was removed");
            self.by_actor.remove(&actor.id());
        }
    }
}

impl Child {
    pub(super) fn new(spec: Arc<EndpointSpec>, metrics: EndpointMetrics) -> Self {
        Self {
            spec,
            absent: None,
            metrics,
            shared: Arc::default(),
            actor: None,
            previous: None,
            restarts: RestartPolicy::default(),
            waiting: false,
        }
    }

    /// Whether its destination is refused, or its sink cannot be built: something outside may have changed since.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self.shared.condition(), Condition::Blocked | Condition::Invalid)
    }

    /// It has no version to run from now on.
    pub(super) fn be_absent(&mut self, absent: Absent, now_ms: u64) {
        self.absent = Some(absent);
        let since_ms = match absent {
            Absent::Removed { since_ms } => since_ms,
            Absent::Rejected => now_ms,
        };
        self.shared.set_condition(absent.into(), || since_ms);
        if let Some(actor) = &mut self.actor {
            actor.set_absent(Some(absent));
        }
    }

    /// Other series from now on.
    pub(super) fn measure(&mut self, metrics: EndpointMetrics) {
        if let Some(actor) = &self.actor {
            actor.tell(EndpointMessage::Measure(metrics.clone()));
        }
        self.metrics = metrics;
    }

    /// Whether it has an actor.
    pub(super) const fn is_running(&self) -> bool {
        self.actor.is_some()
    }

    pub(super) const fn actor_mut(&mut self) -> Option<&mut EndpointHandle> {
        self.actor.as_mut()
    }

    /// Whether work alone may start its actor: not while it waits for a restart.
    pub(super) fn may_start(&mut self) -> bool {
        self.actor.is_none() && !self.waiting
    }

    /// What it failed of before may not happen again: its file changed, or a person says so.
    pub(super) fn forgive(&mut self) {
        self.restarts = RestartPolicy::default();
        self.waiting = false;
    }

    pub(super) fn observed(&self) -> Observed {
        Observed {
            identity: self.spec.identity.clone(),
            lifecycle: self.spec.lifecycle,
            running: self.actor.is_some(),
            shared: Arc::clone(&self.shared),
            metrics: self.metrics.clone(),
        }
    }
}

impl RouterState {
    /// There is something new for an endpoint: its actor is started with its first work.
    pub(super) async fn wake(&mut self, myself: &ActorRef<RouterMessage>, wake: Wake) {
        let uid = wake.endpoint;
        self.adopt(uid);
        let count = u64::try_from(wake.events.len()).unwrap_or(u64::MAX);
        if count > 0 && self.children.get(uid).is_none() {
            // It was in the table when the event came, and is not any more.
            let Some(backlog) = self.deps.spool.backlog(uid) else { return };
            self.remember_removal(uid, None);
            self.hold_absent(myself, backlog);
        }
        let Some(child) = self.children.get_mut(uid) else { return };
        if count > 0 {
            child.metrics.created(count);
        }
        if let Some(actor) = &mut child.actor {
            actor.wake(wake);
            return;
        }
        // Without an actor nobody has a cursor: it reads everything from the spool.
        if count > 0 && !child.waiting && child.absent.is_none() && !self.stopping {
            // Boxed, so that the rest of what the router does need not carry it about.
            Box::pin(self.start_child(myself, uid)).await;
        }
    }

    /// Makes an endpoint of the table one in use.
    pub(super) fn adopt(&mut self, uid: EndpointUid) {
        if self.children.get(uid).is_some() {
            return;
        }
        let table = self.deps.table.load();
        let Some(entry) = table.with_uid(uid) else { return };
        let metrics = self.deps.metrics.endpoint(&entry.spec.identity.name, Labels::few(&table));
        let child = Child::new(Arc::clone(&entry.spec), metrics);
        self.deps.directory.put(uid, child.observed());
        self.children.insert(uid, child);
        // Its file was missing when an earlier run ended; the next time its grace begins anew.
        self.remember_removal(uid, None);
        self.forgive_former(uid, &entry.spec);
    }

    /// Starts the actor of an endpoint in use that has none.
    pub(super) async fn start_child(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid) {
        if self.stopping {
            return;
        }
        let Some(child) = self.children.get_mut(uid).filter(|child| child.actor.is_none()) else { return };
        child.waiting = false;
        let name = &child.spec.identity.name;
        let (shared, clock) = (Arc::clone(&child.shared), Arc::clone(&self.deps.clock));
        let problem = move |reason: &str| {
            shared.set_problem(Some(Problem { at_ms: unix_ms(&*clock), reason: reason.into() }));
        };
        let (metrics, tasks) = (self.deps.metrics.clone(), self.deps.sink_tasks.clone());
        let router = myself.clone();
        let panicked = move || {
            drop(router.cast(RouterMessage::Pass { uid, message: EndpointMessage::SinkPanicked }));
        };
        let host = HostContext {
            endpoint: Arc::clone(name),
            user_agent: Arc::clone(&self.deps.user_agent),
            connector: self.deps.network.connector(name),
            clock: Arc::clone(&self.deps.clock),
            folder: Arc::clone(&self.deps.folder),
            connect_timeout: child.spec.delivery.connect_timeout,
            timeout: child.spec.delivery.timeout,
            concurrency: child.spec.delivery.concurrency.get(),
            host: Arc::new(SinkHost::new(Arc::clone(name), metrics, tasks, problem, panicked)),
        };
        let (attempts, router) = (TaskTracker::new(), myself.clone());
        let args = EndpointArgs {
            uid,
            spec: Arc::clone(&child.spec),
            generation: self.generation,
            absent: child.absent,
            spool: Arc::clone(&self.deps.spool),
            host,
            clock: Arc::clone(&self.deps.clock),
            chance: Arc::clone(&self.deps.chance),
            metrics: child.metrics.clone(),
            shared: Arc::clone(&child.shared),
            limit: Arc::clone(&self.limit),
            attempts: attempts.clone(),
            previous: child.previous.replace(attempts.clone()),
            retire: Arc::new(move |uid, seen| drop(router.cast(RouterMessage::AskRetire { uid, seen }))),
        };
        match EndpointActor::spawn_linked(None, EndpointActor, args, myself.get_cell()).await {
            Ok((actor, _joined)) => {
                let handle = EndpointHandle::new(actor, Arc::clone(&child.shared), attempts);
                let id = handle.id();
                child.actor = Some(handle);
                self.children.by_actor.insert(id, uid);
                self.deps.directory.update(uid, |observed| observed.running = true);
            }
            Err(error) => self.restart_later(myself, uid, &error.to_string()),
        }
    }

    pub(super) fn child_failed(&mut self, myself: &ActorRef<RouterMessage>, id: ActorId, error: &str) {
        let Some(uid) = self.lost(id) else { return };
        self.restart_later(myself, uid, error);
    }

    /// An actor stopped by itself, or was killed. What it was asked to do is not news.
    pub(super) fn child_ended(
        &mut self,
        myself: &ActorRef<RouterMessage>,
        id: ActorId,
        reason: Option<&str>,
    ) {
        let Some(uid) = self.lost(id) else { return };
        if !self.stopping && !matches!(reason, Some("drained")) {
            self.restart_later(myself, uid, reason.unwrap_or("it stopped"));
        }
    }

    /// Stops an actor that has been idle, if it was sent nothing since it asked.
    pub(super) fn retire(&mut self, uid: EndpointUid, seen: u64) {
        let Some(child) = self.children.get_mut(uid) else { return };
        let Some(actor) = child.actor.take_if(|actor| actor.has_seen_all(seen)) else { return };
        self.children.by_actor.remove(&actor.id());
        actor.stop("idle");
        self.deps.directory.update(uid, |observed| observed.running = false);
        if !Labels::few(&self.deps.table.load()) && self.unremarkable(uid) {
            self.forget(uid);
        }
    }

    pub(super) async fn resume(&mut self, myself: &ActorRef<RouterMessage>, name: &str) -> bool {
        let Some(uid) = self.deps.table.load().named(name).map(|entry| entry.uid) else { return false };
        self.adopt(uid);
        let Some(child) = self.children.get_mut(uid) else { return false };
        child.forgive();
        if child.actor.is_none() {
            self.start_child(myself, uid).await;
        }
        if let Some(actor) = self.children.get_mut(uid).and_then(Child::actor_mut) {
            actor.resume();
        }
        true
    }

    /// Tells the actor of an endpoint something, if it has one.
    pub(super) fn pass(&mut self, uid: EndpointUid, message: EndpointMessage) {
        if let Some(actor) = self.children.get_mut(uid).and_then(Child::actor_mut) {
            actor.tell(message);
        }
    }

    pub(super) fn drain(&mut self, reply: oneshot::Sender<()>) {
        self.stopping = true;
        self.draining = Some(reply);
        for child in self.children.by_uid.values_mut() {
            if let Some(actor) = &mut child.actor {
                actor.drain();
            }
        }
        self.drained();
    }

    /// Tells who waits for it that no attempt is in flight any more.
    pub(super) fn drained(&mut self) {
        if self.stopping && self.children.by_actor.is_empty() {
            let _told = self.draining.take().map(|reply| reply.send(()));
        }
    }

    #[cfg(test)]
    pub(super) fn crash(&mut self, name: &str) {
        let uid = self.deps.table.load().named(name).map(|entry| entry.uid);
        if let Some(actor) = uid.and_then(|uid| self.children.get_mut(uid)).and_then(Child::actor_mut) {
            actor.crash();
        }
    }

    fn lost(&mut self, id: ActorId) -> Option<EndpointUid> {
        let uid = self.children.by_actor.remove(&id)?;
        let child = self.children.get_mut(uid)?;
        child.actor.take_if(|actor| actor.id() == id)?;
        child.shared.set_in_flight(0);
        self.deps.directory.update(uid, |observed| observed.running = false);
        Some(uid)
    }

    fn restart_later(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid, error: &str) {
        let (now, now_ms) = (self.now(), crate::clock::unix_ms(&*self.deps.clock));
        let Some(child) = self.children.get_mut(uid) else { return };
        let name = &child.spec.identity.name;
        child.waiting = true;
        child.shared.set_problem(Some(Problem { at_ms: now_ms, reason: error.into() }));
        let wait = match child.restarts.failed(now) {
            Restart::After(wait) => {
                tracing::error!(endpoint = %name, %error, restart_in = ?wait, "the endpoint's actor failed");
                wait
            }
            Restart::Park(wait) => {
                child.shared.set_condition(Condition::Parked, || now_ms);
                tracing::error!(endpoint = %name, %error, retry_in = ?wait, "the endpoint's actor keeps failing: parked");
                wait
            }
        };
        self.restarts.increment(1);
        later(myself, wait, RouterMessage::RestartDue { uid });
    }
}

/// Sends a message to the router itself, after a while.
pub(super) fn later(myself: &ActorRef<RouterMessage>, wait: Duration, message: RouterMessage) {
    drop(myself.send_after(wait, move || message));
}

/// A removed endpoint that only the spool remembers.
pub(super) fn orphan(identity: crate::ids::Identity) -> Arc<EndpointSpec> {
    Arc::new(EndpointSpec {
        identity,
        lifecycle: Lifecycle::Draft,
        events: crate::table::Selection::Some(Arc::default()),
        products: crate::table::Selection::Some(Arc::default()),
        filter: None,
        delivery: Arc::default(),
        sink: None,
    })
}
