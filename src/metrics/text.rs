//! The text format of Prometheus, version 0.0.4.

use super::ENDPOINT;
use super::endpoint::{Number, Numbers, Own};
use super::histogram::{Reading, SecondsStorage};
use super::names::{self, SeriesKind};
use metrics::Key;
use metrics_util::registry::Registry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

enum Reads {
    One(Number),
    Histogram(Reading),
}

/// The kind of a family, and its series: a series by its labels as they are written.
struct Family {
    kind: SeriesKind,
    series: BTreeMap<String, Reads>,
    /// What every endpoint has of it.
    own: Option<&'static Own>,
}

/// By name.
type Families = BTreeMap<String, Family>;

pub(super) fn render(
    registry: &Registry<Key, SecondsStorage>,
    mut endpoints: Vec<(Arc<str>, Arc<Numbers>)>,
    described: &HashMap<String, String>,
) -> String {
    static OWN: [Own; Own::ALL.len()] = Own::ALL;
    let mut families = Families::new();
    for own in OWN.iter().filter(|_| !endpoints.is_empty()) {
        let known = names::FAMILIES.iter().find(|family| family.name == own.family);
        let kind = known.map_or(SeriesKind::Gauge, |family| family.kind);
        families.insert(own.family.to_owned(), Family { kind, series: BTreeMap::new(), own: Some(own) });
    }
    registry.visit_counters(|key, counter| {
        let value = Number::Counter(counter.load(Ordering::Relaxed));
        add(&mut families, key, SeriesKind::Counter, Reads::One(value));
    });
    registry.visit_gauges(|key, gauge| {
        let value = Number::Gauge(f64::from_bits(gauge.load(Ordering::Relaxed)));
        add(&mut families, key, SeriesKind::Gauge, Reads::One(value));
    });
    registry.visit_histograms(|key, buckets| {
        add(&mut families, key, SeriesKind::Histogram, Reads::Histogram(buckets.read()));
    });
    endpoints.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let endpoints: Vec<(String, Arc<Numbers>)> =
        endpoints.into_iter().map(|(name, of)| (escaped(&name), of)).collect();
    let mut out = String::new();
    for (name, family) in &families {
        head(&mut out, name, family.kind, described);
        for (labels, reads) in &family.series {
            write_series(&mut out, name, labels, reads);
        }
        for own in family.own.iter() {
            for (endpoint, numbers) in &endpoints {
                write_own(&mut out, own, endpoint, numbers);
            }
        }
    }
    out
}

/// The series that an endpoint has of a family.
fn write_own(out: &mut String, own: &Own, endpoint: &str, numbers: &Numbers) {
    let Own { family, label, values, read } = own;
    for (at, value) in values.iter().enumerate() {
        let _ = write!(out, "{family}{{{ENDPOINT}=\"{endpoint}\"");
        if !label.is_empty() {
            let _ = write!(out, ",{label}=\"{value}\"");
        }
        let _ = match read(numbers, at) {
            Number::Counter(value) => writeln!(out, "}} {value}"),
            Number::Gauge(value) => writeln!(out, "}} {}", number(value)),
        };
    }
}

/// A name means one kind: what came first wins, as a scraper would refuse the whole page otherwise.
fn add(families: &mut Families, key: &Key, kind: SeriesKind, reads: Reads) {
    let new = || Family { kind, series: BTreeMap::new(), own: None };
    let family = families.entry(valid_name(key.name())).or_insert_with(new);
    if family.kind == kind {
        family.series.insert(labels(key), reads);
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
        Reads::One(Number::Counter(value)) => writeln!(out, "{name}{set} {value}"),
        Reads::One(Number::Gauge(value)) => writeln!(out, "{name}{set} {}", number(*value)),
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
        let _ = write!(out, "{comma}{}=\"{}\"", valid_name(label.key()), escaped(label.value()));
    }
    out
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
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
