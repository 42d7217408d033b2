use super::actor::ReloadMessage;
use super::outcome::{ReloadOutcome, ReloadStatus};
use crate::config::ConfigError;
use crate::ids::Generation;
use ractor::ActorRef;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How to reach a [`ReloadActor`](super::ReloadActor).
#[derive(Clone)]
pub struct ReloadHandle(ActorRef<ReloadMessage>);

impl ReloadHandle {
    pub(super) const fn new(actor: ActorRef<ReloadMessage>) -> Self {
        Self(actor)
    }

    /// Reads the files again and applies what changed. Answers when it is in force.
    pub async fn reload(&self) -> ReloadOutcome {
        self.reload_removing(Vec::new()).await
    }

    /// Like [`reload`](Self::reload), after the files of these endpoints were deleted on purpose: that the folder is
    /// empty is then no error.
    pub async fn reload_removing(&self, removing: Vec<Arc<str>>) -> ReloadOutcome {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.cast(ReloadMessage::Reload { removing, reply });
        answer.await.unwrap_or_else(|_| ReloadOutcome::Rejected {
            generation: Generation::default(),
            errors: vec![ConfigError::about("reload", "the daemon is stopping")],
        })
    }

    /// How things stand; none: the daemon is stopping.
    pub async fn status(&self) -> Option<ReloadStatus> {
        let (reply, answer) = oneshot::channel();
        self.0.cast(ReloadMessage::Inspect { reply }).ok()?;
        answer.await.ok()
    }

    /// Something may have changed: a hint, and nobody waits for what comes of it.
    pub fn files_changed(&self) {
        let _ = self.0.cast(ReloadMessage::FilesChanged);
    }

    /// Stops the actor and its watcher.
    pub fn stop(&self) {
        self.0.stop(None);
    }
}
