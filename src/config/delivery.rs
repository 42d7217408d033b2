//! The keys that `[defaults]` and an endpoint file share. What a file leaves out is inherited, key by key; lists
//! replace whole.

use super::section::Section;
use crate::policy::{BreakerSettings, DeliverySettings, Ordering, RetrySettings};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The waits of a schedule: entries, and how long each.
const SCHEDULE: (usize, RangeInclusive<Duration>) = (100, MS..=MONTH);

/// Reads the delivery keys of a table; what it does not say is `base`'s.
pub(super) fn delivery(section: &mut Section<'_>, base: &DeliverySettings) -> DeliverySettings {
    let orderings =
        [("message", Ordering::Message), ("endpoint", Ordering::Endpoint), ("none", Ordering::None)];
    DeliverySettings {
        timeout: section.duration("timeout", base.timeout, MS..=HOUR),
        connect_timeout: section.duration("connect_timeout", base.connect_timeout, MS..=HOUR),
        concurrency: concurrency(section, base.concurrency),
        ordering: section.choice("ordering", &orderings).unwrap_or(base.ordering),
        rate: section.rate("rate", base.rate),
        keep_answer: section.boolean("keep_answer").map_or(base.keep_answer, |(keep, _)| keep),
        retry: section.table("retry").map_or_else(|| base.retry.clone(), |table| retry(table, &base.retry)),
        breaker: section
            .table("breaker")
            .map_or_else(|| base.breaker.clone(), |table| breaker(table, &base.breaker)),
    }
}

fn concurrency(section: &mut Section<'_>, base: NonZeroUsize) -> NonZeroUsize {
    let default = u64::try_from(base.get()).unwrap_or(1);
    let number = section.integer("concurrency", default, 1..=1024);
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(base)
}

fn retry(mut table: Section<'_>, base: &RetrySettings) -> RetrySettings {
    let settings = RetrySettings {
        schedule: table.durations("schedule", &base.schedule, &SCHEDULE.1, SCHEDULE.0),
        jitter: table.number("jitter", base.jitter, |part| (0.0..=1.0).contains(&part), "0 to 1"),
        max_age: table.duration("max_age", base.max_age, MS..=YEAR),
    };
    table.finish();
    settings
}

fn breaker(mut table: Section<'_>, base: &BreakerSettings) -> BreakerSettings {
    let settings = BreakerSettings {
        failures: count(&mut table, "failures", base.failures, 1_000_000),
        ratio: table.number("ratio", base.ratio, |part| part > 0.0 && part <= 1.0, "more than 0, at most 1"),
        window: table.duration("window", base.window, MS..=HOUR),
        min_attempts: count(&mut table, "min_attempts", base.min_attempts, 1_000_000),
        open: table.duration("open", base.open, MS..=DAY),
        max_open: table.duration("max_open", base.max_open, MS..=DAY),
        probes: count(&mut table, "probes", base.probes, 1000),
    };
    if settings.max_open < settings.open {
        table.missing("max_open is shorter than open", "The waits double from open up to max_open.");
    }
    table.finish();
    settings
}

fn count(table: &mut Section<'_>, key: &'static str, base: NonZeroU32, most: u32) -> NonZeroU32 {
    let number = table.integer(key, u64::from(base.get()), 1..=u64::from(most));
    u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(base)
}
