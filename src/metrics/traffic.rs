//! What the settings page draws, read from the same series that a scraper reads.

use super::{Metrics, lock, names};
use metrics::Key;
use std::sync::atomic::Ordering;

/// Counters as they stand now, each since the start of the daemon.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Of each endpoint that has series, those with the most waiting first.
    pub endpoints: Vec<EndpointTraffic>,
    /// Age of what was delivered, all endpoints together: bound in seconds, and how many were at or under it. The last
    /// bound is infinite.
    pub ages: Vec<(f64, u64)>,
    /// Events that were accepted: event, product, and how many.
    pub accepted: Vec<(String, String, u64)>,
}

/// Counters of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointTraffic {
    /// Its name.
    pub endpoint: String,
    /// The account of the endpoint that has this name now. Series do not say; whoever shows them to others puts it in.
    pub account: Option<String>,
    /// Deliveries that landed.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that wait now, ready or parked: as old as the gauges, which are set before every scrape.
    pub waiting: u64,
}

impl Metrics {
    /// Reads them. Takes as long as there are series.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut accepted = Vec::new();
        let registry = &self.0.registry;
        registry.visit_counters(|key, counter| {
            if (key.name(), label(key, "result")) == (names::EVENTS_RECEIVED, Some("accepted"))
                && let (Some(event), Some(product)) = (label(key, "event"), label(key, "product"))
            {
                accepted.push((event.to_owned(), product.to_owned(), counter.load(Ordering::Relaxed)));
            }
        });
        let mut ages: Vec<(f64, u64)> = Vec::new();
        registry.visit_histograms(|key, buckets| {
            if key.name() == names::DELIVERY_AGE {
                let reading = buckets.read();
                let buckets = reading.buckets.iter().copied().chain([(f64::INFINITY, reading.count)]);
                if ages.is_empty() {
                    ages = buckets.collect();
                } else {
                    ages.iter_mut().zip(buckets).for_each(|(sum, (_, count))| sum.1 += count);
                }
            }
        });
        let endpoints = lock(&self.0.endpoints);
        let mut endpoints: Vec<EndpointTraffic> =
            endpoints.iter().map(|(name, numbers)| numbers.traffic(name)).collect();
        endpoints.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.endpoint.cmp(&b.endpoint)));
        Traffic { endpoints, ages, accepted }
    }
}

fn label<'a>(key: &'a Key, name: &str) -> Option<&'a str> {
    key.labels().find(|label| label.key() == name).map(metrics::Label::value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_sink::FailureClass;
    use std::time::Duration;

    #[test]
    fn what_is_drawn_is_what_a_scraper_would_see() {
        let metrics = Metrics::new();
        let (acme, other) = (metrics.endpoint("acme", true), metrics.endpoint("other", true));
        acme.delivered(Duration::from_millis(20));
        acme.delivered(Duration::from_secs(2));
        acme.attempt(Ok(()), Duration::from_millis(1));
        acme.attempt(Err(FailureClass::Timeout), Duration::from_secs(1));
        other.pending(3, 4, None);
        let traffic = metrics.traffic();
        let other =
            EndpointTraffic { endpoint: "other".to_owned(), waiting: 7, ..EndpointTraffic::default() };
        let acme = EndpointTraffic {
            endpoint: "acme".to_owned(),
            delivered: 2,
            failed: 1,
            ..EndpointTraffic::default()
        };
        assert_eq!(traffic.endpoints, [other, acme]);
        assert_eq!(traffic.ages.last(), Some(&(f64::INFINITY, 2)));
        assert!(traffic.ages.contains(&(0.025, 1)), "{:?}", traffic.ages);
        metrics.forget_endpoint("acme");
        assert_eq!(metrics.traffic().endpoints.len(), 1);
    }
}
