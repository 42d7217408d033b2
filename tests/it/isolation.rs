//! A slow, dead or flooding endpoint changes nothing for any other.

use crate::support::{Load, Scale, daemon};
use postrider_checker::verify::{Findings, Subscription};
use serde_json::json;
use std::time::Duration;

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Endpoints that answer at once.
    healthy: usize,
    /// Neighbours that answer too, or never do.
    neighbours: usize,
    /// Events per second, far from what the machine could do.
    rate: f64,
    seconds: u64,
}

fn name(kind: &str, number: usize) -> String {
    format!("{kind}-{number:02}")
}

/// The figures of the healthy endpoints, with neighbours that behave or that never answer.
async fn run(shape: Shape, silent: bool) -> Vec<Findings> {
    let healthy: Vec<String> = (0..shape.healthy).map(|number| name("healthy", number)).collect();
    let neighbours: Vec<String> = (0..shape.neighbours).map(|number| name("neighbour", number)).collect();
    let everybody = healthy.iter().chain(&neighbours);
    let subscriptions: Vec<Subscription> = everybody.map(|name| Subscription::all(name)).collect();
    let load = Load::new(&subscriptions);
    let mut daemon = daemon();
    for name in &healthy {
        daemon = daemon.endpoint(name, |e| {
            e.url(load.url(name));
        });
    }
    for (number, name) in neighbours.iter().enumerate() {
        if silent {
            load.receiver.set_delay(name, Duration::from_secs(3600));
        }
        daemon = daemon.endpoint(name, |e| {
            e.url(load.url(name)).key("timeout = \"5s\"").retry(&["1h"]);
            // Some are left alone by their breaker, others are tried all the time.
            if number % 2 == 0 {
                e.no_breaker();
            }
        });
    }
    let daemon = daemon.start().await;
    let publisher = load.publish(daemon.ready_file(), |options| {
        options.connections = 32;
        options.rate = Some(shape.rate);
        options.time = Some(Duration::from_secs(shape.seconds));
    });
    let summary = load.finish(publisher, Duration::from_secs(shape.seconds + 60)).await;
    assert_eq!(summary.refused, 0, "a silent endpoint makes the ingress refuse nothing");
    let expected = summary.accepted;
    crate::support::until(Duration::from_secs(30), "the healthy endpoints have everything", async || {
        healthy.iter().all(|name| load.receiver.count_of(name) >= expected)
    })
    .await;
    let mut report = load.report(Duration::ZERO).await;
    let figures: Vec<Findings> =
        healthy.iter().map(|name| report.endpoints.remove(name).expect("its figures")).collect();
    for found in &figures {
        let wrong = (found.lost, found.duplicated, found.disordered, found.corrupt);
        assert_eq!(wrong, (0, 0, 0, 0), "{found:?}");
    }
    figures
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The healthy endpoints' median p99 from 202 to receipt, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
pub(crate) fn p99(figures: &[Findings]) -> f64 {
    median(figures.iter().map(|found| found.p99_us as f64).collect())
}

/// The long form: 20 healthy endpoints, 20 neighbours, pairs of runs in turn.
#[tokio::test]
async fn bad_neighbours_do_not_delay_a_healthy_endpoint() {
    let scale = Scale::of(3, 10);
    let (healthy, neighbours, rate, pairs) = if scale.long { (20, 20, 150.0, 7) } else { (3, 3, 200.0, 1) };
    let shape = Shape { healthy, neighbours, rate, seconds: scale.count };
    let mut found = Vec::new();
    for pair in 0..pairs {
        // Whoever goes first meets a colder machine: take turns.
        let first = run(shape, pair % 2 == 1).await;
        let second = run(shape, pair % 2 == 0).await;
        let (among_healthy, among_silent) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        found.push((p99(&among_healthy), p99(&among_silent)));
    }
    let ratio = median(found.iter().map(|(healthy, silent)| silent / healthy).collect());
    scale.report("isolation", &json!({ "p99_us_pairs": found, "median_ratio": ratio }));
    // A short run on a busy machine is coarse; the long one holds the promise.
    if scale.long {
        assert!(
            ratio <= 1.1,
            "silent neighbours cost a healthy endpoint {ratio:.2} times its p99: {found:?}"
        );
    } else {
        let holds = found.iter().all(|(healthy, silent)| *silent <= healthy * 3.0 + 100_000.0);
        assert!(holds, "p99 among healthy and among silent neighbours: {found:?} us");
    }
}

#[tokio::test]
async fn the_kernel_clears_no_huge_page_while_deliveries_wait_for_it() {
    let daemon = daemon().start().await;
    assert_eq!(daemon.kernel_status("THP_enabled:"), "0");
}
