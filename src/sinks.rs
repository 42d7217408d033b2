//! The sinks this binary knows. The only file that names plugin crates.

use crate::metrics::Metrics;
use futures_util::FutureExt as _;
use postrider_sink::{Host, SinkFactory, Task};
use postrider_sink_exec::ExecSinkFactory;
use postrider_sink_file::FileSinkFactory;
use postrider_sink_http::HttpSinkFactory;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::task::TaskTracker;

/// Sink factories by their kind: the name of their table in an endpoint file.
#[derive(Clone, Default)]
pub struct Sinks {
    factories: BTreeMap<&'static str, Arc<dyn SinkFactory>>,
}

impl Sinks {
    /// These kinds.
    #[must_use]
    pub fn new(factories: Vec<Arc<dyn SinkFactory>>) -> Self {
        Self { factories: factories.into_iter().map(|factory| (factory.kind(), factory)).collect() }
    }

    /// The built-in ones: `http`, `file`, `exec`, and `nats` and `wasm` where they are built in.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(vec![
            Arc::new(HttpSinkFactory::new()),
            Arc::new(FileSinkFactory),
            Arc::new(ExecSinkFactory),
            #[cfg(feature = "nats")]
            Arc::new(postrider_sink_nats::NatsSinkFactory::new()),
            #[cfg(feature = "wasm")]
            Arc::new(postrider_sink_wasm::WasmSinkFactory::new()),
        ])
    }

    /// The kinds that this binary could have and was built without: each is a feature of the same name.
    pub fn left_out(&self) -> impl Iterator<Item = &'static str> + '_ {
        ["nats", "wasm"].into_iter().filter(|kind| !self.factories.contains_key(kind))
    }

    /// Adds a sink, or takes the place of the one of the same kind.
    pub fn register(&mut self, factory: Arc<dyn SinkFactory>) {
        self.factories.insert(factory.kind(), factory);
    }

    /// The factory of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn SinkFactory>> {
        self.factories.get(kind)
    }

    /// Every kind there is, in alphabetical order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.factories.keys().copied()
    }
}

/// What the sinks of one endpoint ask of the daemon.
pub struct SinkHost {
    endpoint: Arc<str>,
    metrics: Metrics,
    tasks: TaskTracker,
    problem: Box<dyn Fn(&str) + Send + Sync>,
    panicked: Arc<dyn Fn() + Send + Sync>,
}

impl SinkHost {
    /// `tasks` owns what its sinks keep running; `problem` is told why something does not work, and `panicked` is
    /// called when a task is gone that the sink counts on.
    pub fn new(
        endpoint: Arc<str>,
        metrics: Metrics,
        tasks: TaskTracker,
        problem: impl Fn(&str) + Send + Sync + 'static,
        panicked: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { endpoint, metrics, tasks, problem: Box::new(problem), panicked: Arc::new(panicked) }
    }
}

impl Host for SinkHost {
    fn spawn(&self, task: Task) {
        let panicked = Arc::clone(&self.panicked);
        self.tasks.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                panicked();
            }
        });
    }

    fn up(&self, kind: &str) {
        self.metrics.plugin(kind, &self.endpoint).set(1.0);
    }

    fn down(&self, kind: &str, reason: &str) {
        self.metrics.plugin(kind, &self.endpoint).set(0.0);
        (self.problem)(reason);
    }
}

/// The host of one sink of an endpoint. Once another takes its place, what it says of itself counts for nothing: it may
/// go on for as long as its last attempts, and whether it works says nothing about the one that came after it.
pub struct SinkTurn {
    host: Arc<dyn Host>,
    over: RwLock<bool>,
}

impl SinkTurn {
    /// That of a sink that is about to be built, on the host that all of its endpoint's have.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, over: RwLock::new(false) }
    }

    /// Another takes its place. What the sink has not said by the time this returns, nobody hears.
    pub fn end(&self) {
        *self.over.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn say(&self, what: impl FnOnce(&dyn Host)) {
        // Held while it is said, so that it cannot come after what the next one says.
        let over = self.over.read().unwrap_or_else(PoisonError::into_inner);
        if !*over {
            what(&*self.host);
        }
    }
}

impl Host for SinkTurn {
    fn spawn(&self, task: Task) {
        self.host.spawn(task);
    }

    fn up(&self, kind: &str) {
        self.say(|host| host.up(kind));
    }

    fn down(&self, kind: &str, reason: &str) {
        self.say(|host| host.down(kind, reason));
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::net::{Network, NetworkPolicy, SystemResolver};
    use postrider_sink::testkit::TestHost;
    use postrider_sink::{Delivery, HostContext, Secret, Table, Value, Verdict};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_http_delivery_to_a_private_name_is_blocked_until_the_policy_allows_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Network::new(NetworkPolicy::default(), Vec::new(), Arc::new(SystemResolver::new()));
        let credentials = Value::Secret(Secret::new("YTpi".into()));
        let basic = Value::Table(Table::from([("credentials".into(), credentials)]));
        let settings = Table::from([
            ("url".into(), Value::String(format!("http://localhost:{port}/in"))),
            ("auth".into(), Value::Table(Table::from([("basic".into(), basic)]))),
        ]);
        let host = HostContext {
            endpoint: "acme".into(),
            user_agent: "postrider/test".into(),
            connector: network.connector("acme"),
            clock: Arc::new(SystemClock),
            folder: std::path::Path::new(".").into(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            concurrency: 16,
            host: Arc::new(SinkHost::new("acme".into(), Metrics::new(), TaskTracker::new(), |_| {}, || {})),
        };
        let plan = Sinks::standard().get("http").unwrap().check(&settings).ok().unwrap();
        let sink = plan.build(&host).await.unwrap();
        let delivery = Delivery {
            id: "evt_01".into(),
            event: "sent".into(),
            product: "crm".into(),
            account: None,
            body: "{}".into(),
            attempt: 1,
            test: false,
            traceparent: None,
            trail: Arc::default(),
        };
        let outcome = sink.deliver(&delivery).await;
        assert_eq!(outcome.verdict, Verdict::Blocked, "{outcome:?}");
        let allow = ["127.0.0.0/8", "::1/128"].map(|range| range.parse().unwrap()).to_vec();
        network.set_policy(NetworkPolicy { allow, exceptions: Vec::new() });
        let receive = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"{}") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let both = async { tokio::join!(sink.deliver(&delivery), receive) };
        let (outcome, ()) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    }

    #[test]
    fn what_a_sink_of_before_says_of_itself_counts_for_nothing() {
        let host = TestHost::new();
        let turn = || SinkTurn::new(Arc::clone(&host) as Arc<dyn Host>);
        let (before, now) = (turn(), turn());
        before.up("exec");
        before.end();
        now.up("exec");
        before.down("exec", "it crashed");
        before.up("exec");
        assert_eq!(host.said().iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true]);
        now.down("exec", "exit 3");
        assert_eq!(host.said().last(), Some(&Err("exit 3".to_owned())));
    }

    #[test]
    fn what_a_sink_says_it_takes_is_what_it_takes() {
        let standard = Sinks::standard();
        for kind in standard.kinds() {
            let factory = standard.get(kind).unwrap();
            let schema: serde_json::Value = serde_json::from_str(&factory.schema()).unwrap();
            let said: Vec<&str> =
                schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let unknown = Table::from([("no-such-key".into(), Value::Boolean(true))]);
            let errors = factory.check(&unknown).err().unwrap();
            let helps: Vec<&str> = errors.iter().filter_map(|error| error.help.as_deref()).collect();
            let allowed = helps.iter().find_map(|help| help.strip_prefix("Allowed: ")).unwrap();
            let mut takes: Vec<&str> = allowed.trim_end_matches('.').split(", ").collect();
            takes.sort_unstable();
            assert_eq!(said, takes, "{kind}");
            assert_eq!(schema["additionalProperties"], false, "{kind}");
        }
    }

    #[test]
    fn the_standard_sinks_are_there_and_one_of_the_same_kind_takes_a_place() {
        let sinks = Sinks::new(vec![Arc::new(FileSinkFactory)]);
        assert_eq!(sinks.kinds().collect::<Vec<_>>(), ["file"]);
        let standard = Sinks::standard();
        let mut wanted = vec!["exec", "file", "http"];
        wanted.extend(cfg!(feature = "nats").then_some("nats"));
        wanted.extend(cfg!(feature = "wasm").then_some("wasm"));
        assert_eq!(standard.kinds().collect::<Vec<_>>(), wanted);
        assert_eq!(standard.left_out().count() + wanted.len(), 5);
        assert_eq!(standard.get("http").map(|factory| factory.kind()), Some("http"));
        assert!(sinks.get("kafka").is_none());
    }
}
