//! Files change while events flow: every way of writing them, good and bad.

use crate::support::{Daemon, EndpointFile, Load, Receiver, Scale, Way, daemon, until};
use postrider_checker::event::EVENTS;
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;

const GENERATION: &str = "x-generation";

fn file(receiver: &Receiver, generation: u64) -> String {
    let mut file = EndpointFile::new("acme");
    probed(&mut file, receiver, generation);
    file.text()
}

fn probed(file: &mut EndpointFile, receiver: &Receiver, generation: u64) {
    file.url(receiver.url("/acme")).events(&["probe"]);
    file.http(&format!("headers = {{ {GENERATION} = \"{generation}\" }}"));
}

/// Posts one event and tells which generation of the file it was delivered with.
async fn probe(daemon: &mut Daemon, receiver: &Receiver) -> u64 {
    let event =
        r#"{"event":"probe","product":"crm","data":{"message_id":"probe","status":"probe","details":{}}}"#;
    let answer = daemon.post(event).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.id();
    let mut generation = None;
    until(Duration::from_secs(10), "the probe arrives", async || {
        let requests = receiver.requests("/acme");
        let request = requests.iter().rev().find(|request| request.header("webhook-id") == id);
        generation = request.and_then(|request| request.header(GENERATION).parse().ok());
        generation.is_some()
    })
    .await;
    generation.expect("just seen")
}

async fn reloads(way: Way) {
    let scale = Scale::of(20, 200);
    let receiver = Receiver::start().await;
    // Probes go to `acme` alone; what is counted goes to `steady`, whose file never changes.
    let load = Load::new(&[Subscription::all("steady")]);
    let mut daemon = daemon()
        .config(&format!("[catalogue]\nevents = {:?}", [&EVENTS[..], &["probe"]].concat()))
        .endpoint("steady", |e| {
            e.url(load.url("steady")).events(&EVENTS);
        })
        .endpoint("acme", |e| {
            probed(e, &receiver, 0);
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| options.rate = Some(200.0));
    let mut current = 0;
    for turn in 1..=scale.count {
        if turn % 5 == 0 {
            daemon.files.write(way, "acme", "events = [\"sent\"\nthis is not TOML");
            daemon
                .wait_until("the bad file is reported", |m| {
                    m.sum("postrider_config_invalid_files", &[]) == 1.0
                })
                .await;
            assert_eq!(probe(&mut daemon, &receiver).await, current, "the last good version stays");
        } else {
            daemon.files.write(way, "acme", &file(&receiver, turn));
            until(Duration::from_secs(10), "the new version is in force", async || {
                let seen = probe(&mut daemon, &receiver).await;
                assert!(
                    seen == current || seen == turn,
                    "{way:?}: {seen} after {current}, {turn} was written"
                );
                seen == turn
            })
            .await;
            current = turn;
        }
    }
    let summary = load.end(publisher, Duration::from_secs(30)).await;
    let report = load.report(Duration::from_secs(30)).await;
    scale.report(
        "reload",
        &json!({ "way": format!("{way:?}"), "reloads": scale.count, "published": summary, "lost": report.lost() }),
    );
    report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(report.refused, 0, "a reload refuses nothing");
}

#[tokio::test]
async fn files_renamed_into_place_are_reloaded() {
    reloads(Way::Rename).await;
}

#[tokio::test]
async fn files_written_in_place_are_reloaded() {
    reloads(Way::InPlace).await;
}

#[tokio::test]
async fn files_behind_swapped_links_are_reloaded() {
    reloads(Way::DataSwap).await;
}

#[tokio::test]
async fn files_deleted_and_made_again_are_reloaded() {
    reloads(Way::Recreate).await;
}
