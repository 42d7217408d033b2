//! Components behind `[wasm]`, in the daemon: the ones of `tests/wasm`.

use crate::isolation::{median, p99};
use crate::programs::{Neighbour, Shape, beside};
use crate::support::{Load, Receiver, Scale, daemon, until};
use postrider_checker::verify::Subscription;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

const EVENT: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

/// What a component does, and what a person sees of it.
const MISBEHAVING: [(&str, &str, &str); 5] = [
    ("hangs", "hang", "the component was still at work after"),
    ("throws", "throw", "no such table"),
    ("hoards", "allocate", "it wanted more than 64 MiB of memory"),
    ("recurses", "recurse", "the component was stopped"),
    ("babbles", "nonsense", "the component was stopped"),
];

/// The same for what it is refused.
const REFUSED: [(&str, &str, &str); 4] = [
    ("files", "files", "wasi:filesystem/preopens get-directories was refused: a component has no files"),
    ("environment", "environment", "a component has no environment"),
    ("sockets", "sockets", "wasi:sockets/instance-network instance-network was refused"),
    ("undeclared", "undeclared", "elsewhere.example:443 is not among the declared hosts"),
];

/// The folder of the components, built where they are not there.
fn components() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wasm/build");
        let built = Command::new(script).output().expect("it runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        PathBuf::from(String::from_utf8(built.stdout).expect("a path").trim_end())
    })
}

/// An endpoint whose component does this; `more` are settings besides.
fn endpoint(file: &Path, way: &str, url: &str, more: &str) -> String {
    let host = url.split('/').nth(2).expect("a host");
    format!(
        "events = \"all\"\nproducts = \"all\"\ntimeout = \"1s\"\n[wasm]\nfile = {file:?}\nhosts = [{host:?}]\n\
         settings = {{ do = {way:?}, url = {url:?}{more} }}\n"
    )
}

fn behaving(way: &str) -> String {
    endpoint(&components().join("behave.wasm"), way, "http://hooks.example/in", "")
}

#[tokio::test]
async fn components_that_misbehave_or_are_refused_say_why_and_their_neighbours_deliver() {
    let receiver = Receiver::start().await;
    let behave = components().join("behave.wasm");
    let mut setup = daemon()
        .endpoint("healthy", |e| {
            e.url(receiver.url("/healthy"));
        })
        .file("component", endpoint(&behave, "send", &receiver.url("/component"), ""))
        .file("private", endpoint(&behave, "send", "http://10.0.0.1/in", ""));
    for (name, way, _) in MISBEHAVING.iter().chain(&REFUSED) {
        setup = setup.file(name, behaving(way));
    }
    let mut daemon = setup.start().await;
    for _ in 0..20 {
        assert_eq!(daemon.post(EVENT).await.status, 202);
    }
    receiver.wait_for("/healthy", 20).await;
    receiver.wait_for("/component", 20).await;
    for (name, _, wanted) in MISBEHAVING.iter().chain(&REFUSED) {
        let mut seen = Value::Null;
        until(Duration::from_secs(60), &format!("{name} says {wanted}"), async || {
            seen = daemon.endpoint_status(name).await;
            seen["last_error"].as_str().is_some_and(|error| error.contains(wanted))
        })
        .await;
        assert!(seen["ready"].as_u64().unwrap_or(0) + seen["parked"].as_u64().unwrap_or(0) > 0, "{seen}");
    }
    until(Duration::from_secs(20), "the private address holds its endpoint", async || {
        let seen = daemon.endpoint_status("private").await;
        seen["state"] == "blocked"
            && seen["last_error"].as_str().is_some_and(|error| error.contains("10.0.0.1"))
    })
    .await;
    let metrics = daemon.metrics().await;
    let up = |plugin: &str| metrics.sum("postrider_plugin_up", &[("plugin", plugin)]);
    assert!(up("wasm:component") > 0.5 && up("wasm:throws") < 0.5, "{metrics:?}");
    assert!(daemon.peak_mib() < 1024, "{} MiB", daemon.peak_mib());
    assert!(daemon.term(Duration::from_secs(40)).await.success());
}

/// A component with another content that does the same: one more section of its own, which nothing reads.
fn version(component: &[u8], number: u64) -> Vec<u8> {
    let name = format!("version-{number:03}");
    let length = u8::try_from(name.len()).expect("short");
    [component, &[0, length + 1, length], name.as_bytes()].concat()
}

fn swap(path: &Path, content: &[u8]) {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, content).expect("written");
    fs::rename(unfinished, path).expect("renamed");
}

/// Under load its file is replaced again and again, by good ones and by one that does not load.
#[tokio::test]
async fn a_component_is_swapped_under_load_and_nothing_is_lost_or_reordered() {
    let scale = Scale::of(3, 20);
    let load = Load::new(&[Subscription::all("swapped")]);
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("sink.wasm");
    let component = fs::read(components().join("behave.wasm")).expect("a component");
    fs::write(&path, &component).expect("written");
    let proof = postrider_checker::authorization("swapped");
    let file = endpoint(&path, "send", &load.url("swapped"), &format!(", authorization = {proof:?}"));
    let mut daemon = daemon().file("swapped", file).start().await;
    let publisher = load.publish(daemon.ready_file(), |options| options.rate = Some(300.0));
    for turn in 1..=scale.count {
        load.accept(&publisher, 100, Duration::from_secs(30)).await;
        let before = reloads(&daemon.metrics().await);
        if turn % 3 == 0 {
            swap(&path, b"not a component");
            daemon
                .wait_until("the bad one is reported", |m| {
                    m.sum("postrider_config_invalid_files", &[]) == 1.0
                })
                .await;
            let delivered = load.receiver.count_of("swapped");
            until(Duration::from_secs(30), "the last good one delivers", async || {
                load.receiver.count_of("swapped") > delivered + 50
            })
            .await;
            let told = daemon.reload().await;
            assert!(told.status == 422 && told.text().contains("it is not WebAssembly"), "{}", told.text());
        }
        swap(&path, &version(&component, turn));
        daemon.wait_until("the new one is in force", |metrics| reloads(metrics) > before).await;
        daemon.wait_until("all is well", |m| m.sum("postrider_config_invalid_files", &[]) == 0.0).await;
    }
    let summary = load.end(publisher, Duration::from_secs(30)).await;
    let report = load.report(Duration::from_secs(60)).await;
    scale.report("wasm-swap", &json!({ "swaps": scale.count, "published": summary, "lost": report.lost() }));
    report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(report.refused, 0, "a swap refuses nothing");
    assert!(daemon.said().contains("swapped changed"), "{}", daemon.said());
}

fn reloads(metrics: &crate::support::Metrics) -> f64 {
    metrics.sum("postrider_config_reloads_total", &[("result", "applied")])
}

/// The long form: pairs of runs in turn, beside components that work and that misbehave.
#[tokio::test]
async fn components_that_misbehave_do_not_delay_a_healthy_endpoint() {
    let scale = Scale::of(4, 10);
    let (healthy, rate, pairs) = if scale.long { (20, 150.0, 7) } else { (3, 100.0, 1) };
    let shape = Shape { healthy, rate, seconds: scale.count };
    let neighbours = |misbehave: bool| {
        let one = |(name, way, wanted): (&'static str, &str, &'static str)| Neighbour {
            name,
            file: behaving(if misbehave { way } else { "transform" }),
            wanted: misbehave.then_some(wanted),
        };
        MISBEHAVING.map(one).to_vec()
    };
    let (mut found, mut memory) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let (first, held_first) = beside(shape, &neighbours(pair % 2 == 1)).await;
        let (second, held_second) = beside(shape, &neighbours(pair % 2 == 0)).await;
        let of = if pair % 2 == 0 { (p99(&first), p99(&second)) } else { (p99(&second), p99(&first)) };
        found.push(of);
        memory.push(held_first.max(held_second));
    }
    let ratio = median(found.iter().map(|(working, misbehaving)| misbehaving / working).collect());
    let peak = memory.iter().copied().max().unwrap_or_default();
    scale
        .report("wasm-isolation", &json!({ "p99_us_pairs": found, "median_ratio": ratio, "peak_mib": peak }));
    assert!(peak < 1024, "{peak} MiB");
    if scale.long {
        assert!(ratio <= 1.1, "{ratio:.2} times the p99 beside components that work: {found:?}");
    } else {
        let holds = found.iter().all(|(working, misbehaving)| *misbehaving <= working * 3.0 + 100_000.0);
        assert!(holds, "p99 beside components that work and that misbehave: {found:?} us");
    }
}

/// From the ingress through the spool to a component that only transforms. The long form wants 10,000 a second.
#[tokio::test]
async fn a_component_keeps_up_with_the_ingress() {
    let scale = Scale::of(2, 10);
    let rate = if scale.long { 10_500.0 } else { 300.0 };
    let load = Load::new(&[]);
    let mut daemon = daemon().file("component", behaving("transform")).start().await;
    let started = Instant::now();
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 128;
        options.rate = Some(rate);
        options.time = Some(Duration::from_secs(scale.count));
    });
    let summary = load.finish(publisher, Duration::from_secs(scale.count + 60)).await;
    let of = [("endpoint", "component"), ("result", "delivered")];
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let accepted = summary.accepted as f64;
    daemon
        .wait_until("everything is delivered", |metrics| {
            metrics.sum("postrider_deliveries_finished_total", &of) >= accepted
        })
        .await;
    let per_second = accepted / started.elapsed().as_secs_f64();
    scale.report("wasm-speed", &json!({ "published": summary, "delivered_per_second": per_second }));
    assert!(!scale.long || per_second >= 10_000.0, "{per_second:.0} a second");
}
