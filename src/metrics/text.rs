//! The text format of Prometheus, version 0.0.4.

use super::histogram::{Reading, SecondsStorage};
use super::names::{self, SeriesKind};
use metrics::Key;
use metrics_util::registry::Registry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

enum Reads {
    Counter(u64),
    Gauge(f64),
    Histogram(Reading),
}

/// Name, to its kind and its series; a series by its labels as they are written.
type Families = BTreeMap<String, (SeriesKind, BTreeMap<String, Reads>)>;

pub(super) fn render(
    registry: &Registry<Key, SecondsStorage>,
    described: &HashMap<String, String>,
) -> String {
    let mut families = Families::new();
    registry.visit_counters(|key, counter| {
        add(&mut families, key, SeriesKind::Counter, Reads::Counter(counter.load(Ordering::Relaxed)));
    });
    registry.visit_gauges(|key, gauge| {
        let value = f64::from_bits(gauge.load(Ordering::Relaxed));
        add(&mut families, key, SeriesKind::Gauge, Reads::Gauge(value));
    });
    registry.visit_histograms(|key, buckets| {
        add(&mut families, key, SeriesKind::Histogram, Reads::Histogram(buckets.read()));
    });
    let mut out = String::new();
    for (name, (kind, series)) in &families {
        head(&mut out, name, *kind, described);
        for (labels, reads) in series {
            write_series(&mut out, name, labels, reads);
        }
    }
    out
}

/// A name means one kind: what came first wins, as a scraper would refuse the whole page otherwise.
fn add(families: &mut Families, key: &Key, kind: SeriesKind, reads: Reads) {
    let family = families.entry(valid_name(key.name())).or_insert_with(|| (kind, BTreeMap::new()));
    if family.0 == kind {
        family.1.insert(labels(key), reads);
    }
}

fn head(out: &mut String, name: &str, kind: SeriesKind, described: &HashMap<String, String>) {
    let known = names::FAMILIES.iter().find(|family| family.name == name).map(|family| family.help);
    if let Some(help) = known.or_else(|| described.get(name).map(String::as_str)) {
        let _ = writeln!(out, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
    }
    let kind = match kind {
        SeriesKind::Counter => "counter",
        SeriesKind::Gauge => "gauge",
        SeriesKind::Histogram => "histogram",
    };
    let _ = writeln!(out, "# TYPE {name} {kind}");
}

fn write_series(out: &mut String, name: &str, labels: &str, reads: &Reads) {
    let set = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = match reads {
        Reads::Counter(value) => writeln!(out, "{name}{set} {value}"),
        Reads::Gauge(value) => writeln!(out, "{name}{set} {}", number(*value)),
        Reads::Histogram(reading) => {
            let comma = if labels.is_empty() { "" } else { "," };
            for (bound, count) in &reading.buckets {
                let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
            }
            let Reading { count, sum, .. } = reading;
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "{name}_sum{set} {}", number(*sum));
            writeln!(out, "{name}_count{set} {count}")
        }
    };
}

fn labels(key: &Key) -> String {
    let mut out = String::new();
    for label in key.labels() {
        let comma = if out.is_empty() { "" } else { "," };
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{comma}{}=\"{value}\"", valid_name(label.key()));
    }
    out
}

/// Other crates may use dots and dashes in names; the format does not.
fn valid_name(name: &str) -> String {
    let mut valid: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if valid.starts_with(|c: char| c.is_ascii_digit()) {
        valid.insert(0, '_');
    }
    valid
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
