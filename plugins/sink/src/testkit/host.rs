use crate::{
    Clock, ConnectError, ConnectErrorKind, Connection, Connector, Host, HostContext, Task, Trail, async_trait,
};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A host that runs what a sink keeps running, and remembers what it said.
#[derive(Default)]
pub struct TestHost {
    tasks: Mutex<JoinSet<()>>,
    said: Mutex<Vec<Result<(), String>>>,
}

impl TestHost {
    /// Nothing runs on it yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What sinks said of what they keep running: it works, or why not.
    #[must_use]
    pub fn said(&self) -> Vec<Result<(), String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until nothing runs any more. False: something still does, and is dropped.
    pub async fn ended(&self, within: Duration) -> bool {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::time::timeout(within, all).await.is_ok()
    }

    fn say(&self, what: Result<(), String>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

impl Host for TestHost {
    fn spawn(&self, task: Task) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    fn up(&self, _kind: &str) {
        self.say(Ok(()));
    }

    fn down(&self, _kind: &str, reason: &str) {
        self.say(Err(reason.to_owned()));
    }
}

/// A context without a network, for sinks that need none. Change the fields as the test wants them.
pub fn context(host: Arc<dyn Host>) -> HostContext {
    HostContext {
        endpoint: "acme".into(),
        user_agent: concat!("postrider/", env!("CARGO_PKG_VERSION")).into(),
        folder: Path::new(".").into(),
        connector: Arc::new(NoNetwork),
        clock: Arc::new(SystemTime),
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(15),
        concurrency: 16,
        host,
    }
}

struct NoNetwork;

#[async_trait]
impl Connector for NoNetwork {
    async fn connect(&self, host: &str, port: u16, _trail: &Trail) -> Result<Connection, ConnectError> {
        let message = format!("no network in this test: {host}:{port}");
        Err(ConnectError { kind: ConnectErrorKind::Blocked, message })
    }

    fn policy_epoch(&self) -> u64 {
        0
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTime;

impl Clock for SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn unix(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}
