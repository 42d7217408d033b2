//! What the pictures show: the last hour by the minute, and the last day by the hour for each endpoint.
//!
//! A reader of the daemon's counters feeds it [`Traffic`] now and then; it keeps differences, so nothing on the way of
//! an event knows of it. Its size is fixed: 60 minutes in all, 24 hours for each event and product of the catalogue,
//! and for at most [`MAX_ENDPOINTS`] endpoints 60 counts of what waits and 24 hours of results.
//!
//! The same name for another account is another endpoint: its numbers begin anew, and are told of that account alone.

use crate::metrics::{EndpointTraffic, Traffic};
use std::collections::{HashMap, HashSet};

/// Minutes kept.
pub(super) const MINUTES: usize = 60;

/// Hours kept.
pub(super) const HOURS: usize = 24;

/// Pairs of event and product that are counted: as many as a large catalogue has.
const MAX_KINDS: usize = 1024;

/// Endpoints whose own numbers are kept; about 1.5 KB each. Those with work come first in what is fed.
const MAX_ENDPOINTS: usize = 4096;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What happened in one minute or hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Deliveries that landed.
    pub(super) delivered: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
}

#[derive(Debug, Default, Clone)]
struct Minute {
    counts: Counts,
    /// How many ages fell under each bound, not cumulative.
    ages: Vec<u64>,
}

#[derive(Debug, Default)]
struct Endpoint {
    last: Option<EndpointTraffic>,
    hours: Ring<Counts, HOURS>,
    waiting: Ring<Option<u64>, MINUTES>,
}

impl Endpoint {
    fn account(&self) -> Option<&str> {
        self.last.as_ref()?.account.as_deref()
    }
}

/// Slots of equal time, the oldest overwritten by the newest.
#[derive(Debug)]
struct Ring<T, const N: usize> {
    slots: Vec<T>,
    /// The number of the newest slot since the Unix epoch.
    newest: u64,
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self { slots: Vec::new(), newest: 0 }
    }
}

impl<T: Default + Clone, const N: usize> Ring<T, N> {
    /// The slot of that number, made if it is newer than all; an older one than the newest is the newest, so that a
    /// clock that is set back loses nothing.
    fn at(&mut self, number: u64) -> &mut T {
        if self.slots.is_empty() {
            self.slots = vec![T::default(); N];
            self.newest = number;
        }
        let ahead = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(N).min(N);
        self.slots.drain(..ahead);
        self.slots.resize(N, T::default());
        self.newest = self.newest.max(number);
        let last = self.slots.len().saturating_sub(1);
        self.slots.get_mut(last).expect("a ring that was used has its slots")
    }

    /// Oldest first, the last one being `number`.
    fn upto(&self, number: u64) -> Vec<T> {
        let ahead = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(N).min(N);
        let mut slots = if self.slots.is_empty() { vec![T::default(); N] } else { self.slots.clone() };
        slots.drain(..ahead);
        slots.resize(N, T::default());
        slots
    }
}

/// One minute as the charts want it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    /// What ended.
    pub(super) counts: Counts,
    /// Half of what was delivered was younger, in seconds.
    pub(super) p50: Option<f64>,
    /// 99 of 100 were younger.
    pub(super) p99: Option<f64>,
}

/// The window itself.
#[derive(Debug, Default)]
pub(super) struct Window {
    minutes: Ring<Minute, MINUTES>,
    endpoints: HashMap<String, Endpoint>,
    ages: Vec<(f64, u64)>,
    /// Events that were accepted, by event and product: the counter, and what it grew by.
    accepted: HashMap<(String, String), (u64, Ring<u64, HOURS>)>,
    /// When it was fed first.
    since_ms: Option<u64>,
}

impl Window {
    /// Takes the counters in. What happened since the last time counts for the minute and the hour of `now_ms`.
    pub(super) fn feed(&mut self, traffic: Traffic, now_ms: u64) {
        let (minute, hour) = (now_ms / MINUTE_MS, now_ms / HOUR_MS);
        self.since_ms.get_or_insert(now_ms);
        self.take_accepted(traffic.accepted, hour);
        let listed: HashSet<&str> =
            traffic.endpoints.iter().map(|endpoint| endpoint.endpoint.as_str()).collect();
        self.endpoints.retain(|name, _| listed.contains(name.as_str()));
        drop(listed);
        let mut sum = Counts::default();
        for now in traffic.endpoints {
            if self.endpoints.len() >= MAX_ENDPOINTS && !self.endpoints.contains_key(&now.endpoint) {
                continue;
            }
            let endpoint = self.endpoints.entry(now.endpoint.clone()).or_default();
            let last = endpoint.last.take();
            let before = |of: fn(&EndpointTraffic) -> u64| last.as_ref().map_or(0, of);
            let delivered = since(now.delivered, before(|last| last.delivered));
            let failed = since(now.failed, before(|last| last.failed));
            if last.as_ref().is_some_and(|last| last.account != now.account) {
                // Whose these were is not known: of neither, but they happened.
                *endpoint = Endpoint::default();
            } else {
                let counts = endpoint.hours.at(hour);
                counts.delivered += delivered;
                counts.failed += failed;
            }
            *endpoint.waiting.at(minute) = Some(now.waiting);
            sum.delivered += delivered;
            sum.failed += failed;
            endpoint.last = Some(now);
        }
        let ages = parts(&traffic.ages, &self.ages);
        let slot = self.minutes.at(minute);
        slot.counts.delivered += sum.delivered;
        slot.counts.failed += sum.failed;
        slot.ages.resize(ages.len(), 0);
        for (count, more) in slot.ages.iter_mut().zip(ages) {
            *count += more;
        }
        self.ages = traffic.ages;
    }

    fn take_accepted(&mut self, accepted: Vec<(String, String, u64)>, hour: u64) {
        for (event, product, now) in accepted {
            let kind = (event, product);
            if self.accepted.len() >= MAX_KINDS && !self.accepted.contains_key(&kind) {
                continue;
            }
            let (last, hours) = self.accepted.entry(kind).or_default();
            *hours.at(hour) += since(now, *last);
            *last = now;
        }
    }

    /// Events that were accepted in the last day, by event and product, in their order.
    pub(super) fn accepted(&self, now_ms: u64) -> Vec<(&str, &str, u64)> {
        let sum = |hours: &Ring<u64, HOURS>| hours.upto(now_ms / HOUR_MS).into_iter().sum();
        let mut all: Vec<(&str, &str, u64)> = self
            .accepted
            .iter()
            .map(|((event, product), (_, hours))| (event.as_str(), product.as_str(), sum(hours)))
            .filter(|(_, _, count)| *count > 0)
            .collect();
        all.sort_unstable();
        all
    }

    /// Since when it knows anything.
    pub(super) fn since_ms(&self) -> Option<u64> {
        self.since_ms
    }

    /// The last hour, oldest minute first.
    pub(super) fn hour(&self, now_ms: u64) -> Vec<Point> {
        let bounds: Vec<f64> = self.ages.iter().map(|(bound, _)| *bound).collect();
        let minutes = self.minutes.upto(now_ms / MINUTE_MS);
        let point = |minute: Minute| Point {
            counts: minute.counts,
            p50: quantile(&bounds, &minute.ages, 0.5),
            p99: quantile(&bounds, &minute.ages, 0.99),
        };
        minutes.into_iter().map(point).collect()
    }

    /// The last day of an endpoint, oldest hour first; none: nothing is known of it.
    pub(super) fn day(&self, endpoint: &str, account: Option<&str>, now_ms: u64) -> Option<Vec<Counts>> {
        let endpoint = self.endpoints.get(endpoint).filter(|endpoint| endpoint.account() == account)?;
        Some(endpoint.hours.upto(now_ms / HOUR_MS))
    }

    /// What waited at an endpoint in the last hour, oldest minute first. A minute nobody looked is filled from the one
    /// before.
    pub(super) fn waiting(&self, endpoint: &str, now_ms: u64) -> Vec<u64> {
        let Some(endpoint) = self.endpoints.get(endpoint) else { return vec![0; MINUTES] };
        let mut last = 0;
        let fill = |slot: Option<u64>| {
            last = slot.unwrap_or(last);
            last
        };
        endpoint.waiting.upto(now_ms / MINUTE_MS).into_iter().map(fill).collect()
    }

    /// Of the endpoints that count, those with the most that waited within the hour, at most `count`.
    pub(super) fn fullest(
        &self,
        count: usize,
        now_ms: u64,
        counts: impl Fn(&str, Option<&str>) -> bool,
    ) -> Vec<(String, Vec<u64>)> {
        let mut all: Vec<(u64, &String)> = self
            .endpoints
            .iter()
            .filter(|(name, endpoint)| counts(name, endpoint.account()))
            .map(|(name, _)| (self.waiting(name, now_ms).into_iter().max().unwrap_or(0), name))
            .filter(|(most, _)| *most > 0)
            .collect();
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        all.truncate(count);
        all.into_iter().map(|(_, name)| (name.clone(), self.waiting(name, now_ms))).collect()
    }
}

/// How much a counter grew; one that is lower than before began anew.
const fn since(now: u64, before: u64) -> u64 {
    if now < before { now } else { now - before }
}

/// Cumulative counts to how many are new in each bucket.
fn parts(now: &[(f64, u64)], before: &[(f64, u64)]) -> Vec<u64> {
    let mut below = 0;
    let part = |(position, (_, count)): (usize, &(f64, u64))| {
        let earlier = before.get(position).map_or(0, |(_, count)| *count);
        let new = since(*count, earlier);
        let part = new.saturating_sub(below);
        below = new;
        part
    };
    now.iter().enumerate().map(part).collect()
}

/// Where in the buckets that part of the values lies, drawn straight between the bounds of its bucket.
#[expect(clippy::cast_precision_loss, reason = "counts of a minute, for a picture")]
fn quantile(bounds: &[f64], counts: &[u64], part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = part * all as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds.iter().zip(counts) {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(if bound.is_finite() {
                lower + (bound - lower) * (wanted - below) / count
            } else {
                lower
            });
        }
        below += count;
        if bound.is_finite() {
            lower = *bound;
        }
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(delivered: u64, failed: u64, waiting: u64, ages: &[(f64, u64)]) -> Traffic {
        of_account(None, delivered, failed, waiting, ages)
    }

    fn of_account(
        account: Option<&str>,
        delivered: u64,
        failed: u64,
        waiting: u64,
        ages: &[(f64, u64)],
    ) -> Traffic {
        let account = account.map(str::to_owned);
        let endpoint = EndpointTraffic { endpoint: "acme".to_owned(), account, delivered, failed, waiting };
        Traffic { endpoints: vec![endpoint], ages: ages.to_vec(), accepted: Vec::new() }
    }

    #[test]
    fn what_happened_between_two_looks_counts_for_the_minute_of_the_second() {
        let mut window = Window::default();
        window.feed(traffic(10, 1, 3, &[]), 0);
        window.feed(traffic(25, 1, 4, &[]), 30_000);
        window.feed(traffic(26, 5, 0, &[]), 61_000);
        let hour = window.hour(61_000);
        assert_eq!(hour.len(), MINUTES);
        assert_eq!(hour[MINUTES - 2].counts, Counts { delivered: 25, failed: 1 });
        assert_eq!(hour[MINUTES - 1].counts, Counts { delivered: 1, failed: 4 });
        assert_eq!(window.waiting("acme", 61_000)[MINUTES - 2..], [4, 0]);
        assert_eq!(window.day("acme", None, 61_000).unwrap()[HOURS - 1], Counts { delivered: 26, failed: 5 });
    }

    #[test]
    fn a_counter_that_began_anew_is_no_negative_number() {
        let mut window = Window::default();
        window.feed(traffic(100, 0, 0, &[]), 0);
        window.feed(traffic(7, 0, 0, &[]), 1000);
        assert_eq!(window.hour(1000)[MINUTES - 1].counts.delivered, 107);
    }

    #[test]
    fn what_is_older_than_the_window_is_gone_and_the_window_keeps_its_size() {
        let mut window = Window::default();
        window.feed(traffic(5, 0, 9, &[]), 0);
        let later = 61 * MINUTE_MS;
        assert!(window.hour(later).iter().all(|point| point.counts == Counts::default()));
        for minute in 0..500 {
            window.feed(traffic(5 + minute, 0, 1, &[]), minute * MINUTE_MS);
        }
        assert_eq!(window.minutes.slots.len(), MINUTES);
        assert_eq!(window.hour(499 * MINUTE_MS).iter().map(|p| p.counts.delivered).sum::<u64>(), 60);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let mut window = Window::default();
        window.feed(traffic(1, 0, 0, &[]), 10 * MINUTE_MS);
        window.feed(traffic(4, 0, 0, &[]), 2 * MINUTE_MS);
        assert_eq!(window.hour(10 * MINUTE_MS)[MINUTES - 1].counts.delivered, 4);
    }

    #[test]
    fn an_endpoint_that_is_gone_leaves_nothing_behind() {
        let mut window = Window::default();
        window.feed(traffic(1, 0, 5, &[]), 0);
        assert_eq!(window.fullest(3, 0, |_, _| true).len(), 1);
        assert!(window.fullest(3, 0, |name, _| name != "acme").is_empty());
        window.feed(Traffic::default(), 1000);
        assert!(window.day("acme", None, 1000).is_none());
        assert!(window.fullest(3, 1000, |_, _| true).is_empty());
    }

    #[test]
    fn a_name_that_has_another_account_begins_anew_and_tells_it_nothing_of_the_one_before() {
        let mut window = Window::default();
        window.feed(of_account(Some("globex"), 9, 4, 7, &[]), 0);
        assert_eq!(window.day("acme", Some("globex"), 0).unwrap()[HOURS - 1].delivered, 9);
        window.feed(of_account(Some("initech"), 11, 4, 0, &[]), 1000);
        window.feed(of_account(Some("initech"), 12, 4, 2, &[]), 2000);
        assert!(window.day("acme", Some("globex"), 2000).is_none());
        let day = window.day("acme", Some("initech"), 2000).unwrap();
        assert_eq!(day.iter().map(|hour| (hour.delivered, hour.failed)).max(), Some((1, 0)));
        let full = |account: &str| window.fullest(3, 2000, |_, of| of == Some(account));
        assert!(full("globex").is_empty());
        let (_, waited) = full("initech").remove(0);
        assert_eq!(waited.iter().max(), Some(&2), "what waited before was not its own");
        let all: u64 = window.hour(2000).iter().map(|minute| minute.counts.delivered).sum();
        assert_eq!(all, 12, "of all endpoints together nothing is lost");
    }

    #[test]
    fn ages_are_those_of_the_minute_not_of_all_time() {
        let mut window = Window::default();
        let infinite = f64::INFINITY;
        window.feed(traffic(0, 0, 0, &[(0.01, 1000), (1.0, 1000), (infinite, 1000)]), 0);
        window.feed(traffic(0, 0, 0, &[(0.01, 1000), (1.0, 1100), (infinite, 1100)]), MINUTE_MS);
        let point = window.hour(MINUTE_MS)[MINUTES - 1];
        let p50 = point.p50.unwrap();
        assert!((0.4..0.6).contains(&p50), "{p50}");
        assert!(point.p99.unwrap() > 0.9);
        assert_eq!(window.hour(2 * MINUTE_MS)[MINUTES - 1].p50, None);
    }

    #[test]
    fn events_of_the_last_day_are_counted_by_event_and_product() {
        let mut window = Window::default();
        let counted = |count| Traffic {
            accepted: vec![
                ("sent".to_owned(), "crm".to_owned(), count),
                ("read".to_owned(), "crm".to_owned(), 0),
            ],
            ..Traffic::default()
        };
        window.feed(counted(3), 0);
        window.feed(counted(10), 20 * HOUR_MS);
        assert_eq!(window.accepted(20 * HOUR_MS), [("sent", "crm", 10)]);
        assert_eq!(window.accepted(30 * HOUR_MS), [("sent", "crm", 7)]);
        assert_eq!(window.accepted(60 * HOUR_MS), []);
        assert_eq!(window.since_ms(), Some(0));
    }

    #[test]
    fn so_many_endpoints_at_most_have_numbers_of_their_own() {
        let mut window = Window::default();
        let endpoints = (0..MAX_ENDPOINTS + 10)
            .map(|n| EndpointTraffic { endpoint: format!("e{n}"), ..EndpointTraffic::default() })
            .collect();
        window.feed(Traffic { endpoints, ..Traffic::default() }, 0);
        assert_eq!(window.endpoints.len(), MAX_ENDPOINTS);
    }
}
