//! Rounds of figures: medians with their range, printed as tables and kept as JSON, the goal beside each.

use crate::rig::Rig;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The figures of one row.
pub(crate) type Row = BTreeMap<String, f64>;
/// What one round showed, by row.
pub(crate) type Round = BTreeMap<String, Row>;

/// A row out of names and values.
pub(crate) fn row<const N: usize>(figures: [(&str, f64); N]) -> Row {
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One figure of a round.
pub(crate) fn at(round: &Round, row: &str, column: &str) -> Option<f64> {
    round.get(row)?.get(column).copied()
}

/// What the figures are to be compared with.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// It is only worth knowing.
    None,
}

type Ask = Box<dyn Fn(&Round) -> Option<f64>>;

/// A figure that is computed within each round, so that whatever else the machine did weighs on both sides.
pub(crate) struct Question {
    what: String,
    goal: Goal,
    ask: Ask,
}

impl Question {
    pub(crate) fn new(what: &str, goal: Goal, ask: impl Fn(&Round) -> Option<f64> + 'static) -> Self {
        Self { what: what.to_owned(), goal, ask: Box::new(ask) }
    }

    /// A figure of one row against the same of another.
    pub(crate) fn ratio(what: &str, goal: Goal, column: &'static str, rows: [String; 2]) -> Self {
        let [row, reference] = rows;
        Self::new(what, goal, move |round| Some(at(round, &row, column)? / at(round, &reference, column)?))
    }
}

/// The middle one of some figures, and the outermost.
#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

#[derive(Serialize)]
struct Answer<'a> {
    what: &'a str,
    goal: Goal,
    met: Option<bool>,
    #[serde(flatten)]
    found: Spread,
}

#[derive(Serialize)]
struct Document<'a> {
    benchmark: &'a str,
    commit: &'a str,
    command: String,
    answers: Vec<Answer<'a>>,
    figures: BTreeMap<&'a str, BTreeMap<&'a str, Spread>>,
    rounds: &'a [Round],
}

/// The part of it that is read again.
#[derive(Deserialize)]
struct Earlier {
    rounds: Vec<Round>,
}

/// Measures round by round, prints each, and at the end what they come to. The JSON is written after every round.
pub(crate) fn run(
    rig: &Rig,
    benchmark: &str,
    questions: &[Question],
    mut measure: impl FnMut(usize) -> Result<Round>,
) -> Result<()> {
    let json = rig.json(benchmark);
    let mut rounds = Vec::new();
    if rig.more && json.exists() {
        let text = std::fs::read(&json)?;
        let earlier: Earlier = serde_json::from_slice(&text).context("cannot read the earlier rounds")?;
        rounds = earlier.rounds;
    }
    for _ in 0..rig.rounds {
        let round = measure(rounds.len())?;
        println!("round {}\n{}", rounds.len() + 1, table(&round, |figure| number(*figure)));
        rounds.push(round);
        std::fs::write(&json, serde_json::to_vec_pretty(&document(rig, benchmark, questions, &rounds))?)
            .with_context(|| format!("cannot write {}", json.display()))?;
    }
    let document = document(rig, benchmark, questions, &rounds);
    println!("median (range) of {} rounds\n{}", rounds.len(), table(&document.figures, Spread::to_string));
    for answer in &document.answers {
        println!("{answer}");
    }
    println!("figures: {}", json.display());
    Ok(())
}

fn document<'a>(
    rig: &'a Rig,
    benchmark: &'a str,
    questions: &'a [Question],
    rounds: &'a [Round],
) -> Document<'a> {
    let mut values: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for (row, figures) in rounds.iter().flatten() {
        for (column, value) in figures {
            values.entry(row).or_default().entry(column).or_default().push(*value);
        }
    }
    let spreads = |row: BTreeMap<&'a str, Vec<f64>>| {
        row.into_iter().filter_map(|(column, values)| Some((column, Spread::of(values)?))).collect()
    };
    let answers = questions.iter().filter_map(|question| {
        let found = Spread::of(rounds.iter().filter_map(|round| (question.ask)(round)).collect())?;
        let met = match question.goal {
            Goal::AtMost(goal) => Some(found.median <= goal),
            Goal::AtLeast(goal) => Some(found.median >= goal),
            Goal::None => None,
        };
        Some(Answer { what: &question.what, goal: question.goal, met, found })
    });
    Document {
        benchmark,
        commit: &rig.commit,
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        answers: answers.collect(),
        figures: values.into_iter().map(|(row, values)| (row, spreads(values))).collect(),
        rounds,
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle - 1)?, upper)
        } else {
            upper
        };
        Some(Self { median, least: *values.first()?, most: *values.last()? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", number(self.median), number(self.least), number(self.most))
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.found)?;
        match (self.goal, self.met) {
            (Goal::AtMost(goal), Some(met)) => write!(f, "; goal: at most {goal}, {}", verdict(met)),
            (Goal::AtLeast(goal), Some(met)) => write!(f, "; goal: at least {goal}, {}", verdict(met)),
            _ => Ok(()),
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn table<R, C, V>(rows: &BTreeMap<R, BTreeMap<C, V>>, show: impl Fn(&V) -> String) -> String
where
    R: fmt::Display,
    C: AsRef<str> + Ord,
{
    let columns: std::collections::BTreeSet<&str> =
        rows.values().flatten().map(|(column, _)| column.as_ref()).collect();
    let head = std::iter::once("").chain(columns.iter().copied());
    let mut lines = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for (row, figures) in rows {
        let find = |wanted: &&str| figures.iter().find(|(column, _)| column.as_ref() == *wanted);
        let cells = columns
            .iter()
            .map(|column| find(column).map_or_else(|| "-".to_owned(), |(_, value)| show(value)));
        lines.push(std::iter::once(row.to_string()).chain(cells).collect());
    }
    let widths: Vec<usize> = (0..=columns.len())
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            if at == 0 {
                text.push_str(&format!("  {cell:<width$}"));
            } else {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push('\n');
    }
    text
}
