//! A slow, dead or flooding endpoint changes nothing for any other.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::{Findings, Subscription};
use serde_json::json;
use std::time::Duration;

/// A healthy endpoint's figures, with neighbours that behave or not.
async fn run(scale: Scale, bad: bool) -> Findings {
    let subscriptions: Vec<Subscription> =
        ["healthy", "slow", "failing"].into_iter().map(Subscription::all).collect();
    let load = Load::new(&subscriptions);
    if bad {
        load.receiver.set_delay("slow", Duration::from_secs(3600));
        load.receiver.set_status("failing", 500);
    }
    let daemon = daemon()
        .endpoint("healthy", |e| {
            e.url(load.url("healthy"));
        })
        .endpoint("slow", |e| {
            e.url(load.url("slow")).key("timeout = \"5s\"");
        })
        .endpoint("failing", |e| {
            e.url(load.url("failing")).no_breaker().retry(&["1h"]);
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 32;
        options.rate = Some(500.0);
        options.time = Some(Duration::from_secs(scale.count));
    });
    let summary = load.finish(publisher, Duration::from_secs(scale.count + 60)).await;
    assert_eq!(summary.refused, 0, "a bad endpoint makes the ingress refuse nothing");
    let expected = summary.accepted;
    crate::support::until(Duration::from_secs(30), "the healthy endpoint has everything", async || {
        load.receiver.count_of("healthy") >= expected
    })
    .await;
    let mut report = load.report(Duration::ZERO).await;
    report.endpoints.remove("healthy").expect("its figures")
}

#[tokio::test]
async fn bad_neighbours_do_not_delay_a_healthy_endpoint() {
    let scale = Scale::of(4, 60);
    let alone = run(scale, false).await;
    let among = run(scale, true).await;
    scale.report("isolation", &json!({ "alone": &alone, "among_bad_neighbours": &among }));
    for found in [&alone, &among] {
        assert_eq!(
            (found.lost, found.duplicated, found.disordered, found.corrupt),
            (0, 0, 0, 0),
            "{found:?}"
        );
    }
    // A short run on a busy machine is coarse; the long one holds the promise.
    let (factor, slack_us) = if scale.long { (1.25, 2_000.0) } else { (3.0, 100_000.0) };
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    let (alone, among) = (alone.p99_us as f64, among.p99_us as f64);
    assert!(among <= alone * factor + slack_us, "p99 {alone} us alone, {among} us among bad neighbours");
}
