//! What is owed to a subscriber in corners that are rarely met, and whether the books about it balance.

use crate::support::{Daemon, EndpointFile, Metrics, Receiver, Reply, Way, daemon};
use std::fmt::Write as _;
use std::fs;

fn event(message: &str) -> String {
    format!(
        r#"{{"event":"sent","product":"crm","data":{{"message_id":"{message}","status":"sent","details":{{}}}}}}"#
    )
}

fn event_of(account: &str, message: &str) -> String {
    event(message).replacen('{', &format!(r#"{{"account":"{account}","#), 1)
}

fn finished(m: &Metrics, endpoint: &str, result: &str) -> f64 {
    m.sum("postrider_deliveries_finished_total", &[("endpoint", endpoint), ("result", result)])
}

fn is(m: &Metrics, endpoint: &str, state: &str) -> bool {
    m.sum("postrider_endpoint_state", &[("endpoint", endpoint), ("state", state)]) > 0.5
}

/// Everything that was created has ended or waits.
fn balance(m: &Metrics, endpoint: &str) -> bool {
    let of = |name| m.sum(name, &[("endpoint", endpoint)]);
    let (created, ended) =
        (of("postrider_deliveries_created_total"), of("postrider_deliveries_finished_total"));
    (created - ended - of("postrider_deliveries_pending")).abs() < 0.5
}

async fn post(daemon: &mut Daemon, messages: &[&str]) {
    for message in messages {
        daemon.post(event(message)).await.id();
    }
}

#[tokio::test]
async fn a_probe_that_fails_because_of_its_event_spends_no_attempt() {
    let receiver = Receiver::start().await;
    let (down, unfit) = ([Reply::status(500), Reply::status(500)], [Reply::status(422), Reply::status(422)]);
    receiver.script("/acme", down.into_iter().chain(unfit).chain([Reply::status(422), Reply::status(200)]));
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["60s"]).key("ordering = \"none\"").key("concurrency = 1");
            e.key("breaker = { failures = 2, open = \"300ms\", probes = 3 }");
        })
        .start()
        .await;
    post(&mut daemon, &["first", "second"]).await;
    daemon
        .wait_until("three probes have closed the breaker", |m| {
            m.sum("postrider_breaker_transitions_total", &[("endpoint", "acme"), ("to", "closed")]) > 0.5
        })
        .await;
    let requests = receiver.wait_for("/acme", 5).await;
    let probes: Vec<(&str, bool)> = requests[2..5]
        .iter()
        .map(|request| (request.header("postrider-attempt"), request.text().contains("first")))
        .collect();
    assert_eq!(probes, [("2", true); 3], "the oldest is the probe, and stays at its second attempt");
    let metrics = daemon.metrics().await;
    assert!(finished(&metrics, "acme", "exhausted") < 0.5, "its schedule of two attempts is not over");
    let parked = [("endpoint", "acme"), ("state", "parked")];
    assert!((metrics.sum("postrider_deliveries_pending", &parked) - 2.0).abs() < 0.5);
}

#[tokio::test]
async fn what_is_held_grows_too_old_but_not_while_a_person_has_paused_it() {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::status(410)]);
    receiver.script("/waiting", [Reply::with(503, "retry-after", "60")]);
    receiver.script("/open", [Reply::status(500)]);
    let mut setup = daemon();
    for name in ["gone", "waiting", "open", "paused"] {
        setup = setup.endpoint(name, |e| {
            e.url(receiver.url(&format!("/{name}")));
            e.key("retry = { schedule = [\"20ms\", \"60s\"], jitter = 0.0, max_age = \"1s\" }");
            e.key("breaker = { failures = 2, open = \"60s\" }");
            if name == "paused" {
                e.key("state = \"paused\"");
            }
        });
    }
    let mut daemon = setup.start().await;
    post(&mut daemon, &["first"]).await;
    daemon
        .wait_until("they are held", |m| ["gone", "waiting", "open", "paused"].iter().all(|n| is(m, n, n)))
        .await;
    post(&mut daemon, &["second", "third"]).await;
    daemon
        .wait_until("what is held has expired", |m| {
            [("gone", 2.0), ("waiting", 3.0), ("open", 3.0)]
                .iter()
                .all(|(name, count)| finished(m, name, "expired") > count - 0.5 && balance(m, name))
        })
        .await;
    assert!(finished(&daemon.metrics().await, "paused", "expired") < 0.5);
    let mut resumed = EndpointFile::new("paused");
    resumed.url(receiver.url("/paused"));
    resumed.key("retry = { schedule = [\"20ms\", \"60s\"], jitter = 0.0, max_age = \"1s\" }");
    daemon.files.write(Way::Rename, "paused", &resumed.text());
    daemon.wait_until("what was paused is delivered", |m| finished(m, "paused", "delivered") > 2.5).await;
    assert!(finished(&daemon.metrics().await, "paused", "expired") < 0.5);
}

#[tokio::test]
async fn two_endpoints_of_one_name_share_their_series_and_the_books_balance() {
    let receiver = Receiver::start().await;
    let file = |account: &str, state: &str| {
        let mut file = EndpointFile::new("acme");
        file.url(receiver.url(&format!("/{account}"))).key(&format!("account = \"{account}\""));
        file.key(&format!("state = \"{state}\"")).text()
    };
    let mut daemon =
        daemon().config("[reload]\nremoved_grace = \"2s\"").file("acme", file("one", "paused")).start().await;
    for message in ["a", "b"] {
        daemon.post(event_of("one", message)).await.id();
    }
    daemon.files.write(Way::Rename, "acme", &file("two", "active"));
    assert_eq!(daemon.reload().await.status, 200);
    daemon.post(event_of("two", "c")).await.id();
    receiver.wait_for("/two", 1).await;
    daemon
        .wait_until("both are seen", |m| {
            let ready = m.sum("postrider_deliveries_pending", &[("endpoint", "acme"), ("state", "ready")]);
            (ready - 2.0).abs() < 0.5 && finished(m, "acme", "delivered") > 0.5 && balance(m, "acme")
        })
        .await;
    let metrics = daemon.metrics().await;
    assert!(is(&metrics, "acme", "active"), "what is there now says how it is");
    assert!((metrics.sum("postrider_endpoint_state", &[("endpoint", "acme")]) - 1.0).abs() < 0.5);
    daemon
        .wait_until("the grace of the first is over", |m| {
            finished(m, "acme", "endpoint_removed") > 1.5 && balance(m, "acme") && is(m, "acme", "active")
        })
        .await;
    assert!(receiver.requests("/one").is_empty());
}

#[tokio::test]
async fn a_rejected_file_without_a_version_to_run_shows_as_an_invalid_endpoint() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon().file("acme", "state = \"actve\"\n").start().await;
    let metrics = daemon.metrics().await;
    assert!(is(&metrics, "acme", "invalid"));
    assert!((metrics.sum("postrider_endpoint_state", &[("endpoint", "acme")]) - 1.0).abs() < 0.5);
    let mut good = EndpointFile::new("acme");
    good.url(receiver.url("/acme"));
    daemon.files.write(Way::Rename, "acme", &good.text());
    assert_eq!(daemon.reload().await.status, 200);
    let metrics = daemon.metrics().await;
    assert!(is(&metrics, "acme", "active") && !is(&metrics, "acme", "invalid"));
    daemon.files.write(Way::Rename, "other", "state = 1\n");
    assert_eq!(daemon.reload().await.status, 422);
    assert!(is(&daemon.metrics().await, "other", "invalid"));
    fs::remove_file(daemon.dir().join("endpoints/other.toml")).expect("deleted");
    assert_eq!(daemon.reload().await.status, 200);
    assert!(!daemon.get("/metrics").await.text().contains("\"other\""), "its series go with it");
}

#[tokio::test]
async fn whoever_was_gone_is_so_no_longer_when_its_file_names_another_destination() {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::status(410)]);
    let file = |path: &str| {
        let mut file = EndpointFile::new("acme");
        file.url(receiver.url(path)).text()
    };
    let mut daemon = daemon().file("acme", file("/gone")).start().await;
    post(&mut daemon, &["first"]).await;
    daemon.wait_until("it is gone", |m| is(m, "acme", "gone") && balance(m, "acme")).await;
    // It is gone after a start, too, and has nothing to do.
    daemon.term(std::time::Duration::from_secs(30)).await;
    daemon.start().await;
    assert_eq!(daemon.endpoint_status("acme").await["state"], "gone");
    daemon.files.write(Way::Rename, "acme", &file("/moved"));
    assert_eq!(daemon.reload().await.status, 200);
    assert_eq!(daemon.endpoint_status("acme").await["state"], "active");
    assert!(is(&daemon.metrics().await, "acme", "active"));
    daemon.files.write(Way::Rename, "acme", &file("/gone"));
    assert_eq!(daemon.reload().await.status, 200);
    post(&mut daemon, &["second"]).await;
    daemon.wait_until("it is gone again", |m| is(m, "acme", "gone") && balance(m, "acme")).await;
    // Or if it was changed while the daemon was down.
    daemon.term(std::time::Duration::from_secs(30)).await;
    daemon.files.write(Way::Rename, "acme", &file("/moved"));
    daemon.start().await;
    assert_eq!(daemon.endpoint_status("acme").await["state"], "active");
}

#[tokio::test]
async fn above_500_endpoints_only_those_with_work_or_a_problem_have_series() {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::status(410)]);
    let setup = daemon().endpoint("idle", |e| {
        e.url(receiver.url("/idle")).events(&["read"]);
    });
    let mut daemon = setup
        .endpoint("busy", |e| {
            e.url(receiver.url("/busy"));
        })
        .endpoint("gone", |e| {
            e.url(receiver.url("/gone"));
        })
        .start()
        .await;
    post(&mut daemon, &["first"]).await;
    daemon
        .wait_until("the first is delivered", |m| {
            finished(m, "busy", "delivered") > 0.5 && is(m, "gone", "gone")
        })
        .await;
    let of = |name: &str, m: &Metrics| m.sum("postrider_delivery_age_seconds_count", &[("endpoint", name)]);
    assert!(of("busy", &daemon.metrics().await) > 0.5);

    let mut text = String::from("events = [\"read\"]\nproducts = \"all\"\nstate = \"paused\"\n");
    let _ = write!(text, "[http]\nurl = \"{}\"\nauth = {{ basic = {{ ", receiver.url("/more"));
    text.push_str("username = \"u\", password = \"p\" } }\n");
    let more = |number: u32| daemon_file(number);
    for number in 0..500 {
        fs::write(daemon.dir().join(more(number)), &text).expect("written");
    }
    assert_eq!(daemon.reload().await.status, 200);
    post(&mut daemon, &["second"]).await;
    // A settlement counts before it is written: for a moment the sums differ by it.
    daemon
        .wait_until("the second is delivered, and counted everywhere", |m| {
            finished(m, "busy", "delivered") > 1.5 && balance(m, "busy") && balance(m, "gone")
        })
        .await;
    let all = daemon.get("/metrics").await.text();
    assert!(!all.contains("endpoint=\"idle\"") && !all.contains("endpoint=\"more-"), "the idle have none");
    let metrics = Metrics::parse(&all);
    assert!(is(&metrics, "gone", "gone"));
    assert!(!all.contains("seconds_count{endpoint="), "histograms carry no names");
    assert!(metrics.sum("postrider_delivery_age_seconds_count", &[]) > 0.5);

    for number in 0..500 {
        fs::remove_file(daemon.dir().join(more(number))).expect("deleted");
    }
    assert_eq!(daemon.reload().await.status, 200);
    post(&mut daemon, &["third"]).await;
    daemon.wait_until("the third is delivered", |m| of("busy", m) > 0.5 && is(m, "idle", "active")).await;
}

fn daemon_file(number: u32) -> String {
    format!("endpoints/more-{number}.toml")
}

#[tokio::test]
async fn a_reload_without_changes_looks_again_at_what_could_not_be_used() {
    let receiver = Receiver::start().await;
    let file = "events = \"all\"\nproducts = \"all\"\n[exec]\ncommand = [\"./audit.sh\"]\n";
    let mut daemon = daemon().file("audit", file).start().await;
    post(&mut daemon, &["first"]).await;
    daemon.wait_until("its program is missing", |m| is(m, "audit", "invalid")).await;
    let program = "#!/bin/sh\nread hello\necho '{\"postrider\":1}'\nwhile read line; do\n\
                   n=${line#*'\"n\":'}; echo \"{\\\"n\\\":${n%%,*},\\\"result\\\":\\\"ok\\\"}\"\ndone\n";
    let path = daemon.dir().join("audit.sh");
    fs::write(&path, program).expect("written");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    assert_eq!(daemon.reload().await.json()["result"], "unchanged");
    daemon.wait_until("it is delivered", |m| finished(m, "audit", "delivered") > 0.5).await;

    let up = |m: &Metrics, plugin: &str| m.sum("postrider_plugin_up", &[("plugin", plugin)]) > 0.5;
    let metrics = daemon.metrics().await;
    assert!(up(&metrics, "exec:audit") && up(&metrics, "http") && up(&metrics, "file"));
    let mut other = EndpointFile::new("audit");
    other.url(receiver.url("/audit"));
    daemon.files.write(Way::Rename, "audit", &other.text());
    assert_eq!(daemon.reload().await.status, 200);
    assert!(!up(&daemon.metrics().await, "exec:audit"), "it has no program any more");
}

#[tokio::test]
async fn a_command_says_by_its_exit_code_whose_fault_it_is() {
    let receiver = Receiver::start().await;
    let setup = daemon().endpoint("acme", |e| {
        e.url(receiver.url("/acme"));
    });
    let mut daemon = setup.start().await;
    for arguments in [
        &["deliveries", "list", "--state", "sent"][..],
        &["deliveries", "list", "--since", "yesterday"],
        &["dead-letters", "list", "--reason", "bored"],
        &["dead-letters", "replay", "--all-of-them"],
        &["dead-letters", "replay", "--endpoint", "acme", "--rate", "fast"],
    ] {
        assert_eq!(daemon.command(arguments), (2, String::new()), "{arguments:?} makes no sense");
    }
    for arguments in
        [&["deliveries", "list"][..], &["dead-letters", "list"], &["endpoints", "list", "--search", "x"]]
    {
        assert_eq!(daemon.command(arguments), (0, String::new()), "{arguments:?} has no data");
    }
    assert_eq!(daemon.command(&["endpoints", "show", "nobody"]).0, 6);
    assert_eq!(daemon.command(&["test", "nobody"]).0, 6);
    daemon.files.write(Way::Rename, "other", "state = 1\n");
    assert_eq!(daemon.command(&["reload"]).0, 1, "a file of an endpoint");
    fs::write(daemon.dir().join("postrider.toml"), "version = 2\n").expect("written");
    assert_eq!(daemon.command(&["reload"]).0, 78, "the daemon's file");
    let file = daemon.dir().join("postrider.toml").display().to_string();
    assert_eq!(daemon.command(&["config", "effective", "acme", "-c", &file, "--json"]).0, 78);
    daemon.term(std::time::Duration::from_secs(20)).await;
}

#[tokio::test]
async fn what_holds_for_an_endpoint_can_be_read_as_json() {
    let receiver = Receiver::start().await;
    let setup = daemon().endpoint("acme", |e| {
        e.url(receiver.url("/acme")).key("timeout = \"7s\"");
    });
    let daemon = setup.start().await;
    let file = daemon.dir().join("postrider.toml").display().to_string();
    let (code, text) = daemon.command(&["config", "effective", "acme", "-c", &file, "--json"]);
    let one: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let values = one["values"].as_array().expect("values");
    let timeout = values.iter().find(|value| value["key"] == "timeout").expect("a timeout");
    assert_eq!((code, &one["endpoint"], &timeout["value"]), (0, &"acme".into(), &"\"7s\"".into()));
}
