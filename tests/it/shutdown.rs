//! SIGTERM: the daemon ends by itself, in time, and loses nothing.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;

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
