//! Durations, sizes and rates as people write them, and back.

use crate::policy::Rate;
use std::num::NonZeroU32;
use std::time::Duration;

const KIB: u64 = 1024;

/// Units of time, in milliseconds, the longest first.
const TIMES: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 9] = [
    ("TiB", KIB * KIB * KIB * KIB),
    ("GiB", KIB * KIB * KIB),
    ("MiB", KIB * KIB),
    ("KiB", KIB),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// `"250ms"`, `"5s"`, `"2h"`: a whole number and a unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = TIMES.iter().find(|(name, _)| *name == unit)?.1;
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// `"256 KiB"`: a whole number and a unit, or a number of bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let bytes = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    number.checked_mul(bytes)
}

/// `"50/s"`, `"1000/m"`, `"10000/h"`.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let per = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let count = NonZeroU32::new(count.trim().parse().ok()?)?;
    Some(Rate { count, per: Duration::from_secs(per) })
}

/// A duration as it would be written: the longest unit without a remainder.
pub(super) fn show_duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match TIMES.iter().skip(1).find(|(_, unit)| millis.is_multiple_of(*unit) && millis >= *unit) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => "0s".to_owned(),
    }
}

/// A size as it would be written.
pub(super) fn show_size(bytes: u64) -> String {
    match SIZES.iter().take(4).find(|(_, unit)| bytes.is_multiple_of(*unit) && bytes >= *unit) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show_rate(rate: Rate) -> String {
        let unit = match rate.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        format!("{}/{unit}", rate.count)
    }

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        for text in ["", "5", "s", "-5s", "5.5s", "5 parsecs", "5M", "99999999999999999999s", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_rates_read_as_they_are_shown() {
        for bytes in [1, 1024, 262_144, 10 << 30, 1500] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(size("10 GiB"), Some(10 << 30));
        for text in ["50/s", "1000/m", "7/h"] {
            assert_eq!(rate(text).map(show_rate).as_deref(), Some(text));
        }
        for text in ["0/s", "50", "50/d", "/s", "x/s"] {
            assert_eq!(rate(text), None, "{text}");
        }
        for text in ["5s", "90s", "2h", "7d", "250ms", "0s"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
    }
}
