use super::actor::{RouterMessage, RouterState};
use super::children::{Child, later, orphan};
use crate::clock::unix_ms;
use crate::config::DaemonConfig;
use crate::delivery::Condition;
use crate::ids::{EndpointUid, Generation};
use crate::spool::{Backlog, DeadReason, EndpointState};
use crate::table::{EndpointSpec, Entry, Table};
use ractor::ActorRef;
use std::sync::Arc;
use std::time::Duration;

impl RouterState {
    /// Puts a configuration in force, and returns the table before it. Only endpoints that changed notice. Events wait
    /// meanwhile: what takes longer the more endpoints there are was done before.
    pub(super) async fn publish(
        &mut self,
        myself: &ActorRef<RouterMessage>,
        daemon: &DaemonConfig,
        mut table: Table,
        troubled: &[EndpointUid],
        invalid: &[Arc<str>],
    ) -> Arc<Table> {
        self.generation = Generation(self.generation.0 + 1);
        self.removed_grace = daemon.reload.removed_grace;
        self.limit.set(daemon.limits.attempts);
        self.deps.network.set_policy(daemon.network.clone());
        table.generation = self.generation;
        let table = Arc::new(table);
        let before = self.deps.table.swap(Arc::clone(&table));
        tracing::debug!(
            generation = self.generation.0,
            endpoints = table.entries().len(),
            invalid = invalid.len(),
            "published"
        );

        for uid in self.children.uids() {
            match table.with_uid(uid) {
                Some(entry) => self.keep(uid, entry),
                None => self.miss(myself, uid),
            }
        }
        let first = self.generation == Generation(1);
        for backlog in if first { self.deps.spool.backlogs() } else { Vec::new() } {
            self.inherit(myself, &table, backlog).await;
        }
        self.label(&table, troubled, invalid);
        for uid in self.children.uids() {
            if !self.children.get_mut(uid).is_some_and(Child::may_start) || table.with_uid(uid).is_none() {
                continue;
            }
            if self.deps.spool.backlog(uid).is_some_and(|backlog| backlog.ready + backlog.parked > 0) {
                self.start_child(myself, uid).await;
            }
        }
        before
    }

    /// An endpoint in use is still in the table.
    fn keep(&mut self, uid: EndpointUid, entry: &Entry) {
        let generation = self.generation;
        let Some(child) = self.children.get_mut(uid) else { return };
        let returned = child.removed_ms.take().is_some();
        let changed = !Arc::ptr_eq(&child.spec, &entry.spec) && child.spec != entry.spec;
        let kind = |spec: &EndpointSpec| spec.sink.as_ref().map(|sink| sink.kind);
        if kind(&child.spec) != kind(&entry.spec) {
            // Whether what the other one kept running works is nobody's question any more.
            self.deps.metrics.forget_plugin(&entry.spec.identity.name);
        }
        if child.spec.filter != entry.spec.filter {
            child.shared.forget_filter_problem();
        }
        child.spec = Arc::clone(&entry.spec);
        if changed {
            child.forgive();
        }
        let look_again = child.is_stuck();
        if let Some(actor) = child.actor_mut() {
            if returned {
                actor.set_removed(false);
            }
            if changed || look_again {
                actor.reconfigure(Arc::clone(&entry.spec), generation);
            }
        } else if returned {
            child.shared.set_condition(Condition::Active, || unix_ms(&*self.deps.clock));
        }
        let lifecycle = entry.spec.lifecycle;
        self.deps.directory.update(uid, |observed| observed.lifecycle = lifecycle);
        if returned {
            let remembered = self.deps.spool.endpoint_state(uid);
            self.deps.spool.put_endpoint_state(uid, EndpointState { removed_ms: None, ..remembered });
        }
    }

    /// Nothing changed, but a person asked for a reload.
    pub(super) fn look_again(&mut self) {
        let generation = self.generation;
        for uid in self.children.uids() {
            let Some(child) = self.children.get_mut(uid).filter(|child| child.is_stuck()) else { continue };
            let spec = Arc::clone(&child.spec);
            if let Some(actor) = child.actor_mut() {
                actor.reconfigure(spec, generation);
            }
        }
    }

    /// The file of an endpoint in use is missing: what waits is held for a while.
    fn miss(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid) {
        let (now_ms, grace) = (unix_ms(&*self.deps.clock), self.removed_grace);
        let waits = self.deps.spool.backlog(uid).is_some_and(|backlog| backlog.ready + backlog.parked > 0);
        let Some(child) = self.children.get_mut(uid).filter(|child| child.removed_ms.is_none()) else {
            return;
        };
        child.removed_ms = Some(now_ms);
        child.shared.set_condition(Condition::Removed, || now_ms);
        let name = Arc::clone(&child.spec.identity.name);
        if let Some(actor) = child.actor_mut() {
            actor.set_removed(true);
        }
        let remembered = self.deps.spool.endpoint_state(uid);
        self.deps.spool.put_endpoint_state(uid, EndpointState { removed_ms: Some(now_ms), ..remembered });
        if waits {
            tracing::warn!(endpoint = %name, held_for = ?grace, "its file is gone: its deliveries are held");
        }
        later(myself, grace, RouterMessage::GraceDue { uid });
    }

    /// The grace of a removed endpoint is over: what waits for it is dead.
    pub(super) fn grace_over(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid) {
        let Some(removed_ms) = self.children.get(uid).and_then(|child| child.removed_ms) else { return };
        let held = Duration::from_millis(unix_ms(&*self.deps.clock).saturating_sub(removed_ms));
        if held < self.removed_grace {
            later(myself, self.removed_grace.saturating_sub(held), RouterMessage::GraceDue { uid });
            return;
        }
        self.bury(uid);
    }

    /// A person removed an endpoint: there is no grace. One that is in the table again stays.
    pub(super) fn remove_now(&mut self, uid: EndpointUid) {
        if self.deps.table.load().with_uid(uid).is_none() {
            self.bury(uid);
        }
    }

    /// What waits for it is dead. Its series go, unless another endpoint has its name: then they count to the end.
    fn bury(&mut self, uid: EndpointUid) {
        let waits = self.deps.spool.backlog(uid).map_or(0, |backlog| backlog.ready + backlog.parked);
        self.deps.spool.remove_endpoint(uid);
        if let Some(child) = self.children.get(uid) {
            child.metrics.died(DeadReason::EndpointRemoved.as_str(), waits);
        }
        self.forget(uid);
    }

    /// Drops an endpoint in use, its actor and its series.
    pub(super) fn forget(&mut self, uid: EndpointUid) {
        self.children.remove(uid);
        if let Some(observed) = self.deps.directory.remove(uid) {
            let name = &observed.identity.name;
            if !self.deps.directory.has_name(name) {
                self.deps.metrics.forget_endpoint(name);
            }
        }
    }

    /// At the start: what the spool still has for an endpoint.
    async fn inherit(&mut self, myself: &ActorRef<RouterMessage>, table: &Table, backlog: Backlog) {
        let uid = backlog.uid;
        if table.with_uid(uid).is_some() {
            self.adopt(uid);
            return;
        }
        if backlog.ready + backlog.parked == 0 {
            return;
        }
        let metrics = self.deps.metrics.endpoint(&backlog.identity.name, true);
        let mut child = Child::new(orphan(backlog.identity), metrics);
        let remembered = self.deps.spool.endpoint_state(uid);
        let removed_ms = remembered.removed_ms.unwrap_or_else(|| unix_ms(&*self.deps.clock));
        child.removed_ms = Some(removed_ms);
        child.shared.set_condition(Condition::Removed, || removed_ms);
        self.deps.directory.put(uid, child.observed());
        self.children.insert(uid, child);
        self.deps.spool.put_endpoint_state(uid, EndpointState { removed_ms: Some(removed_ms), ..remembered });
        self.grace_over(myself, uid);
    }
}
