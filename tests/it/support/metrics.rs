/// Name, labels, value.
type Series = (String, Vec<(String, String)>, f64);

/// What `/metrics` said.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    series: Vec<Series>,
}

impl Metrics {
    /// Reads the text format of Prometheus.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        Self { series: lines.map(series).collect() }
    }

    /// The sum of all series of that name which have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &[(String, String)], (key, value): &(&str, &str)| {
            own.iter().any(|(own_key, own_value)| own_key == key && own_value == value)
        };
        self.series
            .iter()
            .filter(|(own, own_labels, _)| own == name && labels.iter().all(|label| has(own_labels, label)))
            .map(|(_, _, value)| value)
            .fold(0.0, |sum, value| sum + value)
    }

    /// Whether there is a series of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.series.iter().any(|(own, _, _)| own == name)
    }
}

fn series(line: &str) -> Series {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
    let value = value.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), Vec::new(), value) };
    let mut pairs = Vec::new();
    let mut rest = labels.trim_end_matches('}');
    while let Some((key, tail)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut chars = tail.char_indices();
        let mut end = tail.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => {
                    text.extend(chars.next().map(|(_, escaped)| if escaped == 'n' { '\n' } else { escaped }));
                }
                _ => text.push(char),
            }
        }
        pairs.push((key.trim_start_matches(',').to_owned(), text));
        rest = &tail[end..];
    }
    (name.to_owned(), pairs, value)
}

#[test]
fn labels_are_read_with_their_escapes() {
    let metrics = Metrics::parse("# HELP a b\na 1\nb{x=\"1\",y=\"q\\\"}\"} 2\nb{x=\"2\"} 3.5\n");
    assert!((metrics.sum("a", &[]) - 1.0).abs() < f64::EPSILON);
    assert!((metrics.sum("b", &[]) - 5.5).abs() < f64::EPSILON);
    assert!((metrics.sum("b", &[("y", "q\"}")]) - 2.0).abs() < f64::EPSILON);
    assert!(metrics.has("b") && !metrics.has("c"));
}
