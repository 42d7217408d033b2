//! A long backlog costs disk, not memory, and is there after a kill.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// What the daemon may hold in memory, whatever waits: in the development build,
const PEAK_MIB: u64 = 512;
/// and in the long form, 200 MB.
const LONG_PEAK_MIB: u64 = 190;

#[tokio::test]
async fn a_backlog_is_kept_on_disk_through_a_kill_and_drains_in_order() {
    let scale = Scale::of(20_000, 1_000_000);
    let patience = Duration::from_secs(60 + scale.count / 2000);
    let load = Load::new(&[Subscription::all("acme")]);
    load.receiver.set_status("acme", 503);
    let mut daemon = daemon()
        .config("[spool]\nbacklog = \"8 GiB\"")
        .endpoint("acme", |e| {
            e.url(load.url("acme"))
                .retry(&["100ms"; 100])
                .key("breaker = { open = \"1s\", max_open = \"1s\", probes = 1 }");
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 64;
        options.events = Some(scale.count);
    });
    let summary = load.finish(publisher, patience).await;
    assert_eq!(summary.accepted, scale.count);
    assert_eq!(load.receiver.count(), 0);
    let filled_mib = daemon.peak_mib();

    let start = Instant::now();
    daemon.restart().await;
    let started = start.elapsed();
    let pending = daemon.metrics().await.sum("postrider_deliveries_pending", &[("endpoint", "acme")]);
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    let expected = scale.count as f64;
    assert!((pending - expected).abs() < 1.0, "{pending} of {expected} wait after the kill");

    load.receiver.set_status("acme", 200);
    let start = Instant::now();
    crate::support::until(patience, "the backlog has drained", async || load.receiver.count() >= scale.count)
        .await;
    let drained = start.elapsed();
    let report = load.report(Duration::from_secs(30)).await;
    let peak_mib = filled_mib.max(daemon.peak_mib());
    scale.report(
        "backlog",
        &json!({
            "events": scale.count, "filled_in_s": summary.seconds, "filled_peak_mib": filled_mib, "peak_mib": peak_mib,
            "restart_s": started.as_secs_f64(), "drained_in_s": drained.as_secs_f64(),
            "duplicated": report.duplicated(),
        }),
    );
    report.verdict(16).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(peak_mib < if scale.long { LONG_PEAK_MIB } else { PEAK_MIB }, "{peak_mib} MiB");
    assert!(started < Duration::from_secs(5), "the start took {started:?}");
}
