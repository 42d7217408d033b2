use crate::WasmSinkFactory;
use postrider_sink::testkit::{TestHost, context, delivery};
use postrider_sink::{
    ConnectError, ConnectErrorKind, Connection, Connector, HostContext, Outcome, SettingsFile, Sink,
    SinkFactory as _, Table, Trail, Value, async_trait,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The folder of the components, built where they are not there.
pub(super) fn components() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/build");
        let built = Command::new(script).output().expect("it runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        PathBuf::from(String::from_utf8(built.stdout).expect("a path").trim_end())
    })
}

pub(super) fn file(path: &Path) -> Value {
    let content = std::fs::read(path).expect("a component");
    Value::File(SettingsFile::new("sink.wasm".into(), content.into()))
}

pub(super) fn behave() -> Value {
    static FILE: OnceLock<Value> = OnceLock::new();
    FILE.get_or_init(|| file(&components().join("behave.wasm"))).clone()
}

pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// `[wasm]` with a component that does this.
pub(super) fn doing(way: &str, more: &[(&str, Value)]) -> Table {
    let mut settings =
        Table::from([("do".into(), text(way)), ("url".into(), text("http://hooks.example/in"))]);
    settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Table::from([
        ("file".into(), behave()),
        ("hosts".into(), Value::Array(vec![text("hooks.example")])),
        ("settings".into(), Value::Table(settings)),
    ])
}

/// One factory, so that each component is compiled once.
pub(super) fn factory() -> &'static WasmSinkFactory {
    static FACTORY: OnceLock<WasmSinkFactory> = OnceLock::new();
    FACTORY.get_or_init(WasmSinkFactory::new)
}

/// A sink of these settings, with what a test changes of its context.
pub(super) async fn sink(settings: &Table, change: impl FnOnce(&mut HostContext)) -> Arc<dyn Sink> {
    let mut context = context(TestHost::new());
    change(&mut context);
    let plan = factory().check(settings).unwrap_or_else(|errors| panic!("{errors:?}"));
    plan.build(&context).await.expect("it starts")
}

/// What becomes of one event with a component that does this, within a second.
pub(super) async fn outcome(way: &str) -> Outcome {
    let sink = sink(&doing(way, &[]), |context| context.timeout = Duration::from_secs(1)).await;
    sink.deliver(&delivery("evt_1")).await
}

/// Connects to one address whatever the name, or refuses as the guard does.
pub(super) enum Way {
    To(SocketAddr),
    Blocked,
}

#[async_trait]
impl Connector for Way {
    async fn connect(&self, host: &str, _port: u16, _trail: &Trail) -> Result<Connection, ConnectError> {
        let error = |kind, message: String| ConnectError { kind, message };
        match self {
            Self::To(address) => match TcpStream::connect(address).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(failed) => Err(error(ConnectErrorKind::Connect, failed.to_string())),
            },
            Self::Blocked => {
                Err(error(ConnectErrorKind::Blocked, format!("{host} has the private address 10.0.0.1")))
            }
        }
    }

    fn policy_epoch(&self) -> u64 {
        0
    }
}

/// An HTTP receiver that answers every request the same way.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    arrived: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    /// It ends with this.
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::<Mutex<Vec<String>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (mut tasks, ids, count) = (JoinSet::new(), Arc::clone(&arrived), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                serving.spawn(serve(stream, answer, Arc::clone(&ids)));
            }
        });
        Self { address, arrived, connections, _tasks: tasks }
    }

    /// How many were made.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// `webhook-id` of what arrived.
    pub(super) fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, answer: &'static str, arrived: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end().split_once(": ") {
                Some(("webhook-id", value)) => id = value.to_owned(),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        arrived.lock().unwrap().push(id);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
