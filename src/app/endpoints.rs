//! Endpoints for the admin API: read from their files, changed in them, and in force when the answer goes out.

use super::backend::Backend;
use super::store::{Current, Store, Written};
use super::trial::trial;
use crate::admin::{
    Caller, ConfigIssue, EffectiveSetting, EndpointBackend, EndpointDetail, EndpointError, EndpointStatus,
    Order, Precondition, Scope, Settings, TestEvent, TestReport, UnsavedTest,
};
use crate::config;
use crate::delivery::Condition;
use crate::ids::EndpointUid;
use crate::reload::ReloadOutcome;
use crate::table::EndpointSpec;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;

#[async_trait]
impl EndpointBackend for Backend {
    async fn endpoint(&self, caller: &Caller, name: &str) -> Result<EndpointDetail, EndpointError> {
        let missing = || EndpointError::NotFound(name.to_owned());
        let running = self.running(name);
        let current = self
            .blocking(caller, name, move |store, caller, name| store.read(caller, name, running.as_deref()));
        let Some(current) = current.await? else {
            // Its file is gone; what waits for it is still there.
            let status = self.status_of(caller, name).ok_or_else(missing)?;
            let changes = self.changes.of(name, status.account.as_deref());
            return Ok(EndpointDetail {
                status,
                changes,
                file: Store::shown_path(name),
                ..Default::default()
            });
        };
        Ok(self.detail(caller, name, current).await)
    }

    async fn put_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        settings: Settings,
        expected: Precondition,
    ) -> Result<(EndpointDetail, bool), EndpointError> {
        let (daemon, running) = (self.config.load_full(), self.running(name));
        let (changes, by) = (Arc::clone(&self.changes), caller.name());
        let written = self.blocking(caller, name, move |store, caller, name| {
            changes.announce(name, by);
            store.put(caller, name, &settings, &expected, &daemon, running.as_deref())
        });
        let written = self.announced(name, written.await)?;
        let new = written.new;
        self.take_over(name, written).await?;
        Ok((self.endpoint(caller, name).await?, new))
    }

    async fn delete_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        expected: Precondition,
    ) -> Result<(), EndpointError> {
        let running = self.running(name);
        let uids = self.uids(caller, name);
        let (changes, by) = (Arc::clone(&self.changes), caller.name());
        let unused = self.blocking(caller, name, move |store, caller, name| {
            changes.announce(name, by);
            store.delete(caller, name, &expected, running.as_deref())
        });
        let unused = self.announced(name, unused.await)?;
        let outcome = self.reload.reload_removing(vec![Arc::from(name)]).await;
        self.changes.withdraw(name);
        if self.router.table().named(name).is_some() {
            return Err(refused(name, &outcome));
        }
        for uid in uids {
            self.router.remove(uid).await;
        }
        self.sweep(unused).await;
        Ok(())
    }

    async fn order(
        &self,
        caller: &Caller,
        name: &str,
        order: Order,
        expected: Precondition,
    ) -> Result<EndpointDetail, EndpointError> {
        let (daemon, running) = (self.config.load_full(), self.running(name));
        let (changes, by) = (Arc::clone(&self.changes), caller.name());
        let written = self.blocking(caller, name, move |store, caller, name| {
            changes.announce(name, by);
            store.order(caller, name, order, &expected, &daemon, running.as_deref())
        });
        match self.announced(name, written.await)? {
            Some(written) => self.take_over(name, written).await?,
            None => self.changes.withdraw(name),
        }
        if order == Order::Resume {
            self.router.resume(name).await;
        }
        self.endpoint(caller, name).await
    }

    async fn test_unsaved(&self, caller: &Caller, test: UnsavedTest) -> Result<TestReport, EndpointError> {
        let UnsavedTest { name, mut settings, event, product, data } = test;
        let saved = name.is_some();
        let name = name.unwrap_or_else(|| "unsaved".to_owned());
        let (daemon, running) = (self.config.load_full(), self.running(&name));
        // A test works in every state, and what is missing from a draft is said.
        if settings.get("state").is_none_or(|state| matches!(state.as_str(), Some("draft" | "paused"))) {
            settings.insert("state".to_owned(), "active".into());
        }
        let judged = self.blocking(caller, &name, move |store, caller, name| {
            let current = if saved { store.read(caller, name, running.as_deref())? } else { None };
            if saved && current.is_none() {
                return Err(EndpointError::NotFound(name.to_owned()));
            }
            let text = store.judge(caller, name, &mut settings, current.as_ref(), &daemon)?;
            let file = Arc::from(Store::shown_path(name));
            let compiled = store.loader.endpoint_text(&Arc::from(name), file, &text.into(), &daemon);
            compiled.result.map_err(|_| EndpointError::Failed("a secret changed meanwhile: try again".into()))
        });
        let spec = judged.await?;
        let event = TestEvent { event, product, data };
        trial(&self.router, &spec, &event, &*self.clock).await.map_err(EndpointError::Unfit)
    }
}

impl Backend {
    fn running(&self, name: &str) -> Option<Arc<EndpointSpec>> {
        self.router.table().named(name).map(|entry| Arc::clone(&entry.spec))
    }

    /// Whose file this is; where it is rejected and has no version to run, whose deliveries are held for it.
    fn uids(&self, caller: &Caller, name: &str) -> Vec<EndpointUid> {
        if let Some(entry) = self.router.table().named(name) {
            return vec![entry.uid];
        }
        let held = self.router.directory().list().into_iter().filter(|(_, observed)| {
            &*observed.identity.name == name
                && observed.shared.condition() == Condition::Invalid
                && caller.sees(observed.identity.account.as_deref())
        });
        held.map(|(uid, _)| uid).collect()
    }

    /// What a caller sees of the endpoint of this name: the one that its file is for, where the name was another
    /// account's before.
    fn status_of(&self, caller: &Caller, name: &str) -> Option<EndpointStatus> {
        let table = self.router.table();
        let account = table.named(name).map(|entry| entry.spec.identity.account.as_deref());
        let mut found = self.sight().endpoints(&table, Some(name));
        found.retain(|status| caller.sees(status.account.as_deref()));
        let current = found.iter().position(|status| Some(status.account.as_deref()) == account);
        (!found.is_empty()).then(|| found.swap_remove(current.unwrap_or_default()))
    }

    /// Work with files, on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        caller: &Caller,
        name: &str,
        work: impl FnOnce(&Store, &Caller, &str) -> Result<T, EndpointError> + Send + 'static,
    ) -> Result<T, EndpointError> {
        let (store, caller, name) = (Arc::clone(&self.store), caller.clone(), name.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&store, &caller, &name)).await;
        done.unwrap_or_else(|_| Err(EndpointError::Failed("the work with the file broke off".to_owned())))
    }

    /// A change that failed is nobody's.
    fn announced<T>(&self, name: &str, done: Result<T, EndpointError>) -> Result<T, EndpointError> {
        if done.is_err() {
            self.changes.withdraw(name);
        }
        done
    }

    /// Has the daemon read what was written.
    async fn take_over(&self, name: &str, written: Written) -> Result<(), EndpointError> {
        let outcome = self.reload.reload().await;
        self.changes.withdraw(name);
        let file = format!("/{name}.toml");
        if outcome.errors().iter().any(|error| error.file.ends_with(&file)) {
            return Err(refused(name, &outcome));
        }
        self.sweep(written.unused).await;
        Ok(())
    }

    async fn sweep(&self, unused: Vec<PathBuf>) {
        let store = Arc::clone(&self.store);
        drop(tokio::task::spawn_blocking(move || store.sweep(&unused)).await);
    }

    async fn detail(&self, caller: &Caller, name: &str, current: Current) -> EndpointDetail {
        let errors = self.reload.status().await.map(|status| status.errors).unwrap_or_default();
        let suffix = format!("/{name}.toml");
        let errors: Vec<ConfigIssue> = errors
            .iter()
            .filter(|error| error.file.ends_with(&suffix))
            .map(|error| ConfigIssue { file: Store::shown_path(name), ..ConfigIssue::from(error) })
            .collect();
        let account = config::account_of(&current.text).flatten();
        let mut status = self.status_of(caller, name);
        if let Some(status) = &mut status {
            status.rejected = !errors.is_empty();
        }
        let mut status = status.unwrap_or_else(|| EndpointStatus {
            name: name.to_owned(),
            account: account.clone(),
            state: "invalid".to_owned(),
            note: Some("its file is rejected, and it has no version to run".to_owned()),
            rejected: true,
            ..EndpointStatus::default()
        });
        let (text, store, file) = (current.text, Arc::clone(&self.store), Store::shown_path(name));
        let root = self.path.display().to_string();
        let operator = caller.scope == Scope::Operator;
        let of = name.to_owned();
        let values = tokio::task::spawn_blocking(move || {
            let base = store.loader.endpoints_folder().join(format!("{of}.toml")).display().to_string();
            let name = |origin: String| {
                let origin = origin.replace(&base, &file);
                if operator { origin.replace(&root, "postrider.toml") } else { hide(origin, &root) }
            };
            let values =
                config::effective_of(&store.loader, &of, &text).map_or_else(|_| Vec::new(), |all| all.values);
            let shown = |value: config::EffectiveValue| EffectiveSetting {
                key: value.key,
                value: value.value,
                origin: name(value.origin),
            };
            (values.into_iter().map(shown).collect(), modified(&store.path(&of)))
        });
        let (effective, modified) = values.await.unwrap_or_default();
        // What nobody saw begin holds at least since the file was written.
        if matches!(&*status.state, "active" | "draft" | "paused") {
            status.since_ms = status.since_ms.or(modified);
        }
        let changes = self.changes.of(name, status.account.as_deref());
        EndpointDetail {
            file: Store::shown_path(name),
            etag: current.form.version,
            settings: current.form.settings,
            toml: current.form.toml,
            effective,
            errors,
            changes,
            status,
        }
    }
}

/// A customer is not told where the operator's files are.
fn hide(origin: String, root: &str) -> String {
    if origin.starts_with(root) { "operator".to_owned() } else { origin }
}

fn modified(path: &std::path::Path) -> Option<u64> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn refused(name: &str, outcome: &ReloadOutcome) -> EndpointError {
    let why: Vec<&str> = outcome.errors().iter().map(|error| error.message.as_str()).take(3).collect();
    EndpointError::Failed(format!("the file of {name} was changed, but is not in force: {}", why.join("; ")))
}
