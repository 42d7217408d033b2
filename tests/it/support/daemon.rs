use super::client::{Answer, Client};
use super::files::{EndpointFile, Writer};
use super::metrics::Metrics;
use super::until;
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a daemon may take until it is ready; a damaged or a huge spool included.
const START: Duration = Duration::from_secs(30);
/// How long a test waits for what it expects to see.
const SEE: Duration = Duration::from_secs(30);

/// A daemon about to be started.
pub(crate) struct Setup {
    config: String,
    endpoints: Vec<EndpointFile>,
    more: More,
    texts: Vec<(String, String)>,
}

/// What the process gets beside its files.
#[derive(Debug, Default)]
struct More {
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// A shell command that becomes the daemon with `exec "$@"`.
    shell: Option<String>,
    /// Makes the spool's folder before the first start.
    prepare: Option<fn(&Path)>,
}

/// A daemon on loopback with a folder of its own, allowed to reach receivers on loopback.
pub(crate) fn daemon() -> Setup {
    Setup { config: String::new(), endpoints: Vec::new(), texts: Vec::new(), more: More::default() }
}

impl Setup {
    pub(crate) fn endpoint(mut self, name: &str, fill: impl FnOnce(&mut EndpointFile)) -> Self {
        let mut file = EndpointFile::new(name);
        fill(&mut file);
        self.endpoints.push(file);
        self
    }

    /// An endpoint file with this text.
    pub(crate) fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.texts.push((name.to_owned(), text.into()));
        self
    }

    /// Tables of the daemon's file, beside `[admin]` and `[network]`. `[ingress]` goes on where it has been opened:
    /// start with its keys, if any.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// An argument of the command line, after those of every daemon.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.more.args.push(arg.to_owned());
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.more.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Something done to the daemon's folder before its first start.
    pub(crate) fn prepared(mut self, prepare: fn(&Path)) -> Self {
        self.more.prepare = Some(prepare);
        self
    }

    /// A shell command, run in a mount namespace of its own and in the daemon's folder, before the daemon is.
    pub(crate) fn in_namespace(mut self, command: &str) -> Self {
        self.more.shell = Some(format!("{command} && exec \"$@\""));
        self
    }

    pub(crate) async fn start(self) -> Daemon {
        let dir = TempDir::with_prefix("postrider-test-").expect("a folder");
        let endpoints = dir.path().join("endpoints");
        fs::create_dir(&endpoints).expect("a folder");
        let config = format!(
            "version = 1\n[network]\nallow = [\"127.0.0.0/8\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [ingress]\nlisten = \"127.0.0.1:0\"\n{}",
            self.config
        );
        fs::write(dir.path().join("postrider.toml"), config).expect("written");
        for file in &self.endpoints {
            fs::write(endpoints.join(format!("{}.toml", file.name())), file.text()).expect("written");
        }
        for (name, text) in &self.texts {
            fs::write(endpoints.join(format!("{name}.toml")), text).expect("written");
        }
        if let Some(prepare) = self.more.prepare {
            prepare(dir.path());
        }
        let mut daemon = Daemon { files: Writer::new(&endpoints), dir, running: None, more: self.more };
        daemon.start().await;
        daemon
    }
}

/// The daemon of this build, or what `POSTRIDER_BINARY` names: a build with a defence taken out must fail these tests.
fn binary() -> PathBuf {
    std::env::var_os("POSTRIDER_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_postrider")), PathBuf::from)
}

#[derive(Debug, Clone, Deserialize)]
struct Ready {
    ingress: SocketAddr,
    admin: SocketAddr,
    pid: i32,
}

struct Running {
    child: Child,
    ready: Ready,
    client: Client,
    admin: Client,
}

/// A daemon, running or not. It does not outlive this value.
pub(crate) struct Daemon {
    dir: TempDir,
    running: Option<Running>,
    more: More,
    /// Writes endpoint files.
    pub(crate) files: Writer,
}

impl Daemon {
    /// Starts it on the files it has.
    pub(crate) async fn start(&mut self) {
        assert!(self.running.is_none(), "it is running");
        let ready_file = self.ready_file();
        let _ = fs::remove_file(&ready_file);
        let mut command = match &self.more.shell {
            None => Command::new(binary()),
            Some(shell) => {
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "sh", "-c", shell.as_str(), "sh"])
                    .arg(binary());
                command.current_dir(self.dir.path());
                command
            }
        };
        let mut child = command
            .args(["run", "-c"])
            .arg(self.dir.path().join("postrider.toml"))
            .arg("--ready-file")
            .arg(&ready_file)
            .args(&self.more.args)
            .envs(self.more.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(self.output("stdout"))
            .stderr(self.output("stderr"))
            .spawn()
            .expect("the daemon starts");
        let start = Instant::now();
        let ready: Ready = loop {
            if let Ok(text) = fs::read(&ready_file) {
                break serde_json::from_slice(&text).expect("the ready file is JSON");
            }
            let ended = child.try_wait().expect("its state");
            if ended.is_some() || start.elapsed() > START {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the daemon is not ready ({ended:?}):\n{}", self.stderr());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let (client, admin) = (Client::new(ready.ingress), Client::new(ready.admin));
        self.running = Some(Running { child, ready, client, admin });
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill9(&mut self) {
        let mut running = self.running.take().expect("it is running");
        running.child.kill().expect("killed");
        running.child.wait().expect("gone");
    }

    /// SIGTERM, and waits until it has ended by itself.
    pub(crate) async fn term(&mut self, deadline: Duration) -> ExitStatus {
        let mut running = self.running.take().expect("it is running");
        let pid = Pid::from_raw(running.ready.pid).expect("a process id");
        kill_process(pid, Signal::TERM).expect("told");
        let start = Instant::now();
        loop {
            if let Some(status) = running.child.try_wait().expect("its state") {
                return status;
            }
            if start.elapsed() > deadline {
                let _ = running.child.kill();
                let _ = running.child.wait();
                panic!("still running {deadline:?} after SIGTERM:\n{}", self.stderr());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL, and another start.
    pub(crate) async fn restart(&mut self) {
        self.kill9();
        self.start().await;
    }

    /// Posts an event, or an array of them, on a connection that is kept.
    pub(crate) async fn post(&mut self, body: impl Into<Bytes>) -> Answer {
        self.running().client.post(body).await.expect("an answer")
    }

    pub(crate) async fn metrics(&mut self) -> Metrics {
        let answer = self.running().admin.get("/metrics").await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// What `/api/v1/status` says of an endpoint.
    pub(crate) async fn endpoint_status(&mut self, name: &str) -> serde_json::Value {
        let status = self.running().admin.get("/api/v1/status").await.expect("an answer").json();
        let all = status["endpoints"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|endpoint| endpoint["name"] == name).unwrap_or_default()
    }

    /// Looks at the metrics until they are so.
    pub(crate) async fn wait_until(&mut self, what: &str, so: impl Fn(&Metrics) -> bool) {
        until(SEE, what, async || so(&self.metrics().await)).await;
    }

    /// Asks the admin listener; a body is JSON.
    pub(crate) async fn admin(&mut self, method: http::Method, path: &str, body: &str) -> Answer {
        let headers = if body.is_empty() { &[][..] } else { &[("content-type", "application/json")][..] };
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.running().admin.request(method, path, headers, body).await.expect("an answer")
    }

    /// Runs a command against the admin listener: its exit code, and what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String) {
        let admin = self.running.as_ref().expect("it is running").ready.admin;
        let output = Command::new(binary())
            .args(arguments)
            .args(["--admin", &format!("http://{admin}")])
            .stdin(Stdio::null())
            .output()
            .expect("it ran");
        (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command on its files, whether it runs or not: exit code, stdout, stderr.
    pub(crate) fn offline(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(binary())
            .args(arguments)
            .arg("-c")
            .arg(self.dir.path().join("postrider.toml"))
            .stdin(Stdio::null())
            .output()
            .expect("it ran");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("a code"), text(&output.stdout), text(&output.stderr))
    }

    /// Has it read its files again, and returns what came of it.
    pub(crate) async fn reload(&mut self) -> Answer {
        self.ask("/-/reload", "").await
    }

    /// How it says it is.
    pub(crate) async fn status(&mut self) -> serde_json::Value {
        let answer = self.running().admin.get("/api/v1/status").await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Posts to its admin listener.
    pub(crate) async fn ask(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("content-type", "application/json")];
        self.running()
            .admin
            .request(http::Method::POST, path, &headers, body.into())
            .await
            .expect("an answer")
    }

    /// What `/-/ready` answers.
    pub(crate) async fn ready(&mut self) -> u16 {
        self.running().admin.get("/-/ready").await.expect("an answer").status
    }

    pub(crate) fn ingress(&self) -> SocketAddr {
        self.running.as_ref().expect("it is running").ready.ingress
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.running.as_ref().expect("it is running").ready.admin
    }

    /// Asks the admin listener.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.running().admin.get(path).await.expect("an answer")
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }

    /// The memory it holds, in MiB.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    /// The processor time it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("its times");
        let after = stat.rsplit(')').next().expect("a name in brackets");
        let ticks = |at: usize| after.split_whitespace().nth(at).and_then(|n| n.parse::<u64>().ok());
        // Fields 14 and 15 of proc(5), in hundredths of a second.
        Duration::from_millis((ticks(11).expect("utime") + ticks(12).expect("stime")) * 10)
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        let of = |name| fs::read(self.dir.path().join(name)).unwrap_or_default();
        [of("stdout"), of("stderr")].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.running.as_ref().expect("it is running").ready.pid
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.dir.path().join("ready.json")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The most memory it has held, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, key: &str) -> u64 {
        self.kernel_status(key).trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// A line of `/proc/PID/status`.
    pub(crate) fn kernel_status(&self, key: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("in its status");
        line.trim().to_owned()
    }

    /// The end of what it said.
    pub(crate) fn stderr(&self) -> String {
        let text = fs::read(self.dir.path().join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it is running")
    }

    fn output(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.dir.path().join(name)).expect("a file")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the daemon said at last:\n{}", self.stderr());
        }
    }
}
