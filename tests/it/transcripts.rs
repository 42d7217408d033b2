//! From `plugins new` to a delivered event: every command of `docs/sinks.md`, as it stands there, in every language.

use crate::readme::blocks;
use crate::support::Scale;
use serde_json::json;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How long an event may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// What the manual promises.
const MINUTE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The block of the manual with these words in it: its commands.
fn commands(with: &str) -> Vec<String> {
    let manual = fs::read_to_string(root().join("docs/sinks.md")).expect("a manual");
    let blocks = blocks(&manual, "console");
    let found: Vec<&String> = blocks.iter().filter(|block| block.contains(with)).collect();
    assert_eq!(found.len(), 1, "one block of docs/sinks.md has {with:?}");
    found[0].lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// A shell in a folder of its own, for which the daemon's ports are free ones.
struct Shell {
    folder: TempDir,
    ingress: String,
    admin: String,
    /// Where crates are built.
    target: Option<PathBuf>,
    /// What was left running.
    running: Vec<Child>,
}

impl Drop for Shell {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Shell {
    fn new() -> Self {
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").to_string();
        let (ingress, admin) = (free(), free());
        Self { folder: TempDir::new().expect("a folder"), ingress, admin, target: None, running: Vec::new() }
    }

    fn command(&self, line: &str) -> Command {
        let binaries = Path::new(env!("CARGO_BIN_EXE_postrider")).parent().expect("a folder");
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a path"));
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(self.folder.path()).env("PATH", path).stdin(Stdio::null());
        shell.env("POSTRIDER_INGRESS", format!("http://{}", self.ingress));
        shell.env("POSTRIDER_ADMIN", format!("http://{}", self.admin));
        if let Some(target) = &self.target {
            shell.env("CARGO_TARGET_DIR", target);
        }
        shell
    }

    /// Runs a line as it stands in the manual, but for the ports; `&` at its end leaves it running.
    fn run(&mut self, line: &str) {
        let listens = format!(
            "printf 'version = 1\\n[ingress]\\nlisten = \"{}\"\\n[admin]\\nlisten = \"{}\"\\n",
            self.ingress, self.admin
        );
        let line = line.replace("printf 'version = 1\\n", &listens);
        if let Some(line) = line.strip_suffix(" &") {
            // As the shell's own child it would outlive the test.
            self.running.push(self.command(&format!("exec {line}")).spawn().expect("it runs"));
            let listens = match line.split_once(" listen --port ") {
                Some((_, rest)) => format!("127.0.0.1:{}", rest.split(' ').next().unwrap_or_default()),
                None => self.ingress.clone(),
            };
            wait("it listens", || TcpStream::connect(&listens).is_ok());
        } else if line.starts_with("cat ") {
            let mut text = String::new();
            wait("the event is delivered", || {
                let output = self.command(&line).output().expect("it runs");
                text = String::from_utf8_lossy(&output.stdout).replace(": ", ":");
                text.lines().any(is_delivered)
            });
        } else {
            let output = self.command(&line).output().expect("it runs");
            assert!(output.status.success(), "{line}: {output:?}");
        }
    }
}

/// Whether a line tells of the event that was sent. Those that `plugins test` makes up have short ids.
fn is_delivered(line: &str) -> bool {
    let id =
        line.split_once("evt_").map(|(_, rest)| rest.chars().take_while(char::is_ascii_hexdigit).count());
    id == Some(32) && line.contains("delivered")
}

fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < ARRIVAL, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn from_nothing_to_a_delivered_event(lang: &str) {
    let made = commands(&format!("plugins new audit --lang {lang}"));
    let used = commands("cat audit/events.jsonl");
    assert!(made.len() == 2 && used.len() == 9, "{made:?} {used:?}");
    let mut shell = Shell::new();
    let started = Instant::now();
    made.iter().chain(&used).for_each(|line| shell.run(line));
    let took = started.elapsed();
    println!("{lang}: {took:.1?} from plugins new to a delivered event");
    assert!(took < MINUTE, "{took:?}");
}

#[test]
fn a_program_in_python_delivers_within_a_minute() {
    from_nothing_to_a_delivered_event("python");
}

#[test]
fn a_program_in_javascript_delivers_within_a_minute() {
    from_nothing_to_a_delivered_event("node");
}

#[test]
fn a_program_for_the_shell_delivers_within_a_minute() {
    from_nothing_to_a_delivered_event("sh");
}

/// A folder for crates that stays, so that their dependencies are compiled once.
fn kept_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-rust")
}

/// Every command of the manual, in a new folder: how long they took.
fn rust() -> Duration {
    let mut shell = Shell::new();
    shell.target = Some(kept_target());
    let binary = kept_target().join("debug/shout").display().to_string();
    let started = Instant::now();
    for line in commands("plugins new shout --lang rust") {
        let line = line.replace("CHECKOUT", &root().display().to_string());
        shell.run(&line.replace("shout/target/debug/shout", &binary));
    }
    started.elapsed()
}

/// Compiles all that Postrider is made of, the first time: `tests/long rust`.
#[test]
fn a_sink_in_rust_delivers_within_three_minutes_where_its_dependencies_are_compiled() {
    let scale = Scale::of(0, 1);
    let made = commands("plugins new shout --lang rust");
    let mut shell = Shell::new();
    shell.run(&made[0].replace("CHECKOUT", &root().display().to_string()));
    let lock = fs::read(shell.folder.path().join("shout/Cargo.lock")).expect("the versions that were tested");
    assert_eq!(lock, fs::read(root().join("Cargo.lock")).expect("the versions that were tested"));
    if scale.count == 0 {
        println!("SKIPPED: compiles for minutes (tests/long rust)");
        return;
    }
    let (first, second) = (rust(), rust());
    scale.report("rust", &json!({ "first_s": first.as_secs(), "warm_s": second.as_secs() }));
    assert!(second < 3 * MINUTE, "{second:?}, the first time {first:?}");
}

/// The first build fetches what builds components.
#[cfg(feature = "wasm")]
#[test]
fn a_component_delivers_within_three_minutes() {
    let mut shell = Shell::new();
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port().to_string();
    let started = Instant::now();
    for line in commands("plugins new audit --lang wasm") {
        let line = line.replace("postrider listen", &format!("postrider listen --port {port}"));
        shell.run(&line);
        if line.starts_with("postrider plugins new") {
            let file = shell.folder.path().join("audit/endpoint.toml");
            let text = fs::read_to_string(&file).expect("a file");
            fs::write(file, text.replace("9900", &port)).expect("written");
        }
    }
    let took = started.elapsed();
    println!("wasm: {took:.1?} from plugins new to a delivered event");
    assert!(took < 3 * MINUTE, "{took:?}");
}

#[test]
fn the_example_knows_its_own_sink() {
    let program = Path::new(env!("CARGO_BIN_EXE_postrider")).with_file_name("examples").join("custom_sink");
    let output = Command::new(program).args(["plugins", "list"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("shout"), "{output:?}");
}
