use crate::metrics::Traffic;
use crate::reload::Change;
use async_trait::async_trait;

/// What only the page asks of the daemon, beside what the API asks.
#[async_trait]
pub trait PageBackend: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// The counters that the pictures are drawn from. Called on a thread that may block.
    fn traffic(&self) -> Traffic;

    /// How many dead letters are kept of endpoints for this account (none: of all endpoints), be they there or gone.
    fn letters(&self, account: Option<&str>) -> u64;

    /// The events and the products there are.
    fn catalogue(&self) -> (Vec<String>, Vec<String>);

    /// The last reloads that changed or rejected something, the newest first.
    async fn reloads(&self) -> Vec<Change>;

    /// Where endpoint files are.
    fn endpoints_folder(&self) -> String;
}
