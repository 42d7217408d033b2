//! Daemon and bare forwarder in turn, under the same load.

use crate::rig::{Kind, Pace, Rig, Shape, Site, turns};
use crate::rounds::{Goal, Question, Row, row, run as rounds};
use anyhow::Result;

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
    /// Events per second; without it, as fast as answers come.
    #[arg(long)]
    rate: Option<f64>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = || ["daemon".to_owned(), "forwarder".to_owned()];
    let questions = [
        Question::ratio(
            "CPU per event, daemon against forwarder",
            Goal::AtMost(1.25),
            "us_per_event",
            rows(),
        ),
        Question::ratio("deliveries a second, likewise", Goal::AtLeast(0.8), "per_second", rows()),
    ];
    rounds(&options.rig, "cost", &questions, |round| {
        let measured = turns(round, [Kind::Daemon, Kind::Forwarder]).map(|kind| {
            let row = measure(&options.rig, kind, options.rate)?;
            Ok((kind.name().to_owned(), row))
        });
        measured.into_iter().collect()
    })
}

fn measure(rig: &Rig, kind: Kind, rate: Option<f64>) -> Result<Row> {
    let mut site = Site::start(rig, kind, Shape { concurrency: rig.connections, ..Shape::ONE })?;
    site.warm_up()?;
    let pace = Pace { rate, ..site.closed() };
    let (cost, ()) = site.load("main", pace, || Ok(()))?;
    let (peak, threads) = (site.mib("VmHWM")?, site.status("Threads")?);
    let times = site.finish()?.times("main")?.since_due;
    #[expect(clippy::cast_precision_loss, reason = "microseconds, and a few threads")]
    let (millis, threads) = (|us: u64| us as f64 / 1000.0, threads as f64);
    Ok(row([
        ("us_per_event", cost.us_per_event()),
        ("per_second", cost.events / cost.seconds),
        ("events_per_sync", cost.events / cost.syncs),
        ("threads", threads),
        ("peak_mib", peak),
        ("answer_p50_ms", millis(cost.answer_p50_us)),
        ("answer_p99_ms", millis(cost.answer_p99_us)),
        ("arrival_p50_ms", millis(times.p50_us)),
        ("arrival_p99_ms", millis(times.p99_us)),
    ]))
}
