//! One event for many endpoints, against a loop that makes the same POSTs and nothing else, as many a second.

use crate::post::Posted;
use crate::rig::{Kind, Pace, Rig, Shape, Site, turns};
use crate::rounds::{Goal, Question, Round, Row, row, run as rounds};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

const ENDPOINTS: [u32; 3] = [1, 10, 100];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
    /// Deliveries a second, of all endpoints together.
    #[arg(long, default_value_t = 20_000.0)]
    deliveries: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let questions = ENDPOINTS.map(|endpoints| {
        let goal = if endpoints == 100 { Goal::AtMost(1.6) } else { Goal::None };
        let what = format!("CPU per delivery at {endpoints} endpoints, daemon against a bare loop");
        Question::ratio(
            &what,
            goal,
            "us_per_delivery",
            ["daemon", "loop"].map(|name| format!("{endpoints:>3} {name}")),
        )
    });
    rounds(&options.rig, "fanout", &questions, |round| {
        let mut figures = Round::new();
        for endpoints in ENDPOINTS {
            for daemon in turns(round, [true, false]) {
                let (name, row) = if daemon {
                    ("daemon", daemon_row(options, endpoints)?)
                } else {
                    ("loop", loop_row(options, endpoints)?)
                };
                figures.insert(format!("{endpoints:>3} {name}"), row);
            }
        }
        Ok(figures)
    })
}

fn shape(endpoints: u32) -> Shape {
    Shape { active: u64::from(endpoints), concurrency: 16, ..Shape::ONE }
}

fn daemon_row(options: &Options, endpoints: u32) -> Result<Row> {
    let rig = &options.rig;
    let mut site = Site::start(rig, Kind::Daemon, shape(endpoints))?;
    let rate = Some(options.deliveries / f64::from(endpoints));
    let pace = Pace { rate, ..site.closed() };
    site.load("warm", Pace { seconds: rig.warm_up, ..pace }, || Ok(()))?;
    let (cost, ()) = site.load("main", pace, || Ok(()))?;
    let peak = site.mib("VmHWM")?;
    let times = site.finish()?.times("main")?.since_due;
    #[expect(clippy::cast_precision_loss, reason = "microseconds")]
    let millis = |us: u64| us as f64 / 1000.0;
    Ok(row([
        ("us_per_delivery", cost.us_per_delivery()),
        ("per_second", cost.deliveries / cost.seconds),
        ("peak_mib", peak),
        ("arrival_p50_ms", millis(times.p50_us)),
        ("arrival_p99_ms", millis(times.p99_us)),
    ]))
}

fn loop_row(options: &Options, endpoints: u32) -> Result<Row> {
    let rig = &options.rig;
    // Only its subscriber is needed.
    let site = Site::start(rig, Kind::Forwarder, shape(endpoints))?;
    let output = Command::new(std::env::current_exe()?)
        .args(["post", "--to", &site.subscriber.to_string(), "--endpoints", &endpoints.to_string()])
        .args(["--rate", &(options.deliveries / f64::from(endpoints)).to_string()])
        .args(["--seconds", &rig.seconds.to_string(), "--warm-up", &rig.warm_up.to_string()])
        .args(["--bytes", &rig.bytes.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the loop failed");
    }
    let posted: Posted = serde_json::from_slice(&output.stdout).context("the loop says nothing")?;
    Ok(row([
        ("us_per_delivery", posted.cpu_seconds * 1e6 / posted.posts),
        ("per_second", posted.posts / posted.seconds),
    ]))
}
