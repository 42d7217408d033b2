//! What becomes of deliveries whose endpoint has no version to run: its file is missing, or rejected.

use crate::support::{Daemon, EndpointFile, Metrics, Receiver, Way, daemon, until};
use std::fs;
use std::time::Duration;

const STOP: Duration = Duration::from_secs(30);

fn event(message: &str) -> String {
    format!(
        r#"{{"event":"sent","product":"crm","data":{{"message_id":"{message}","status":"sent","details":{{}}}}}}"#
    )
}

fn waiting(m: &Metrics, endpoint: &str) -> f64 {
    m.sum("postrider_deliveries_pending", &[("endpoint", endpoint)])
}

fn removed(m: &Metrics, endpoint: &str) -> f64 {
    let labels = [("endpoint", endpoint), ("result", "endpoint_removed")];
    m.sum("postrider_deliveries_finished_total", &labels)
}

fn is(m: &Metrics, endpoint: &str, state: &str) -> bool {
    m.sum("postrider_endpoint_state", &[("endpoint", endpoint), ("state", state)]) > 0.5
}

async fn collect(daemon: &mut Daemon, endpoints: &[&str]) {
    for message in ["one", "two"] {
        daemon.post(event(message)).await.id();
    }
    daemon.wait_until("two wait for each", |m| endpoints.iter().all(|name| waiting(m, name) > 1.5)).await;
}

/// The file of an endpoint that takes its password from a file beside the daemon's.
fn with_secret(receiver: &Receiver, state: &str) -> String {
    let mut file = EndpointFile::new("acme");
    file.url(receiver.url("/acme")).key(&format!("state = \"{state}\""));
    let written_out = format!("\"{}\"", postrider_checker::password("acme"));
    file.text().replace(&written_out, "{ file = \"pw\" }")
}

fn paused(receiver: &Receiver, name: &str) -> String {
    let mut file = EndpointFile::new(name);
    file.url(receiver.url(&format!("/{name}"))).key("state = \"paused\"").text()
}

#[tokio::test]
async fn what_waits_for_an_endpoint_whose_file_cannot_be_used_at_a_start_outlives_the_grace() {
    let receiver = Receiver::start().await;
    let setup = daemon().config("[reload]\nremoved_grace = \"1s\"").file("gone", paused(&receiver, "gone"));
    let setup = setup.file("acme", with_secret(&receiver, "paused"));
    let setup = setup.prepared(|folder| {
        fs::write(folder.join("pw"), postrider_checker::password("acme")).expect("written");
    });
    let mut daemon = setup.start().await;
    collect(&mut daemon, &["acme", "gone"]).await;
    daemon.term(STOP).await;

    // Its secret is not there, and the other's file is not: the grace of both would begin with this start.
    fs::remove_file(daemon.dir().join("pw")).expect("deleted");
    fs::remove_file(daemon.dir().join("endpoints/gone.toml")).expect("deleted");
    daemon.start().await;
    assert!(is(&daemon.metrics().await, "acme", "invalid"));
    let status = daemon.endpoint_status("acme").await;
    assert_eq!(
        (&status["state"], &status["ready"], &status["rejected"]),
        (&"invalid".into(), &2.into(), &true.into())
    );
    let note = status["note"].as_str().expect("a note").to_owned();
    assert!(note.contains("no version to run") && note.contains("held"), "{note}");
    daemon
        .wait_until("the grace of the other is over", |m| {
            removed(m, "gone") > 1.5 || waiting(m, "gone") < 0.5
        })
        .await;
    let metrics = daemon.metrics().await;
    assert!(
        is(&metrics, "acme", "invalid") && waiting(&metrics, "acme") > 1.5 && removed(&metrics, "acme") < 0.5
    );

    fs::write(daemon.dir().join("pw"), postrider_checker::password("acme")).expect("written");
    daemon.files.write(Way::Rename, "acme", &with_secret(&receiver, "active"));
    assert_eq!(daemon.reload().await.status, 200);
    receiver.want_credentials("/acme", "acme");
    receiver.wait_for("/acme", 2).await;
    daemon
        .wait_until("it is as if nothing had happened", |m| {
            is(m, "acme", "active") && waiting(m, "acme") < 0.5
        })
        .await;
}

#[tokio::test]
async fn a_removed_endpoint_whose_file_comes_back_rejected_is_held_and_not_buried() {
    let receiver = Receiver::start().await;
    let setup = daemon().config("[reload]\nremoved_grace = \"1h\"").file("other", paused(&receiver, "other"));
    let setup = setup.file("third", paused(&receiver, "third"));
    let mut daemon = setup.file("acme", paused(&receiver, "acme")).start().await;
    collect(&mut daemon, &["acme", "other"]).await;
    for name in ["acme", "other"] {
        fs::remove_file(daemon.dir().join(format!("endpoints/{name}.toml"))).expect("deleted");
    }
    assert_eq!(daemon.reload().await.status, 200);
    assert!(is(&daemon.metrics().await, "acme", "removed"));
    daemon.files.write(Way::Rename, "acme", "state = \"actve\"\n");
    assert_eq!(daemon.reload().await.status, 422);
    assert!(is(&daemon.metrics().await, "acme", "invalid"), "it is rejected, not removed");
    // The folder says nothing for a while: nobody is removed by that.
    let (folder, away) = (daemon.dir().join("endpoints"), daemon.dir().join("away"));
    fs::rename(&folder, &away).expect("renamed");
    assert_eq!(daemon.reload().await.status, 422);
    assert!(is(&daemon.metrics().await, "acme", "invalid"), "it is still rejected");
    fs::rename(&away, &folder).expect("renamed");
    // From now on there is hardly any grace.
    let file = daemon.dir().join("postrider.toml");
    let text = fs::read_to_string(&file).expect("its text").replace("1h", "100ms");
    fs::write(file, text).expect("written");
    assert_eq!(daemon.reload().await.status, 422);
    daemon.wait_until("the grace of the other is over", |m| waiting(m, "other") < 0.5).await;
    assert!(waiting(&daemon.metrics().await, "acme") > 1.5);
    // Without a file it is removed.
    fs::remove_file(daemon.dir().join("endpoints/acme.toml")).expect("deleted");
    assert_eq!(daemon.reload().await.status, 200);
    daemon.wait_until("its grace is over", |m| waiting(m, "acme") < 0.5).await;
}

#[tokio::test]
async fn a_rejected_endpoint_that_is_removed_leaves_nothing_that_waits() {
    let receiver = Receiver::start().await;
    let setup = daemon().file("other", paused(&receiver, "other")).file("acme", paused(&receiver, "acme"));
    let mut daemon = setup.start().await;
    collect(&mut daemon, &["acme"]).await;
    let kept = daemon.dir().join("data/last-good/acme.toml");
    until(STOP, "its file is kept", async || kept.exists()).await;
    daemon.term(STOP).await;
    fs::write(daemon.dir().join("endpoints/acme.toml"), "state = \"actve\"\n").expect("written");
    fs::remove_file(&kept).expect("deleted");
    daemon.start().await;
    assert!(is(&daemon.metrics().await, "acme", "invalid"));
    let (code, said) = daemon.command(&["endpoints", "remove", "acme", "--yes"]);
    assert_eq!(code, 0, "{said}");
    daemon.wait_until("what waited is dead", |m| waiting(m, "acme") < 0.5).await;
    let letters = daemon.get("/api/v1/dead-letters?endpoint=acme").await.json();
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(2), "{letters}");
}

#[tokio::test]
async fn a_file_that_was_missing_at_one_start_has_its_whole_grace_at_another() {
    let receiver = Receiver::start().await;
    let setup = daemon().file("other", paused(&receiver, "other"));
    let mut daemon = setup.file("acme", paused(&receiver, "acme")).start().await;
    collect(&mut daemon, &["acme"]).await;
    let since = async |daemon: &mut Daemon| {
        let status = daemon.endpoint_status("acme").await;
        assert_eq!(status["state"], "removed", "{status}");
        status["since_ms"].as_u64().expect("a time")
    };
    daemon.term(STOP).await;
    fs::remove_file(daemon.dir().join("endpoints/acme.toml")).expect("deleted");
    daemon.start().await;
    let first = since(&mut daemon).await;
    daemon.term(STOP).await;
    daemon.start().await;
    assert_eq!(since(&mut daemon).await, first, "missing all the time: one grace");
    daemon.term(STOP).await;
    daemon.files.write(Way::Rename, "acme", &paused(&receiver, "acme"));
    daemon.start().await;
    assert_eq!(daemon.endpoint_status("acme").await["state"], "paused");
    daemon.term(STOP).await;
    fs::remove_file(daemon.dir().join("endpoints/acme.toml")).expect("deleted");
    daemon.start().await;
    let second = since(&mut daemon).await;
    assert!(second > first, "{second} after {first}");
    assert!(waiting(&daemon.metrics().await, "acme") > 1.5);
}
