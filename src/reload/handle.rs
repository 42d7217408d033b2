use super::actor::ReloadMessage;
use super::outcome::{ReloadOutcome, ReloadStatus};
use crate::config::ConfigError;
use crate::ids::Generation;
use arc_swap::ArcSwap;
use ractor::ActorRef;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How to reach a [`ReloadActor`](super::ReloadActor), whichever is at work.
#[derive(Clone)]
pub struct ReloadHandle {
    actor: Arc<ArcSwap<ActorRef<ReloadMessage>>>,
    stop: CancellationToken,
}

impl ReloadHandle {
    pub(super) fn new(actor: ActorRef<ReloadMessage>) -> Self {
        Self { actor: Arc::new(ArcSwap::from_pointee(actor)), stop: CancellationToken::new() }
    }

    /// Another actor took the place of one that failed.
    pub(super) fn becomes(&self, actor: ActorRef<ReloadMessage>) {
        self.actor.store(Arc::new(actor));
        if self.is_stopped() {
            self.stop();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Reads the files again and applies what changed. Answers when it is in force.
    pub async fn reload(&self) -> ReloadOutcome {
        self.reload_removing(Vec::new()).await
    }

    /// Like [`reload`](Self::reload), after the files of these endpoints were deleted on purpose: that the folder is
    /// empty is then no error.
    pub async fn reload_removing(&self, removing: Vec<Arc<str>>) -> ReloadOutcome {
        let (reply, answer) = oneshot::channel();
        let _ = self.actor.load().cast(ReloadMessage::Reload { removing, reply });
        answer.await.unwrap_or_else(|_| {
            let why = if self.is_stopped() {
                ConfigError::about("reload", "the daemon is stopping")
            } else {
                ConfigError::about("reload", "what reads the files failed, and is started again")
                    .help("Ask once more in a moment.")
                    .note("everything keeps running as it is")
            };
            ReloadOutcome::Rejected { generation: Generation::default(), errors: vec![why] }
        })
    }

    /// How things stand; none: the daemon is stopping, or what reads the files has just failed.
    pub async fn status(&self) -> Option<ReloadStatus> {
        let (reply, answer) = oneshot::channel();
        self.actor.load().cast(ReloadMessage::Inspect { reply }).ok()?;
        answer.await.ok()
    }

    /// Something may have changed: a hint, and nobody waits for what comes of it.
    pub fn files_changed(&self) {
        let _ = self.actor.load().cast(ReloadMessage::FilesChanged);
    }

    /// Stops the actor and its watcher.
    pub fn stop(&self) {
        self.stop.cancel();
        self.actor.load().stop(None);
    }

    /// Makes the actor panic.
    #[cfg(test)]
    pub(crate) fn crash(&self) {
        let _ = self.actor.load().cast(ReloadMessage::Crash);
    }
}
