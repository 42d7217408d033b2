use super::kit::{TestConnector, Way, settings};
use crate::HttpSinkFactory;
use postrider_sink::testkit::{Behaviour, Subject, conform, context};
use postrider_sink::{Host, HostContext, Table, async_trait};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const GONE: &[u8] = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";

/// A receiver on loopback, made anew for every way to behave.
#[derive(Default)]
struct Receiver {
    address: Mutex<Option<SocketAddr>>,
    arrived: Arc<Mutex<Vec<String>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// The event of the next request; none when the connection ends.
async fn request(from: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("webhook-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    from.read_exact(&mut vec![0; length]).await.ok()?;
    Some(id)
}

async fn serve(stream: TcpStream, behaviour: Behaviour, arrived: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let id = request(&mut stream).await?;
        arrived.lock().unwrap().push(id.clone());
        let answer: &[u8] = match behaviour {
            Behaviour::Slow if id == "evt_first" => std::future::pending().await,
            Behaviour::Crashes if id == "evt_first" => return None,
            Behaviour::Garbage if id == "evt_first" => b"delivered it!\n\n",
            Behaviour::Gone => GONE,
            _ => OK,
        };
        stream.write_all(answer).await.ok()?;
    }
}

#[async_trait]
impl Subject for Receiver {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        // HTTP has no word for a rejection of one event, and a second answer breaks the connection.
        if matches!(behaviour, Behaviour::Rejects | Behaviour::Duplicates) {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *self.address.lock().unwrap() = listener.local_addr().ok();
        self.arrived.lock().unwrap().clear();
        let arrived = Arc::clone(&self.arrived);
        self.tasks.lock().unwrap().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, behaviour, Arc::clone(&arrived)));
            }
        });
        Some(settings("http://hooks.example/in?key=1"))
    }

    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        let address = self.address.lock().unwrap().expect("it listens");
        HostContext { connector: Arc::new(TestConnector::new(Way::Tcp(address))), ..context(host) }
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        Some(self.arrived.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn the_sink_conforms() {
    let report = conform(&HttpSinkFactory::new(), &Receiver::default()).await;
    report.assert();
    assert_eq!(report.made(), 8, "{report}");
}
