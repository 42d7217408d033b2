//! A real `nats-server` on a port of its own.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(20);

/// A server with JetStream, its streams in a folder of its own. It does not outlive this value.
pub(crate) struct NatsServer {
    pub(crate) folder: TempDir,
    pub(crate) child: Option<Child>,
    pub(crate) port: u16,
}

impl NatsServer {
    /// One with this in its configuration, beside JetStream.
    pub(crate) fn start(config: &str) -> Self {
        let folder = TempDir::with_prefix("postrider-nats-").expect("a folder");
        let store = folder.path().join("store");
        let text = format!("host: \"127.0.0.1\"\njetstream {{ store_dir: {store:?} }}\n{config}\n");
        fs::write(folder.path().join("server.conf"), text).expect("written");
        let mut server = Self { folder, child: None, port: 0 };
        server.run();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// Starts it again, on the port and the streams that it had.
    pub(crate) fn run(&mut self) {
        let folder = self.folder.path();
        let port = if self.port == 0 { String::from("-1") } else { self.port.to_string() };
        let log = fs::File::create(folder.join("log")).expect("a file");
        let child = Command::new("nats-server")
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .args(["-c", "server.conf", "-p", &port, "--ports_file_dir", "."])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server runs: tests/run installs it");
        let ports = folder.join(format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        let started = now();
        while !self.listens(&ports) {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(now().duration_since(started) < START, "nats-server does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn listens(&mut self, ports: &Path) -> bool {
        let text = fs::read_to_string(ports).unwrap_or_default();
        // {"nats":["nats://127.0.0.1:4222"]}
        let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
        let Some(port) = port else { return false };
        self.port = port;
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for another process")]
fn now() -> Instant {
    Instant::now()
}
