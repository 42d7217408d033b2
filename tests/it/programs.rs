//! Programs behind `[exec]`: how fast the example is, and what those that misbehave cost everybody else.

use crate::isolation::{median, p99};
use crate::support::{Daemon, Load, Receiver, Scale, Way, daemon, until};
use postrider_checker::verify::{Findings, Subscription};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

const EVENT: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

/// What a program that works does with an event.
const OK: &str = r#"say('{"n":'+n+',"result":"ok"}')"#;

/// What others do, and what a person sees of it.
const MISBEHAVING: [(&str, &str, &str); 6] = [
    ("hangs", "time.sleep(600)", "no answer"),
    ("floods", "sys.stdout.write('x\\n'*9999999)", "it flooded its standard output"),
    ("exits", "print('the disk is gone',file=sys.stderr,flush=True);os._exit(3)", "exit 3, the disk is gone"),
    ("half", "sys.stdout.write('{\"n\":'+n);sys.stdout.flush();os._exit(0)", "exit 0"),
    ("unknown", "say('{\"n\":9999999999,\"result\":\"ok\"}')", "no answer"),
    ("hoards", "x=[bytearray(1<<20) for _ in range(1<<20)]", "MemoryError"),
];

/// The interpreter itself: what `PATH` has may be a script that starts dozens of processes until it finds it.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        String::from_utf8(asked.expect("python3").stdout).expect("a path").trim().to_owned()
    })
}

/// A program that does `script`, in Python, for every event in `line`; `say` answers.
fn exec(script: &str) -> String {
    let program = format!(
        "import sys,os,time\nsay=lambda text:print(text,flush=True)\nsys.stdin.readline()\nsay('{{\"postrider\":1}}')\n\
         for line in sys.stdin:\n n=line[5:].split(',')[0]\n {script}\n"
    );
    let program = serde_json::Value::from(program);
    let python = python();
    format!(
        "events = \"all\"\nproducts = \"all\"\ntimeout = \"1s\"\n[exec]\ncommand = [{python:?}, \"-c\", {program}]\nmemory = \"128 MiB\"\n"
    )
}

#[tokio::test]
async fn programs_that_misbehave_say_why_and_their_neighbours_deliver() {
    let receiver = Receiver::start().await;
    let mut setup = daemon()
        .endpoint("healthy", |e| {
            e.url(receiver.url("/healthy"));
        })
        .file("program", exec(OK))
        .file(
            "missing",
            "events = \"all\"\nproducts = \"all\"\n[exec]\ncommand = [\"sh\", \"-c\", \"exec no-such-python\"]\n",
        );
    for (name, script, _) in MISBEHAVING {
        setup = setup.file(name, exec(script));
    }
    let mut daemon = setup.start().await;
    for _ in 0..20 {
        assert_eq!(daemon.post(EVENT).await.status, 202);
    }
    receiver.wait_for("/healthy", 20).await;
    daemon
        .wait_until("the program has everything", |metrics| {
            let of = [("endpoint", "program"), ("result", "delivered")];
            metrics.sum("postrider_deliveries_finished_total", &of) >= 20.0
        })
        .await;
    for (name, _, wanted) in MISBEHAVING {
        let mut seen = Value::Null;
        until(Duration::from_secs(20), &format!("{name} says {wanted}"), async || {
            seen = daemon.endpoint_status(name).await;
            seen["last_error"].as_str().is_some_and(|error| error.contains(wanted))
        })
        .await;
        assert!(seen["ready"].as_u64().unwrap_or(0) + seen["parked"].as_u64().unwrap_or(0) > 0, "{seen}");
    }
    until(Duration::from_secs(20), "the missing program is told", async || {
        let seen = daemon.endpoint_status("missing").await;
        let error = seen["last_error"].as_str().unwrap_or_default();
        seen["state"] == "invalid"
            && error.starts_with("crashed 3 times, last: exit 127,")
            && error.contains("no-such-python")
    })
    .await;
    let metrics = daemon.metrics().await;
    let up = |plugin: &str| metrics.sum("postrider_plugin_up", &[("plugin", plugin)]);
    assert!(up("exec:program") > 0.5 && up("exec:missing") < 0.5, "{metrics:?}");
    assert!(daemon.term(Duration::from_secs(40)).await.success());
}

/// The process that a program has written into a file in the daemon's folder.
async fn process(daemon: &Daemon, file: &str) -> i32 {
    let file = daemon.dir().join(file);
    let mut pid = None;
    until(Duration::from_secs(20), "the program runs", async || {
        pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    pid.expect("a process id")
}

async fn delivered(daemon: &mut Daemon, count: f64) {
    let of = [("endpoint", "program"), ("result", "delivered")];
    daemon
        .wait_until("the program has them", |metrics| {
            metrics.sum("postrider_deliveries_finished_total", &of) >= count
        })
        .await;
}

async fn change(daemon: &mut Daemon, text: &str) {
    daemon.files.write(Way::Rename, "program", text);
    let answer = daemon.reload().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_program_that_is_being_started_ends_when_its_file_names_another() {
    let never_ready = "events = \"all\"\nproducts = \"all\"\n[exec]\ncommand = [\"sh\", \"-c\", \"echo $$ > started; exec sleep 60\"]\n";
    let mut daemon = daemon().file("program", never_ready).start().await;
    assert_eq!(daemon.post(EVENT).await.status, 202);
    let pid = process(&daemon, "started").await;
    change(&mut daemon, &exec(OK)).await;
    delivered(&mut daemon, 1.0).await;
    // Nobody waits until it would have had to be ready.
    until(Duration::from_secs(5), "the one before is gone", async || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
            || !Path::new(&format!("/proc/{pid}")).exists()
    })
    .await;
    let metrics = daemon.metrics().await;
    assert!(metrics.sum("postrider_plugin_up", &[("plugin", "exec:program")]) > 0.5, "{metrics:?}");
}

#[tokio::test]
async fn a_program_of_before_that_crashes_says_nothing_about_the_one_of_now() {
    let hangs = exec("open('held','w').write(str(os.getpid()));time.sleep(600)");
    let retry = "retry = { schedule = [\"100ms\", \"1s\"], jitter = 0.0 }\n";
    let before = format!("{retry}{}", hangs.replace("timeout = \"1s\"", "timeout = \"60s\""));
    let mut daemon = daemon().file("program", before).start().await;
    assert_eq!(daemon.post(EVENT).await.status, 202);
    let pid = process(&daemon, "held").await;
    change(&mut daemon, &format!("{retry}{}", exec(OK))).await;
    assert_eq!(daemon.post(EVENT.replace("\"m\"", "\"n\"")).await.status, 202);
    delivered(&mut daemon, 1.0).await;
    // Until now it had an attempt to end.
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("killed");
    delivered(&mut daemon, 2.0).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.sum("postrider_plugin_up", &[("plugin", "exec:program")]) > 0.5, "{metrics:?}");
}

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// HTTP endpoints that answer at once.
    pub(crate) healthy: usize,
    /// Events per second.
    pub(crate) rate: f64,
    pub(crate) seconds: u64,
}

/// What the healthy ones have beside them.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    pub(crate) name: &'static str,
    /// Its endpoint's file.
    pub(crate) file: String,
    /// What a person sees of it in the end; none: it works.
    pub(crate) wanted: Option<&'static str>,
}

/// A program of each kind, or as many that work.
fn neighbours(misbehave: bool) -> Vec<Neighbour> {
    let one = |(name, script, wanted): (&'static str, &str, &'static str)| Neighbour {
        name,
        file: exec(if misbehave { script } else { OK }),
        wanted: misbehave.then_some(wanted),
    };
    MISBEHAVING.map(one).to_vec()
}

/// The healthy endpoints' figures beside these neighbours, and the memory the daemon held.
pub(crate) async fn beside(shape: Shape, neighbours: &[Neighbour]) -> (Vec<Findings>, u64) {
    let healthy: Vec<String> = (0..shape.healthy).map(|number| format!("healthy-{number:02}")).collect();
    let subscriptions: Vec<Subscription> = healthy.iter().map(|name| Subscription::all(name)).collect();
    let load = Load::new(&subscriptions);
    let mut setup = daemon();
    for name in &healthy {
        setup = setup.endpoint(name, |e| {
            e.url(load.url(name));
        });
    }
    for neighbour in neighbours {
        setup = setup.file(neighbour.name, neighbour.file.clone());
    }
    let mut daemon = setup.start().await;
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 32;
        options.rate = Some(shape.rate);
        options.time = Some(Duration::from_secs(shape.seconds));
    });
    let summary = load.finish(publisher, Duration::from_secs(shape.seconds + 60)).await;
    assert_eq!(summary.refused, 0, "a neighbour makes the ingress refuse nothing");
    until(Duration::from_secs(30), "the healthy endpoints have everything", async || {
        healthy.iter().all(|name| load.receiver.count_of(name) >= summary.accepted)
    })
    .await;
    for Neighbour { name, wanted, .. } in neighbours {
        let Some(wanted) = wanted else { continue };
        let mut seen = Value::Null;
        until(Duration::from_secs(20), &format!("{name} is held, for a reason: {wanted}"), async || {
            seen = daemon.endpoint_status(name).await;
            let held = seen["state"].as_str().is_some_and(|state| ["open", "waiting"].contains(&state));
            held && seen["last_error"].as_str().is_some_and(|error| error.contains(wanted))
        })
        .await;
        // None was delivered and none given up: what waits is all there is.
        let waiting = ["ready", "parked", "in_flight"].map(|key| seen[key].as_u64().unwrap_or(0));
        assert_eq!(waiting.iter().sum::<u64>(), summary.accepted, "{seen}");
    }
    let mut report = load.report(Duration::ZERO).await;
    let figures: Vec<Findings> =
        healthy.iter().map(|name| report.endpoints.remove(name).expect("its figures")).collect();
    for found in &figures {
        let wrong = (found.lost, found.duplicated, found.disordered, found.corrupt);
        assert_eq!(wrong, (0, 0, 0, 0), "{found:?}");
    }
    (figures, daemon.peak_mib())
}

/// The long form: 20 healthy endpoints, pairs of runs in turn.
#[tokio::test]
async fn programs_that_misbehave_do_not_delay_a_healthy_endpoint() {
    let scale = Scale::of(4, 10);
    let (healthy, rate, pairs) = if scale.long { (20, 150.0, 7) } else { (3, 100.0, 1) };
    let shape = Shape { healthy, rate, seconds: scale.count };
    let (mut found, mut memory) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Whoever goes first meets a colder machine: take turns.
        let (first, held_first) = beside(shape, &neighbours(pair % 2 == 1)).await;
        let (second, held_second) = beside(shape, &neighbours(pair % 2 == 0)).await;
        let of = if pair % 2 == 0 { (p99(&first), p99(&second)) } else { (p99(&second), p99(&first)) };
        found.push(of);
        memory.push(held_first.max(held_second));
    }
    let ratio = median(found.iter().map(|(working, misbehaving)| misbehaving / working).collect());
    let peak = memory.iter().copied().max().unwrap_or_default();
    scale.report("programs", &json!({ "p99_us_pairs": found, "median_ratio": ratio, "peak_mib": peak }));
    assert!(peak < 256, "{peak} MiB");
    if scale.long {
        assert!(ratio <= 1.1, "{ratio:.2} times the p99 beside programs that work: {found:?}");
    } else {
        let holds = found.iter().all(|(working, misbehaving)| *misbehaving <= working * 3.0 + 100_000.0);
        assert!(holds, "p99 beside programs that work and that misbehave: {found:?} us");
    }
}

/// Acknowledged events a second, from the ingress through the spool to the example in Python and back: the long form
/// wants 5,000 of them.
#[tokio::test]
async fn the_example_in_python_keeps_up_with_the_ingress() {
    let scale = Scale::of(2, 10);
    let rate = if scale.long { 6000.0 } else { 300.0 };
    let load = Load::new(&[]);
    let out = tempfile::TempDir::new().expect("a folder");
    let lines = out.path().join("events.jsonl");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sinks");
    let text = format!(
        "events = \"all\"\nproducts = \"all\"\n[exec]\ncommand = [\"python3\", \"print.py\"]\ndir = {folder:?}\n\
         settings = {{ path = {lines:?} }}\n"
    );
    let mut daemon = daemon().file("program", text).start().await;
    let started = Instant::now();
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 128;
        options.rate = Some(rate);
        options.time = Some(Duration::from_secs(scale.count));
    });
    let summary = load.finish(publisher, Duration::from_secs(scale.count + 60)).await;
    let of = [("endpoint", "program"), ("result", "delivered")];
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let accepted = summary.accepted as f64;
    daemon
        .wait_until("everything is delivered", |metrics| {
            metrics.sum("postrider_deliveries_finished_total", &of) >= accepted
        })
        .await;
    let per_second = accepted / started.elapsed().as_secs_f64();
    let text = fs::read_to_string(&lines).expect("what it wrote");
    let ids: BTreeSet<&str> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
    scale.report("exec", &json!({ "published": summary, "acknowledged_per_second": per_second }));
    assert_eq!((ids.len() as u64, text.lines().count() as u64), (summary.accepted, summary.accepted));
    assert!(!scale.long || per_second >= 5000.0, "{per_second:.0} a second");
}
