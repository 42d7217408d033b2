use super::actor::{RouterMessage, RouterState};
use super::children::{Child, later, orphan};
use crate::clock::unix_ms;
use crate::config::DaemonConfig;
use crate::delivery::{Absent, Condition};
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
        let grace = std::mem::replace(&mut self.removed_grace, daemon.reload.removed_grace);
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

        self.rejected = invalid.iter().filter(|name| table.named(name).is_none()).cloned().collect();
        for uid in self.children.uids() {
            match table.with_uid(uid) {
                Some(entry) => self.keep(uid, entry),
                None => self.miss(myself, uid),
            }
        }
        for uid in if grace == self.removed_grace { Vec::new() } else { self.children.uids() } {
            self.grace_over(myself, uid);
        }
        let first = self.generation == Generation(1);
        for backlog in if first { self.deps.spool.backlogs() } else { Vec::new() } {
            self.inherit(myself, &table, backlog);
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
        let returned = child.absent.take().is_some();
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
        let at_rest = !child.is_running();
        let look_again = child.is_stuck();
        if let Some(actor) = child.actor_mut() {
            if returned {
                actor.set_absent(None);
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
            self.remember_removal(uid, None);
        }
        if changed && at_rest {
            self.forgive_former(uid, &entry.spec);
        }
    }

    /// What was held against a destination is forgotten where it is another one now; an actor that runs does so itself.
    pub(super) fn forgive_former(&self, uid: EndpointUid, spec: &EndpointSpec) {
        let remembered = self.deps.spool.endpoint_state(uid);
        if remembered.suspended.is_some_and(|(_, gone)| spec.fingerprint() != Some(gone)) {
            let state = EndpointState { suspended: None, wait_until_ms: None, wait_ms: 0, ..remembered };
            self.deps.spool.put_endpoint_state(uid, state);
        }
    }

    /// Its file is missing since then, milliseconds since the Unix epoch; or (none) it is there.
    pub(super) fn remember_removal(&self, uid: EndpointUid, removed_ms: Option<u64>) {
        let remembered = self.deps.spool.endpoint_state(uid);
        if remembered.removed_ms != removed_ms {
            self.deps.spool.put_endpoint_state(uid, EndpointState { removed_ms, ..remembered });
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

    /// An endpoint in use has no version to run. If its file is missing, what waits is held for a while; if it is there
    /// and rejected, until it is corrected.
    fn miss(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid) {
        let (now_ms, grace) = (unix_ms(&*self.deps.clock), self.removed_grace);
        let waits = self.deps.spool.backlog(uid).is_some_and(|backlog| backlog.ready + backlog.parked > 0);
        let Some(child) = self.children.get_mut(uid) else { return };
        let name = Arc::clone(&child.spec.identity.name);
        let absent = match (child.absent, self.rejected.contains(&name)) {
            (Some(Absent::Removed { .. }), false) | (Some(Absent::Rejected), true) => return,
            (_, true) => Absent::Rejected,
            (_, false) => Absent::Removed { since_ms: now_ms },
        };
        child.be_absent(absent, now_ms);
        match absent {
            Absent::Rejected => self.remember_removal(uid, None),
            Absent::Removed { since_ms } => {
                self.remember_removal(uid, Some(since_ms));
                if waits {
                    tracing::warn!(endpoint = %name, held_for = ?grace, "its file is gone: its deliveries are held");
                }
                later(myself, grace, RouterMessage::GraceDue { uid });
            }
        }
    }

    /// The grace of a removed endpoint is over: what waits for it is dead.
    pub(super) fn grace_over(&mut self, myself: &ActorRef<RouterMessage>, uid: EndpointUid) {
        let Some(Absent::Removed { since_ms }) = self.children.get(uid).and_then(|child| child.absent) else {
            return;
        };
        let held = Duration::from_millis(unix_ms(&*self.deps.clock).saturating_sub(since_ms));
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
    fn inherit(&mut self, myself: &ActorRef<RouterMessage>, table: &Table, backlog: Backlog) {
        if table.with_uid(backlog.uid).is_some() {
            self.adopt(backlog.uid);
        } else if backlog.ready + backlog.parked > 0 {
            self.hold_absent(myself, backlog);
        }
    }

    /// Something waits for an endpoint that has no version to run, and is not in use: it is held.
    pub(super) fn hold_absent(&mut self, myself: &ActorRef<RouterMessage>, backlog: Backlog) {
        let (uid, name) = (backlog.uid, Arc::clone(&backlog.identity.name));
        let now_ms = unix_ms(&*self.deps.clock);
        let metrics = self.deps.metrics.endpoint(&name, true);
        let mut child = Child::new(orphan(backlog.identity), metrics);
        let removed_ms = if self.rejected.contains(&name) {
            tracing::warn!(endpoint = %name, "its file is rejected: its deliveries are held until it is corrected");
            None
        } else {
            Some(self.deps.spool.endpoint_state(uid).removed_ms.unwrap_or(now_ms))
        };
        let absent = removed_ms.map_or(Absent::Rejected, |since_ms| Absent::Removed { since_ms });
        child.be_absent(absent, now_ms);
        self.deps.directory.put(uid, child.observed());
        self.children.insert(uid, child);
        self.remember_removal(uid, removed_ms);
        self.grace_over(myself, uid);
    }
}
