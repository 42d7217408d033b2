//! Kill -9 under load: nothing accepted is lost, at most what was in flight is repeated.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const CONCURRENCY: u64 = 16;

#[tokio::test]
async fn no_kill_loses_what_was_accepted() {
    let scale = Scale::of(20, 1000);
    let some = Subscription {
        events: vec!["sent".to_owned(), "read".to_owned()],
        products: vec!["crm".to_owned(), "campaigns".to_owned()],
        ..Subscription::all("some")
    };
    let subscriptions = [Subscription::all("acme"), some];
    let load = Load::new(&subscriptions);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(load.url("acme")).retry(&["50ms", "100ms", "1s"]);
        })
        .endpoint("some", |e| {
            e.url(load.url("some")).events(&["sent", "read"]).products(&["crm", "campaigns"]);
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| options.connections = 16);
    let mut slowest = Duration::ZERO;
    for cycle in 0..scale.count {
        load.accept(&publisher, scale.draw(cycle, 20, 1500), Duration::from_secs(60)).await;
        daemon.kill9();
        let start = Instant::now();
        daemon.start().await;
        slowest = slowest.max(start.elapsed());
    }
    let summary = load.end(publisher, Duration::from_secs(60)).await;
    let report = load.report(Duration::from_secs(60)).await;
    let allowed = scale.count * CONCURRENCY * 2;
    scale.report(
        "kill",
        &json!({
            "cycles": scale.count, "accepted": summary.accepted, "unknown": report.unknown, "lost": report.lost(),
            "duplicated": report.duplicated(), "duplicates_allowed": allowed,
            "slowest_start_ms": u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
        }),
    );
    report.verdict(allowed).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(slowest < Duration::from_secs(5), "a start took {slowest:?}");
}
