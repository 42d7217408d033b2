use super::App;
use crate::spool::Spool as _;
use std::time::Duration;

/// How long requests under way may take to get their answers. They wait for a commit, not for a subscriber.
const ANSWERS: Duration = Duration::from_secs(5);
/// How long what sinks keep running may take to end by itself.
const SINKS: Duration = Duration::from_secs(4);
/// How long the store may take to write and sync what it was told.
const CLOSE: Duration = Duration::from_secs(10);

impl App {
    /// Stops it top-down: no new events, then no new attempts, then what is in flight within the grace; what has not
    /// ended by then is handed back to the spool and repeated after the next start.
    pub async fn stop(self) {
        let Self { backend, sink_tasks, stop_ingress, stop_admin, serving_ingress, serving_admin, .. } = self;
        let grace = backend.config.load().shutdown.grace;
        backend.draining.cancel();
        stop_ingress.cancel();
        let aborting = serving_ingress.abort_handle();
        if tokio::time::timeout(ANSWERS.min(grace), serving_ingress).await.is_err() {
            tracing::warn!("some requests were cut: they took longer than {ANSWERS:?}");
            aborting.abort();
        }
        backend.reload.stop();
        if !backend.router.stop(grace).await {
            tracing::warn!(?grace, "attempts were cut at the end of the grace; they will be repeated");
        }
        stop_admin.cancel();
        drop(serving_admin.await);
        sink_tasks.close();
        if tokio::time::timeout(SINKS, sink_tasks.wait()).await.is_err() {
            tracing::warn!("some sinks did not end what they kept running within {SINKS:?}");
        }
        match tokio::time::timeout(CLOSE, backend.spool.close()).await {
            Ok(Ok(())) => tracing::info!("stopped"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the spool did not close well; nothing accepted is lost");
            }
            Err(_) => {
                tracing::error!("the spool took longer than {CLOSE:?} to close; nothing accepted is lost");
            }
        }
    }
}
