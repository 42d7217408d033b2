use super::{Metrics, names};
use postrider_sink::FailureClass;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Reads the text format strictly: every sample after the TYPE of its family, no sample twice.
fn parse(text: &str) -> HashMap<String, f64> {
    let (mut samples, mut typed) = (HashMap::new(), HashSet::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "TYPE twice: {line}");
            name.clone_into(&mut current);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let name = series.split('{').next().expect("a name");
            let suffix = name.strip_prefix(current.as_str()).expect("samples follow their TYPE");
            assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            let value = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn an_endpoint_has_all_its_series_at_zero_from_the_start() {
    let metrics = Metrics::new();
    let _endpoint = metrics.endpoint("acme", true);
    let samples = parse(&metrics.render());
    for result in names::DELIVERY_RESULTS {
        let series = format!("postrider_deliveries_finished_total{{endpoint=\"acme\",result=\"{result}\"}}");
        assert_eq!(samples.get(&series), Some(&0.0), "{series}");
    }
    assert_eq!(samples["postrider_attempt_duration_seconds_count{endpoint=\"acme\"}"], 0.0);
    assert!(samples.values().all(|value| *value == 0.0));
    assert_eq!(samples.keys().filter(|series| series.contains("endpoint_state{")).count(), 10);
}

#[test]
fn what_an_endpoint_does_is_counted() {
    let metrics = Metrics::new();
    let endpoint = metrics.endpoint("acme", true);
    endpoint.created(3);
    endpoint.attempt(Ok(()), Duration::from_millis(20));
    endpoint.attempt(Err(FailureClass::Dns), Duration::from_secs(2));
    endpoint.delivered(Duration::from_secs(100_000));
    endpoint.dead("exhausted");
    endpoint.dead("a word nobody knows");
    endpoint.state("paused");
    endpoint.breaker("half_open");
    endpoint.pending(5, 7, Some(Duration::from_millis(1_500)));
    let samples = parse(&metrics.render());
    let sample = |series: &str| samples[series];
    assert_eq!(sample("postrider_deliveries_created_total{endpoint=\"acme\"}"), 3.0);
    assert_eq!(sample("postrider_attempts_total{endpoint=\"acme\",result=\"dns\"}"), 1.0);
    assert_eq!(sample("postrider_attempt_duration_seconds_sum{endpoint=\"acme\"}"), 2.02);
    assert_eq!(sample("postrider_attempt_duration_seconds_bucket{endpoint=\"acme\",le=\"0.025\"}"), 1.0);
    assert_eq!(sample("postrider_attempt_duration_seconds_bucket{endpoint=\"acme\",le=\"+Inf\"}"), 2.0);
    assert_eq!(sample("postrider_delivery_age_seconds_bucket{endpoint=\"acme\",le=\"86400\"}"), 0.0);
    assert_eq!(sample("postrider_delivery_age_seconds_bucket{endpoint=\"acme\",le=\"259200\"}"), 1.0);
    assert_eq!(sample("postrider_deliveries_finished_total{endpoint=\"acme\",result=\"exhausted\"}"), 1.0);
    assert_eq!(sample("postrider_endpoint_state{endpoint=\"acme\",state=\"paused\"}"), 1.0);
    assert_eq!(sample("postrider_endpoint_state{endpoint=\"acme\",state=\"active\"}"), 0.0);
    assert_eq!(sample("postrider_breaker_transitions_total{endpoint=\"acme\",to=\"half_open\"}"), 1.0);
    assert_eq!(sample("postrider_deliveries_pending{endpoint=\"acme\",state=\"parked\"}"), 7.0);
    assert_eq!(sample("postrider_oldest_pending_timestamp_seconds{endpoint=\"acme\"}"), 1.5);
}

#[test]
fn a_forgotten_endpoint_leaves_nothing_behind_and_its_neighbour_stays() {
    let metrics = Metrics::new();
    let gone = metrics.endpoint("gone", true);
    let stays = metrics.endpoint("stays", true);
    metrics.forget_endpoint("gone");
    gone.created(1);
    stays.created(1);
    let text = metrics.render();
    assert!(!text.contains("gone\","), "{text}");
    assert!(!text.contains("endpoint=\"gone\""), "{text}");
    assert_eq!(parse(&text)["postrider_deliveries_created_total{endpoint=\"stays\"}"], 1.0);
    metrics.endpoint("gone", true).created(0);
    assert_eq!(parse(&metrics.render())["postrider_deliveries_created_total{endpoint=\"gone\"}"], 0.0);
}

#[test]
fn without_the_label_all_endpoints_share_the_histograms() {
    let metrics = Metrics::new();
    metrics.endpoint("a", false).attempt(Ok(()), Duration::from_millis(1));
    metrics.endpoint("b", false).attempt(Ok(()), Duration::from_millis(1));
    metrics.forget_endpoint("a");
    assert_eq!(parse(&metrics.render())["postrider_attempt_duration_seconds_count"], 2.0);
}

#[test]
fn label_values_are_escaped_and_the_order_of_labels_makes_no_second_series() {
    let metrics = Metrics::new();
    metrics.counter("x_total", &[("b", "q\"u\\o\nte"), ("a", "1")]).increment(1);
    metrics.counter("x_total", &[("a", "1"), ("b", "q\"u\\o\nte")]).increment(1);
    assert_eq!(metrics.render(), "# TYPE x_total counter\nx_total{a=\"1\",b=\"q\\\"u\\\\o\\nte\"} 2\n");
}

#[test]
fn what_is_no_time_is_recorded_as_zero() {
    let metrics = Metrics::new();
    let histogram = metrics.histogram(names::SPOOL_SYNC_DURATION, &[]);
    for value in [f64::NAN, -1.0, f64::INFINITY] {
        histogram.record(value);
    }
    let samples = parse(&metrics.render());
    assert_eq!(samples["postrider_spool_sync_duration_seconds_count"], 3.0);
    assert_eq!(samples["postrider_spool_sync_duration_seconds_sum"], 0.0);
}

#[test]
fn macros_of_the_metrics_crate_land_in_the_value_they_are_given() {
    let metrics = Metrics::new();
    metrics::with_local_recorder(&metrics, || {
        metrics::describe_counter!("other.crate-total", "What it is.");
        metrics::counter!("other.crate-total", "endpoint" => "acme").increment(2);
    });
    assert_eq!(parse(&metrics.render())["other_crate_total{endpoint=\"acme\"}"], 2.0);
    metrics.forget_endpoint("acme");
    assert_eq!(metrics.render(), "");
}

#[test]
fn the_list_of_families_is_sorted_and_says_what_each_is() {
    assert!(names::FAMILIES.is_sorted_by(|a, b| a.name < b.name));
    assert!(names::FAMILIES.iter().all(|family| family.help.ends_with('.')));
    assert_eq!(names::FAMILIES.len(), 28);
}
