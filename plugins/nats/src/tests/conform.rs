use super::kit::{Loopback, ids, stream, table};
use super::server::NatsServer;
use crate::NatsSinkFactory;
use async_nats::{ConnectOptions, jetstream};
use postrider_sink::testkit::{Behaviour, Subject, conform, context};
use postrider_sink::{Host, HostContext, Table, async_trait};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A real server, behind somebody who spoils what is said on the way.
struct Spoiled {
    server: NatsServer,
    tasks: Mutex<JoinSet<()>>,
}

/// Passes on what the client says, but for the event that is to be spoiled.
async fn to_server(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    behaviour: Behaviour,
    spoil: Arc<AtomicBool>,
) -> Option<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        let said = chunk.get(..length)?;
        let first = said.windows(9).any(|window| window == b"evt_first");
        let until = match behaviour {
            Behaviour::Takes | Behaviour::Duplicates => length,
            _ if !first => length,
            // What is before the event itself is passed on, a subscription for its answer.
            Behaviour::Slow => said.windows(5).position(|window| window == b"HPUB ")?,
            Behaviour::Garbage => {
                spoil.store(true, Ordering::SeqCst);
                length
            }
            _ => return None,
        };
        to.write_all(said.get(..until)?).await.ok()?;
    }
}

/// Passes on what the server says, or nonsense.
async fn to_client(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, spoil: Arc<AtomicBool>) -> Option<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        if spoil.swap(false, Ordering::SeqCst) {
            to.write_all(b"delivered it!\r\n\r\n").await.ok()?;
        }
        to.write_all(chunk.get(..length)?).await.ok()?;
    }
}

async fn between(client: TcpStream, port: u16, behaviour: Behaviour) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_client, to), (from_server, back)) = (client.into_split(), server.into_split());
    let spoil = Arc::new(AtomicBool::new(false));
    tokio::select! {
        _ = to_server(from_client, back, behaviour, Arc::clone(&spoil)) => {}
        _ = to_client(from_server, to, spoil) => {}
    }
}

#[async_trait]
impl Subject for Spoiled {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        // A stream neither rejects an event for good nor goes away for good, and says everything once.
        if matches!(behaviour, Behaviour::Rejects | Behaviour::Gone | Behaviour::Duplicates) {
            return None;
        }
        // A stream remembers the ids that it has seen, even of what was removed: a new one.
        let client = async_nats::connect(self.server.url()).await.expect("a connection");
        let _ = jetstream::new(client).delete_stream("EVENTS").await;
        stream(&self.server, ConnectOptions::new()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (port, behind) = (listener.local_addr().expect("its port").port(), self.server.port);
        self.tasks.lock().expect("no panic").spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(between(client, behind, behaviour));
            }
        });
        let mut table = table(port);
        table.insert("subject".into(), super::kit::text("events.{product}.{event}"));
        Some(table)
    }

    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        HostContext { connector: Arc::new(Loopback::default()), ..context(host) }
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        Some(ids(&stream(&self.server, ConnectOptions::new()).await).await)
    }
}

#[tokio::test]
async fn the_sink_conforms() {
    let server = NatsServer::start("");
    let subject = Spoiled { server, tasks: Mutex::default() };
    let report = conform(&NatsSinkFactory::new(), &subject).await;
    report.assert();
    assert_eq!(report.made(), 7, "{report}");
}
