//! Files change without a pause while the daemon is killed again and again.

use crate::support::{Daemon, EndpointFile, Load, Scale, Way, daemon};
use http::Method;
use postrider_checker::event::{EVENTS, PRODUCTS};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const ENDPOINTS: usize = 6;
const CONCURRENCY: u64 = 16;
const WAYS: [Way; 2] = [Way::Rename, Way::InPlace];

fn name(number: usize) -> String {
    format!("flip-{number}")
}

/// What one of them wants, whatever else its file says.
fn subscription(number: usize) -> Subscription {
    let of = |all: &[&str; 4], skip: usize| -> Vec<String> {
        all.iter()
            .enumerate()
            .filter(|(at, _)| at % 4 != skip % 4)
            .map(|(_, name)| (*name).to_owned())
            .collect()
    };
    let (events, products) = (of(&EVENTS, number), of(&PRODUCTS, number + 1));
    Subscription { events, products, ..Subscription::all(&name(number)) }
}

/// Another file that wants the same.
fn text(load: &Load, number: usize, version: u64) -> String {
    let wanted = subscription(number);
    let names = |names: &[String], turn: u64| -> Vec<String> {
        let mut names = names.to_vec();
        names.rotate_left(usize::try_from(turn).expect("small") % 3);
        names
    };
    let mut file = EndpointFile::new(&name(number));
    let (events, products) = (names(&wanted.events, version), names(&wanted.products, version / 3));
    file.url(load.url(&wanted.endpoint));
    file.events(&events.iter().map(String::as_str).collect::<Vec<_>>());
    file.products(&products.iter().map(String::as_str).collect::<Vec<_>>());
    file.retry(&["50ms", "100ms", "1s"]).http(&format!("headers = {{ x-version = \"{version}\" }}"));
    file.text()
}

/// Files that must change nothing.
const BAD: [&str; 4] = [
    "",
    "events = [\"sent\"\nthis is not TOML",
    "events = \"all\"\nproducts = \"all\"\n[http]\nurl = \"http://127.0.0.1:9/\"\n",
    "events = [\"sent\"]\nproducts = [\"nothing\"]\n[http]\nurl = \"ftp://a/\"\n",
];

/// Writes one file, good or bad.
fn write(daemon: &mut Daemon, load: &Load, scale: Scale, turn: u64) {
    let number = usize::try_from(scale.draw(turn, 0, ENDPOINTS as u64)).expect("small");
    let draw = usize::try_from(scale.draw(turn + (1 << 40), 0, 1000)).expect("small");
    let way = WAYS[draw % WAYS.len()];
    let text = if draw % 3 == 0 { BAD[draw % BAD.len()].to_owned() } else { text(load, number, turn) };
    daemon.files.write(way, &name(number), &text);
}

#[tokio::test]
async fn no_reload_that_a_kill_interrupts_loses_or_misroutes_anything() {
    let scale = Scale::of(8, 100);
    let subscriptions: Vec<Subscription> =
        (0..ENDPOINTS).map(subscription).chain([Subscription::all("steady")]).collect();
    let load = Load::new(&subscriptions);
    let mut setup = daemon().endpoint("steady", |e| {
        e.url(load.url("steady")).retry(&["50ms", "100ms", "1s"]);
    });
    for number in 0..ENDPOINTS {
        setup = setup.file(&name(number), text(&load, number, 0));
    }
    let mut daemon = setup.start().await;
    // Their last good versions are kept from here on.
    assert_eq!(daemon.reload().await.status, 200);
    let publisher = load.publish(daemon.ready_file(), |options| options.connections = 8);
    let (mut turn, mut slowest) = (0, Duration::ZERO);
    for cycle in 0..scale.count {
        let goal = publisher.accepted() + scale.draw(cycle, 50, 800);
        let begun = Instant::now();
        let calm = Duration::from_millis(scale.draw(cycle + (1 << 41), 100, 900));
        crate::support::until(
            Duration::from_secs(60),
            "events are accepted while files change",
            async || {
                turn += 1;
                write(&mut daemon, &load, scale, turn);
                publisher.accepted() >= goal && begun.elapsed() > calm
            },
        )
        .await;
        daemon.kill9();
        // A start finds whatever the storm left behind.
        let start = Instant::now();
        daemon.start().await;
        slowest = slowest.max(start.elapsed());
    }
    for number in 0..ENDPOINTS {
        daemon.files.write(Way::Rename, &name(number), &text(&load, number, turn + 1));
    }
    let answer = daemon.reload().await;
    assert_eq!(answer.status, 200, "the last files are good: {}", answer.text());
    for number in 0..ENDPOINTS {
        let path = format!("/api/v1/endpoints/{}", name(number));
        let shown = daemon.admin(Method::GET, &path, "").await.text();
        assert!(shown.contains(&format!("\"{}\"", turn + 1)), "the last one is in force: {shown}");
    }
    let summary = load.end(publisher, Duration::from_secs(60)).await;
    let report = load.report(Duration::from_secs(60)).await;
    let allowed = scale.count * CONCURRENCY * subscriptions.len() as u64;
    scale.report(
        "storm",
        &json!({
            "kills": scale.count, "files_written": turn, "accepted": summary.accepted, "unknown": report.unknown,
            "lost": report.lost(), "duplicated": report.duplicated(), "duplicates_allowed": allowed,
            "slowest_start_ms": u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
        }),
    );
    report.verdict(allowed).unwrap_or_else(|broken| panic!("{broken}"));
}
