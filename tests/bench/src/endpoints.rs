//! Many endpoints: configured, of which one is in use, and ten thousand in use, each of an account of its own.

use crate::rig::{Kind, Rig, Shape, Site, turns};
use crate::rounds::{Goal, Question, Round, Row, at, row, run as rounds};
use anyhow::Result;
use std::time::Duration;

const FEW: u32 = 10;
const MANY: u32 = 100_000;
const ACTIVE: u32 = 10_000;
/// The allocator gives back what a start has freed when the threads that did its work end, ten seconds after that.
const GIVEN_BACK: Duration = Duration::from_secs(15);
const CONFIGURED: [u32; 4] = [FEW, 1000, 10_000, MANY];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let name = |active: u32, configured: u32| format!("{active:>5} of {configured:>6}");
    let (few, many, all) = (name(1, FEW), name(1, MANY), name(ACTIVE, ACTIVE));
    let per_active = {
        let all = all.clone();
        move |round: &Round| {
            Some((at(round, &all, "used_mib")? - at(round, &all, "idle_mib")?) * 1024.0 / f64::from(ACTIVE))
        }
    };
    let per_configured = {
        let (few, many) = (few.clone(), many.clone());
        move |round: &Round| {
            let grown = at(round, &many, "idle_mib")? - at(round, &few, "idle_mib")?;
            Some(grown * 1024.0 / f64::from(MANY - FEW))
        }
    };
    let questions = [
        Question::ratio(
            "CPU per event, 10,000 active against one",
            Goal::AtMost(2.0),
            "us_per_event",
            [all, few.clone()],
        ),
        Question::ratio(
            "CPU per event, 100,000 configured against 10",
            Goal::None,
            "us_per_event",
            [many, few],
        ),
        Question::new("KiB per active endpoint", Goal::AtMost(64.0), per_active),
        Question::new("KiB per configured endpoint", Goal::AtMost(1.0), per_configured),
    ];
    rounds(&options.rig, "endpoints", &questions, |round| {
        let [a, b, c, d] = CONFIGURED.map(|configured| (1, configured));
        let measured = turns(round, [(ACTIVE, ACTIVE), a, b, c, d]).map(|(active, configured)| {
            Ok((name(active, configured), measure(&options.rig, active, configured)?))
        });
        measured.into_iter().collect()
    })
}

fn measure(rig: &Rig, active: u32, configured: u32) -> Result<Row> {
    let accounts = active > 1;
    let shape = Shape {
        active: u64::from(active),
        accounts,
        idle: u64::from(configured - active),
        concurrency: if accounts { 16 } else { rig.connections },
        down: false,
    };
    let mut site = Site::start(rig, Kind::Daemon, shape)?;
    site.rest()?;
    std::thread::sleep(GIVEN_BACK);
    let idle = site.mib("VmRSS")?;
    site.warm_up()?;
    let (cost, ()) = site.load("main", site.closed(), || Ok(()))?;
    let (used, start) = (site.mib("VmRSS")?, site.start.as_secs_f64());
    let times = site.finish()?.times("main")?.since_due;
    #[expect(clippy::cast_precision_loss, reason = "microseconds")]
    let arrival = times.p99_us as f64 / 1000.0;
    Ok(row([
        ("us_per_event", cost.us_per_event()),
        ("per_second", cost.events / cost.seconds),
        ("arrival_p99_ms", arrival),
        ("ready_s", start),
        ("idle_mib", idle),
        ("used_mib", used),
    ]))
}
