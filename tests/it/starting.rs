//! The time until a daemon is ready: what it answers meanwhile, that it can be ended, and what it starts with.

use crate::support::{Client, TlsPair, tls_exchange, until};
use bytes::Bytes;
use http::Method;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that was told to start. It does not outlive this value.
struct Starting {
    folder: TempDir,
    admin: SocketAddr,
    child: Child,
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Starting {
    /// One with these keys in `[admin]`, run by these words in front of its own command line. Where `held`, its start
    /// waits in the midst of opening the spool until somebody writes to a pipe.
    fn new(keys: &str, held: bool, by: &[&str]) -> Self {
        let folder = TempDir::with_prefix("postrider-test-").expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let root = format!(
            "[ingress]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"{free}\"\n{keys}\n[spool]\npath = \"data\"\n"
        );
        fs::write(at("postrider.toml"), root).expect("written");
        for name in ["endpoints", "data"] {
            fs::create_dir(at(name)).expect("a folder");
        }
        if held {
            mkfifoat(CWD, at("data/FORMAT"), Mode::RUSR | Mode::WUSR).expect("a pipe");
        }
        let words = [by, &[env!("CARGO_BIN_EXE_postrider"), "run", "-c"][..]].concat();
        let (program, arguments) = words.split_first().expect("a program");
        let child = Command::new(program)
            .args(arguments)
            .arg(at("postrider.toml"))
            .arg("--ready-file")
            .arg(at("ready.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("stderr")).expect("a file"))
            .spawn()
            .expect("it starts");
        Self { folder, admin: free, child }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Until it listens.
    async fn listens(&self) {
        until(PATIENCE, "it listens", async || TcpStream::connect(self.admin).is_ok()).await;
    }

    /// Until it says itself that it is ready.
    async fn is_ready(&self) {
        until(PATIENCE, "it is ready", async || self.at("ready.json").exists()).await;
    }

    /// Lets a start that is held go on.
    async fn go_on(&self) {
        let pipe = self.at("data/FORMAT");
        let write = || rustix::fs::open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
        // Whether somebody reads shows in that it can be opened; that nothing is written is a spool that is new.
        until(PATIENCE, "it opens its spool", async || write().is_ok()).await;
    }
}

#[tokio::test]
async fn a_daemon_that_is_starting_says_so_at_once_and_answers_the_rest_once_it_is_ready() {
    let starting = Starting::new("", true, &[]);
    starting.listens().await;
    let mut client = Client::new(starting.admin);
    let answer = client.get("/-/healthy").await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
    let answer = client.get("/-/ready").await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (503, json!({ "status": "unready", "reason": "starting" })));
    for path in ["/", "/metrics", "/api/v1/status"] {
        let answer = client.get(path).await.expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
    }
    assert!(!starting.at("ready.json").exists());
    starting.go_on().await;
    starting.is_ready().await;
    // On the connection that was made before.
    let answer = client.get("/-/ready").await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
    let metrics = client.get("/metrics").await.expect("an answer");
    assert!(metrics.text().contains("postrider_build_info"), "{}", metrics.text());
}

#[tokio::test]
async fn a_daemon_that_is_starting_says_so_over_tls_where_its_listener_has_it() {
    let (folder, pair) = (TempDir::new().expect("a folder"), TlsPair::new());
    fs::write(folder.path().join("chain.pem"), &pair.cert).expect("written");
    fs::write(folder.path().join("key.pem"), &pair.key).expect("written");
    let at = folder.path().display();
    let keys = format!("tls = {{ cert = \"{at}/chain.pem\", key = \"{at}/key.pem\" }}");
    let starting = Starting::new(&keys, true, &[]);
    starting.listens().await;
    let ask = "GET /-/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let asked = tokio::time::timeout(PATIENCE, tls_exchange(starting.admin, &pair, ask));
    let answer = asked.await.expect("at once").expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("starting"), "{answer}");
    starting.go_on().await;
    starting.is_ready().await;
    let answer = tls_exchange(starting.admin, &pair, ask).await.expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_signal_ends_a_start_that_takes_long() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut starting = Starting::new("", true, &[]);
        starting.listens().await;
        let pid = i32::try_from(starting.child.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(pid, signal).expect("told");
        let mut ended = None;
        until(Duration::from_secs(10), "it has ended", async || {
            ended = starting.child.try_wait().expect("its state");
            ended.is_some()
        })
        .await;
        let said = fs::read_to_string(starting.at("stderr")).expect("readable");
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
        assert!(said.contains("stopped while starting"), "{said}");
    }
}

#[tokio::test]
async fn what_is_read_later_is_what_it_started_with_however_few_descriptors_it_was_given() {
    // The hard limit stays what it is, and the daemon goes up to that.
    let starting = Starting::new("", false, &["sh", "-c", "ulimit -S -n 256 && exec \"$@\"", "sh"]);
    starting.is_ready().await;
    let mut client = Client::new(starting.admin);
    let answer = client.request(Method::POST, "/-/reload", &[], Bytes::new()).await.expect("an answer");
    let report = answer.json();
    assert_eq!((&report["result"], &report["generation"]), (&json!("unchanged"), &json!(1)), "{report}");
}
