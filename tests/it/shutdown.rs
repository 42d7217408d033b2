//! SIGTERM: the daemon ends by itself, in time, and loses nothing.

use crate::support::{Client, EndpointFile, Load, Scale, Way, daemon, until};
use postrider_checker::verify::Subscription;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn sigterm_under_load_ends_with_success_and_loses_and_repeats_nothing() {
    let scale = Scale::of(5, 100);
    let load = Load::new(&[Subscription::all("acme")]);
    let mut daemon = daemon()
        .config("[shutdown]\ngrace = \"10s\"")
        .endpoint("acme", |e| {
            e.url(load.url("acme"));
        })
        .start()
        .await;
    load.receiver.set_delay("acme", Duration::from_millis(20));
    let publisher = load.publish(daemon.ready_file(), |options| options.connections = 16);
    for cycle in 0..scale.count {
        load.accept(&publisher, scale.draw(cycle, 50, 500), Duration::from_secs(60)).await;
        let status = daemon.term(Duration::from_secs(15)).await;
        assert_eq!(status.code(), Some(0), "{status}");
        daemon.start().await;
    }
    load.receiver.set_delay("acme", Duration::ZERO);
    let summary = load.end(publisher, Duration::from_secs(60)).await;
    let report = load.report(Duration::from_secs(60)).await;
    // A request that crosses the closing of an idle connection stays without an answer: HTTP/1.1 has no cure.
    scale.report(
        "shutdown",
        &json!({ "published": summary, "unknown": report.unknown, "lost": report.lost() }),
    );
    report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test]
async fn an_attempt_that_does_not_end_delays_the_end_by_the_grace_at_most() {
    let load = Load::new(&[Subscription::all("acme")]);
    load.receiver.set_delay("acme", Duration::from_secs(3600));
    let mut daemon = daemon()
        .config("[shutdown]\ngrace = \"1s\"")
        .endpoint("acme", |e| {
            e.url(load.url("acme")).key("timeout = \"1h\"");
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| options.events = Some(40));
    load.finish(publisher, Duration::from_secs(30)).await;
    let status = daemon.term(Duration::from_secs(8)).await;
    assert_eq!(status.code(), Some(0), "{status}");

    load.receiver.set_delay("acme", Duration::ZERO);
    daemon.start().await;
    let report = load.report(Duration::from_secs(30)).await;
    report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
}

/// A daemon whose sink writes to a pipe that nobody reads, stuck in that write.
async fn stuck() -> (tempfile::TempDir, std::process::Child) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("endpoints")).expect("a folder");
    let root = "[ingress]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[shutdown]\ngrace = \"1s\"\n";
    fs::write(at("postrider.toml"), root).expect("written");
    let endpoint = "events = \"all\"\nproducts = \"all\"\ntimeout = \"1h\"\n[file]\npath = \"-\"\n";
    fs::write(at("endpoints/pipe.toml"), endpoint).expect("written");
    let daemon = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["run", "-c"])
        .arg(at("postrider.toml"))
        .arg("--ready-file")
        .arg(at("ready.json"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until(Duration::from_secs(30), "it is ready", async || at("ready.json").exists()).await;
    let ready: serde_json::Value =
        serde_json::from_slice(&fs::read(at("ready.json")).expect("readable")).expect("JSON");
    let address = |name: &str| ready[name].as_str().expect("an address").parse().expect("an address");
    // More than a pipe holds.
    let details = "x".repeat(200_000);
    let event = format!(
        r#"{{"event":"sent","product":"crm","data":{{"message_id":"m","status":"s","details":{{"x":"{details}"}}}}}}"#
    );
    assert_eq!(Client::new(address("ingress")).post(event).await.expect("an answer").status, 202);
    let mut admin = Client::new(address("admin"));
    until(Duration::from_secs(30), "its attempt is under way", async || {
        let metrics = admin.get("/metrics").await.expect("an answer").text();
        metrics.contains("postrider_attempts_in_flight{endpoint=\"pipe\"} 1")
    })
    .await;
    (folder, daemon)
}

#[tokio::test]
async fn a_write_that_never_ends_keeps_neither_the_first_signal_nor_the_second_from_ending_it() {
    for signals in [1, 2] {
        let (_folder, mut daemon) = stuck().await;
        let pid = Pid::from_raw(i32::try_from(daemon.id()).expect("an id")).expect("an id");
        for _ in 0..signals {
            kill_process(pid, Signal::TERM).expect("told");
        }
        let start = Instant::now();
        let ended = loop {
            match daemon.try_wait().expect("its state") {
                Some(status) => break Some(status),
                None if start.elapsed() > Duration::from_secs(10) => break None,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let _ = daemon.kill();
        let _ = daemon.wait();
        assert!(ended.is_some(), "still running 10 s after {signals} signals");
    }
}

#[tokio::test]
async fn a_reload_that_hangs_keeps_no_signal_from_being_heard() {
    let url = "http://127.0.0.1:9999/";
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(url);
        })
        .start()
        .await;
    // A reload keeps a copy of each file that is good: the next one hangs at that, as nobody reads the pipe.
    let kept = daemon.dir().join("data/last-good");
    until(Duration::from_secs(30), "the first round is over", async || kept.join("acme.toml").exists()).await;
    let before = daemon.status().await["generation"].clone();
    mkfifoat(CWD, kept.join(".acme.new"), Mode::RUSR | Mode::WUSR).expect("a pipe");
    let mut file = EndpointFile::new("acme");
    file.url(url).key("concurrency = 2");
    daemon.files.write(Way::Rename, "acme", &file.text());
    let pid = Pid::from_raw(daemon.pid()).expect("an id");
    kill_process(pid, Signal::HUP).expect("told");
    // It is published before it is kept.
    until(Duration::from_secs(30), "the reload is under way", async || {
        daemon.status().await["generation"] != before
    })
    .await;
    let status = daemon.term(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{status}");
}
