//! The address guard in the whole daemon.

use crate::support::{Receiver, Scale, daemon, until};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const EVENT: &str = r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent"}}"#;

/// Rewrites `[network]` of a daemon's file.
fn allow(folder: &std::path::Path, line: &str) {
    let path = folder.join("postrider.toml");
    let text = fs::read_to_string(&path).expect("readable");
    let from = text.find("[network]\n").expect("there") + "[network]\n".len();
    let to = from + text[from..].find("[admin]").expect("after it");
    fs::write(&path, format!("{}{line}\n{}", &text[..from], &text[to..])).expect("written");
}

#[tokio::test]
async fn a_blocked_endpoint_says_which_line_would_allow_it_and_goes_on_once_it_is_there() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("retry = { schedule = [] }");
        })
        .endpoint("other", |e| {
            e.url(receiver.url("/other")).products(&["campaigns"]);
        })
        .start()
        .await;
    allow(daemon.dir(), "allow = []");
    let reloaded = |m: &crate::support::Metrics| m.sum("postrider_config_reloads_total", &[]);
    let before = reloaded(&daemon.metrics().await);
    daemon.wait_until("the policy is in force", |m| reloaded(m) > before).await;
    let state = |m: &crate::support::Metrics, state: &str| {
        m.sum("postrider_endpoint_state", &[("endpoint", "acme"), ("state", state)]) > 0.0
    };
    assert_eq!(daemon.post(EVENT).await.status, 202);
    assert_eq!(daemon.post(EVENT).await.status, 202);
    daemon.wait_until("it is blocked", |m| state(m, "blocked")).await;
    let said = daemon.stderr();
    let wanted =
        "127.0.0.1 is a loopback address; to allow it: network.allow = [\"127.0.0.0/8\"] in postrider.toml";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(receiver.requests("/acme").len(), 0);
    let metrics = daemon.metrics().await;
    assert_eq!(metrics.sum("postrider_attempts_total", &[("endpoint", "acme")]).to_bits(), 0);
    assert_eq!(metrics.sum("postrider_dead_letters", &[("endpoint", "acme")]).to_bits(), 0);

    // For this endpoint alone.
    allow(daemon.dir(), "[[network.exception]]\nendpoint = \"acme\"\ncidr = \"127.0.0.1\"");
    receiver.wait_for("/acme", 2).await;
    let campaign = EVENT.replace("crm", "campaigns");
    assert_eq!(daemon.post(campaign).await.status, 202);
    receiver.wait_for("/acme", 3).await;
    daemon
        .wait_until("the other one is blocked", |m| {
            m.sum("postrider_endpoint_state", &[("endpoint", "other"), ("state", "blocked")]) > 0.0
        })
        .await;
    assert_eq!(receiver.requests("/other").len(), 0);

    // Taken away again: the connection that is kept is not used any more.
    allow(daemon.dir(), "allow = []");
    let before = reloaded(&daemon.metrics().await);
    daemon.wait_until("the policy is in force", |m| reloaded(m) > before).await;
    assert_eq!(daemon.post(EVENT).await.status, 202);
    daemon.wait_until("it is blocked again", |m| state(m, "blocked")).await;
    assert_eq!(receiver.requests("/acme").len(), 3);
}

/// What is refused always, and what only until it is allowed; all of them addresses of the namespace's own machine.
const NEVER: [&str; 7] = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
];
const PRIVATE: [&str; 14] = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.1",
    "[::1]",
    "[fd12::1]",
    "[2001:db8::1]",
    "[fec0::1]",
];
const INSIDE: &str = "POSTRIDER_INSIDE_A_NAMESPACE";

#[tokio::test]
async fn in_a_network_of_its_own_nothing_forbidden_is_reached_although_it_is_there() {
    let scale = Scale::of(0, 1);
    if std::env::var_os(INSIDE).is_some() {
        return inside(scale).await;
    }
    if scale.count == 0 || !rustix::process::geteuid().is_root() {
        println!("SKIPPED: needs root and POSTRIDER_LONG=1 (tests/long netns)");
        return;
    }
    let test = "guard::in_a_network_of_its_own_nothing_forbidden_is_reached_although_it_is_there";
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .status()
        .expect("unshare runs");
    assert!(status.success());
}

fn run(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().expect("sh runs");
    assert!(status.success(), "{command}");
}

async fn inside(scale: Scale) {
    run("ip link set lo up");
    for address in PRIVATE.iter().chain(&NEVER).filter(|it| !["127.0.0.1", "127.9.9.9", "[::1]"].contains(it))
    {
        let bare = address.trim_matches(['[', ']']);
        let (length, more) = if address.starts_with('[') { (128, " nodad") } else { (32, "") };
        run(&format!("ip addr add {bare}/{length} dev lo{more}"));
    }
    // Names too, one of them with a good address first.
    let hosts = tempfile::NamedTempFile::new().expect("a file");
    fs::write(hosts.path(), "10.0.0.1 private.example\n8.8.8.8 mixed.example\n10.0.0.1 mixed.example\n169.254.169.254 metadata.example\n")
        .expect("written");
    run(&format!("mount --bind {} /etc/hosts", hosts.path().display()));

    let hits: Arc<AtomicUsize> = Arc::default();
    let mut canaries = JoinSet::new();
    let mut ports = Vec::new();
    for address in PRIVATE.iter().chain(&NEVER) {
        let listener = TcpListener::bind(format!("{address}:0").parse::<SocketAddr>().expect("an address"));
        let listener = listener.await.unwrap_or_else(|error| panic!("{address}: {error}"));
        ports.push((*address, listener.local_addr().expect("bound").port()));
        let hits = Arc::clone(&hits);
        canaries.spawn(async move {
            while listener.accept().await.is_ok() {
                hits.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let port = |address: &str| ports.iter().find(|(at, _)| *at == address).expect("listening").1;
    let mut urls: Vec<String> =
        ports.iter().map(|(address, port)| format!("http://{address}:{port}/")).collect();
    for (name, address) in [("private", "10.0.0.1"), ("mixed", "10.0.0.1"), ("metadata", "169.254.169.254")] {
        urls.push(format!("http://{name}.example:{}/", port(address)));
    }
    urls.push(format!("http://[::ffff:a00:1]:{}/", port("10.0.0.1")));
    urls.push(format!("http://0xa000001:{}/", port("10.0.0.1")));

    let mut setup = daemon();
    for (nth, url) in urls.iter().enumerate() {
        setup = setup.endpoint(&format!("e{nth}"), |e| {
            e.url(url).no_breaker().key("timeout = \"2s\"").key("connect_timeout = \"1s\"");
        });
    }
    let mut daemon = setup.start().await;
    // The daemon of these tests may reach loopback; what it reached so far was nothing, for there was no event.
    allow(daemon.dir(), "allow = []");
    let reloads = |m: &crate::support::Metrics| m.sum("postrider_config_reloads_total", &[]);
    let before = reloads(&daemon.metrics().await);
    daemon.wait_until("nothing is allowed", |m| reloads(m) > before).await;
    assert_eq!(daemon.post(EVENT).await.json()["deliveries"], urls.len());
    let blocked = |m: &crate::support::Metrics| m.sum("postrider_endpoint_state", &[("state", "blocked")]);
    let all: Value = json!(urls.len());
    daemon.wait_until("all are blocked", |m| Some(blocked(m)) == all.as_f64()).await;
    assert_eq!(hits.load(Ordering::SeqCst), 0, "nothing forbidden was reached");

    // The same listeners are there to be reached, once that is allowed; but for those that never are.
    allow(daemon.dir(), "allow = [\"0.0.0.0/0\", \"::/0\"]");
    let never: Value = json!(NEVER.len() + 1);
    until(Duration::from_secs(30), "what is allowed was reached", async || {
        hits.load(Ordering::SeqCst) >= PRIVATE.len()
            && Some(blocked(&daemon.metrics().await)) == never.as_f64()
    })
    .await;
    scale
        .report("netns", &json!({ "urls": urls.len(), "never": NEVER.len() + 1, "hits_while_forbidden": 0 }));
}
