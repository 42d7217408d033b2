//! Endpoints whose names all lead to loopback, and what a test looks at.

use super::server::NatsServer;
use crate::NatsSinkFactory;
use async_nats::jetstream::{self, stream};
use postrider_sink::testkit::{TestHost, context};
use postrider_sink::{
    ConnectError, ConnectErrorKind, Connection, Connector, HostContext, Sink, SinkFactory, Table, Trail,
    Value, async_trait,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Finds every name on loopback, or refuses it.
#[derive(Default)]
pub(crate) struct Loopback {
    pub(crate) epoch: AtomicU64,
    pub(crate) asked: AtomicUsize,
    pub(crate) blocked: Option<&'static str>,
}

#[async_trait]
impl Connector for Loopback {
    async fn connect(&self, _host: &str, _port: u16, _trail: &Trail) -> Result<Connection, ConnectError> {
        panic!("the client dials by itself");
    }

    async fn addresses(&self, host: &str, _port: u16, _trail: &Trail) -> Result<Vec<IpAddr>, ConnectError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.blocked == Some(host) {
            let message = format!("{host} has a private address");
            return Err(ConnectError { kind: ConnectErrorKind::Blocked, message });
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    fn policy_epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// An endpoint that publishes to `events.EVENT` on this port.
pub(crate) fn table(port: u16) -> Table {
    let servers = Value::Array(vec![text(&format!("nats://nats.example:{port}"))]);
    Table::from([("servers".into(), servers), ("subject".into(), text("events.{event}"))])
}

/// The same without JetStream.
pub(crate) fn core(port: u16) -> Table {
    let mut table = table(port);
    table.insert("jetstream".into(), Value::Boolean(false));
    table
}

/// A sink, and what it was built with.
pub(crate) struct Rig {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) connector: Arc<Loopback>,
    pub(crate) host: Arc<TestHost>,
}

impl Rig {
    pub(crate) async fn of(table: &Table) -> Self {
        Self::over(table, Loopback::default()).await
    }

    pub(crate) async fn over(table: &Table, connector: Loopback) -> Self {
        let (connector, host) = (Arc::new(connector), TestHost::new());
        let context = HostContext { connector: connector.clone(), ..context(Arc::clone(&host) as Arc<_>) };
        let plan = NatsSinkFactory::new().check(table).expect("settings that are right");
        Self { sink: plan.build(&context).await.expect("a sink"), connector, host }
    }

    /// What comes of one delivery: whether it was made, and why not.
    pub(crate) async fn deliver(&self, id: &str) -> Result<String, String> {
        let outcome = self.sink.deliver(&postrider_sink::testkit::delivery(id)).await;
        match outcome.verdict {
            postrider_sink::Verdict::Delivered => Ok(outcome.reason.into_owned()),
            verdict => Err(format!("{verdict:?}: {}", outcome.reason)),
        }
    }
}

/// Makes a stream that takes `events.>`.
pub(crate) async fn stream(server: &NatsServer, options: async_nats::ConnectOptions) -> stream::Stream {
    let client = options.connect(server.url()).await.expect("a connection");
    let config = stream::Config {
        name: "EVENTS".into(),
        subjects: vec!["events.>".into()],
        max_message_size: 300 * 1024,
        ..stream::Config::default()
    };
    jetstream::new(client).create_stream(config).await.expect("a stream")
}

/// The ids of what is in a stream, in order.
pub(crate) async fn ids(stream: &stream::Stream) -> Vec<String> {
    let state = stream.get_info().await.expect("its state").state;
    let mut ids = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.expect("a message");
        ids.push(message.headers.get("webhook-id").expect("an id").to_string());
    }
    ids
}
