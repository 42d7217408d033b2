use crate::{Clock, Connector};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What the host hands to a sink that is being built.
#[derive(Clone)]
pub struct HostContext {
    /// The endpoint the sink is built for.
    pub endpoint: Arc<str>,
    /// `postrider/VERSION`, as `user-agent` says it.
    pub user_agent: Arc<str>,
    /// Where relative paths of the settings start: the folder of `postrider.toml`.
    pub folder: Arc<Path>,
    /// The only way out to the network: it resolves, checks every address and connects to the checked one.
    pub connector: Arc<dyn Connector>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long one connect (DNS, TCP and TLS together) may take; `connect_timeout` of the endpoint.
    pub connect_timeout: Duration,
    /// How long one attempt may take; `timeout` of the endpoint. The host keeps to it: this is for telling others.
    pub timeout: Duration,
    /// How many attempts may run at once; `concurrency` of the endpoint. A pool need not keep more connections.
    pub concurrency: usize,
    /// For a sink that keeps something running between attempts.
    pub host: Arc<dyn Host>,
}

/// What a sink keeps running.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the host does for a sink that keeps something running between attempts: a process, a connection.
pub trait Host: Send + Sync + 'static {
    /// Runs a task of the sink. It must end within seconds once the sink is dropped; the host waits that long for it
    /// when it stops, and drops it then.
    fn spawn(&self, task: Task);

    /// What the sink of this kind keeps running works.
    fn up(&self, kind: &str);

    /// It does not, and this is why: for people, one line without secrets. Shown with the endpoint.
    fn down(&self, kind: &str, reason: &str);
}
