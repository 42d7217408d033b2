//! A subscriber that is down while events keep coming, and a crash on top: how fast they are taken, what they cost in
//! memory and on the disk, and how long the next start takes. Beside it the bare forwarder, which forgets them.

use crate::rig::{Kind, Pace, Rig, Shape, Site, get, turns};
use crate::rounds::{Goal, Question, Row, row, run as rounds};
use anyhow::{Result, ensure};
use std::path::Path;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
    /// How many events wait.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = ["daemon".to_owned(), "forwarder".to_owned()];
    let questions = [
        Question::new("seconds from a start after a crash until ready", Goal::AtMost(1.0), |round| {
            crate::rounds::at(round, "daemon", "ready_s")
        }),
        Question::ratio("events taken a second, daemon against forwarder", Goal::None, "per_second", rows),
    ];
    let name = match options.events {
        1_000_000 => "backlog".to_owned(),
        events => format!("backlog-{events}"),
    };
    rounds(&options.rig, &name, &questions, |round| {
        let measured = turns(round, [Kind::Daemon, Kind::Forwarder])
            .map(|kind| Ok((kind.name().to_owned(), measure(options, kind)?)));
        measured.into_iter().collect()
    })
}

fn measure(options: &Options, kind: Kind) -> Result<Row> {
    let mut site = Site::start(&options.rig, kind, Shape { down: true, ..Shape::ONE })?;
    let pace = Pace { events: Some(options.events), ..site.closed() };
    let (cost, ()) = site.load("main", pace, || Ok(()))?;
    let mut figures = row([
        ("us_per_event", cost.us_per_event()),
        ("per_second", cost.events / cost.seconds),
        ("filled_mib", site.mib("VmRSS")?),
        ("peak_mib", site.mib("VmHWM")?),
    ]);
    if kind == Kind::Daemon {
        let waiting = pending(&site)?;
        #[expect(clippy::cast_precision_loss, reason = "bytes of a folder")]
        let disk = bytes(&site.dir().join("data"))? as f64 / f64::from(1 << 20);
        site.kill_and_restart()?;
        let kept = pending(&site)?;
        ensure!(waiting >= options.events, "{waiting} of {} wait", options.events);
        ensure!(kept >= options.events, "after the crash {kept} of {} wait", options.events);
        figures.extend(row([
            ("disk_mib", disk),
            ("ready_s", site.start.as_secs_f64()),
            ("ready_mib", site.mib("VmRSS")?),
        ]));
    }
    Ok(figures)
}

/// Deliveries that wait, whether for their retry or for their turn.
fn pending(site: &Site<'_>) -> Result<u64> {
    let metrics = get(site.admin()?, "/metrics")?;
    let lines = metrics.lines().filter(|line| line.starts_with("postrider_deliveries_pending{"));
    lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?)).sum()
}

fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}
