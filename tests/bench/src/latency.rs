//! How long events take at a part of the load that can be carried: daemon and bare forwarder in turn, at the same
//! rates. Events are due at fixed times whatever the system does, so that a stall counts for everything behind it.

use crate::rig::{Kind, Pace, Rig, Shape, Site, turns};
use crate::rounds::{Goal, Question, Round, Row, row, run as rounds};
use anyhow::{Context, Result};

/// Parts of the maximum, in percent.
const LOADS: [u32; 3] = [20, 50, 80];
/// So many connections that none has to wait for another's answer.
const CONNECTIONS: usize = 256;

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
    /// Events a second that both can carry; without it, it is measured first.
    #[arg(long)]
    maximum: Option<f64>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let maximum = match options.maximum {
        Some(maximum) => maximum,
        None => maximum(&options.rig)?,
    };
    println!("maximum: {maximum:.0} events a second");
    let mut questions = Vec::new();
    for load in LOADS {
        let goal = if load == 50 { Goal::AtMost(3.0) } else { Goal::None };
        for (what, column) in [("accepted", "p99_ms"), ("due", "due_p99_ms")] {
            let what = format!("p99 from {what} to receipt at {load} %, daemon against forwarder");
            questions.push(Question::ratio(&what, goal, column, rows(load)));
        }
    }
    rounds(&options.rig, "latency", &questions, |round| {
        let mut figures = Round::new();
        for load in LOADS {
            for kind in turns(round, [Kind::Daemon, Kind::Forwarder]) {
                let rate = maximum * f64::from(load) / 100.0;
                figures.insert(name(load, kind), measure(&options.rig, kind, rate)?);
            }
        }
        Ok(figures)
    })
}

fn name(load: u32, kind: Kind) -> String {
    format!("{load} % {}", kind.name())
}

fn rows(load: u32) -> [String; 2] {
    [name(load, Kind::Daemon), name(load, Kind::Forwarder)]
}

/// What the slower one carries, the middle of three tries.
fn maximum(rig: &Rig) -> Result<f64> {
    let mut slower = Vec::new();
    for round in 0..3 {
        let mut carried = f64::INFINITY;
        for kind in turns(round, [Kind::Daemon, Kind::Forwarder]) {
            let mut site = Site::start(rig, kind, Shape::ONE)?;
            site.warm_up()?;
            let (cost, ()) = site.load("main", site.closed(), || Ok(()))?;
            site.finish()?;
            carried = carried.min(cost.events / cost.seconds);
        }
        slower.push(carried);
    }
    slower.sort_by(f64::total_cmp);
    slower.get(1).copied().context("three tries")
}

fn measure(rig: &Rig, kind: Kind, rate: f64) -> Result<Row> {
    let mut site = Site::start(rig, kind, Shape::ONE)?;
    site.warm_up()?;
    let pace = Pace { rate: Some(rate), connections: CONNECTIONS, ..site.closed() };
    let (cost, ()) = site.load("main", pace, || Ok(()))?;
    let times = site.finish()?.times("main")?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds")]
    let millis = |us: u64| us as f64 / 1000.0;
    Ok(row([
        ("rate", rate),
        ("us_per_event", cost.us_per_event()),
        ("p50_ms", millis(times.since_accepted.p50_us)),
        ("p99_ms", millis(times.since_accepted.p99_us)),
        ("p999_ms", millis(times.since_accepted.p999_us)),
        ("due_p50_ms", millis(times.since_due.p50_us)),
        ("due_p99_ms", millis(times.since_due.p99_us)),
        ("due_p999_ms", millis(times.since_due.p999_us)),
    ]))
}
