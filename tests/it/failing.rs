//! A quarter of all attempts fails: everything arrives all the same, in order.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;

const RATE: f64 = 2000.0;
const SHARE: f64 = 0.25;

#[tokio::test]
async fn events_arrive_in_order_where_a_quarter_of_all_attempts_fails() {
    let scale = Scale::of(3, 60);
    let load = Load::failing(&[Subscription::all("acme")], SHARE, scale.seed);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            // Twelve failures in a row are one in sixteen million.
            e.url(load.url("acme")).no_breaker().retry(&["100ms"; 12]).key("concurrency = 64");
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 64;
        options.rate = Some(RATE);
        options.time = Some(Duration::from_secs(scale.count));
    });
    let summary = load.finish(publisher, Duration::from_secs(scale.count + 60)).await;
    let report = load.report(Duration::from_secs(120)).await;
    let found = report.endpoints["acme"].clone();
    scale.report("failing", &json!({ "published": summary, "acme": found, "peak_mib": daemon.peak_mib() }));
    report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(found.turned_away > 0, "attempts did fail");
    assert_eq!(daemon.metrics().await.sum("postrider_dead_letters", &[]), 0.0);
}
