//! Every file of ten thousand changes while events flow to an endpoint whose file does not. The reference is the same
//! load while as many files are written where the daemon does not look.

use crate::rig::{Kind, Pace, Rig, Shape, Site, endpoint_file, idle_name, post, turns, wait};
use crate::rounds::{Goal, Question, Round, row, run as rounds};
use anyhow::{Result, ensure};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const FILES: u64 = 10_000;
const DEADLINE: Duration = Duration::from_secs(60);
/// Under load the files are written this long after its begin.
const LEAD: Duration = Duration::from_secs(1);

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rig: Rig,
    /// Events a second, meanwhile.
    #[arg(long, default_value_t = 5000.0)]
    rate: f64,
}

#[derive(Deserialize)]
struct Accepted {
    deliveries: u64,
}

#[derive(Deserialize)]
struct Reloaded {
    result: String,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = || ["live".to_owned(), "reference".to_owned()];
    let questions = [
        Question::ratio(
            "p99 from due to receipt while 10,000 files are reloaded",
            Goal::AtMost(1.1),
            "p99_ms",
            rows(),
        ),
        Question::ratio("p99.9 likewise", Goal::None, "p999_ms", rows()),
    ];
    rounds(&options.rig, "reload", &questions, |round| measure(options, round))
}

fn measure(options: &Options, round: usize) -> Result<Round> {
    let rig = &options.rig;
    let shape = Shape { accounts: true, idle: FILES, ..Shape::ONE };
    let mut site = Site::start(rig, Kind::Daemon, shape)?;
    let pace = Pace { rate: Some(options.rate), ..site.closed() };
    site.load("warm", Pace { seconds: rig.warm_up, ..pace }, || Ok(()))?;

    let (watched, elsewhere) = (site.dir().join("endpoints"), site.dir().join("elsewhere"));
    std::fs::create_dir(&elsewhere)?;
    let subscriber = site.subscriber;
    let (ingress, admin) = (site.ingress(), site.admin()?);
    // Each turn writes what is not there yet.
    let mut wanted = "sent";
    let mut next = || {
        wanted = if wanted == "sent" { "read" } else { "sent" };
        wanted
    };

    let event = next();
    let cpu = site.cpu()?;
    let written = write(&watched, subscriber, event)?;
    let in_force = in_force(ingress, admin, event)?;
    let mut figures = Round::new();
    figures.insert(
        "idle".to_owned(),
        row([("write_s", written), ("in_force_s", in_force), ("cpu_s", site.cpu()? - cpu)]),
    );

    let mut live = None;
    let mut costs = Vec::new();
    for name in turns(round, ["live", "reference"]) {
        let event = next();
        let (cost, ()) = site.load(name, pace, || {
            std::thread::sleep(LEAD);
            if name == "reference" {
                write(&elsewhere, subscriber, event)?;
                return Ok(());
            }
            let written = write(&watched, subscriber, event)?;
            live = Some((written, self::in_force(ingress, admin, event)?));
            Ok(())
        })?;
        costs.push((name, cost));
        if name == "reference" {
            // The files in force are those of before.
            next();
        }
    }
    let report = site.finish()?;
    for (name, cost) in costs {
        let times = report.times(name)?.since_due;
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        let millis = |us: u64| us as f64 / 1000.0;
        let mut row = row([
            ("us_per_event", cost.us_per_event()),
            ("p50_ms", millis(times.p50_us)),
            ("p99_ms", millis(times.p99_us)),
            ("p999_ms", millis(times.p999_us)),
            ("max_ms", millis(times.max_us)),
            ("cpu_s", cost.cpu),
        ]);
        if let Some((written, in_force)) = live.filter(|_| name == "live") {
            row.extend([("write_s".to_owned(), written), ("in_force_s".to_owned(), in_force)]);
        }
        figures.insert(name.to_owned(), row);
    }
    Ok(figures)
}

/// Renames a new version of every file into place; how many seconds that took.
fn write(folder: &Path, subscriber: std::net::SocketAddr, event: &str) -> Result<f64> {
    let start = Instant::now();
    let unfinished = folder.join(".unfinished.swp");
    for number in 0..FILES {
        let name = idle_name(number);
        // Held, so that the event that finds out is never sent.
        let keys = format!("state = \"paused\"\naccount = \"{name}\"\n");
        std::fs::write(&unfinished, endpoint_file(&name, subscriber, &format!("[{event:?}]"), &keys))?;
        std::fs::rename(&unfinished, folder.join(format!("{name}.toml")))?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Waits until an event finds the endpoint of the file that was written last; how many seconds that took. Then all
/// the others must be in force too.
fn in_force(ingress: std::net::SocketAddr, admin: std::net::SocketAddr, event: &str) -> Result<f64> {
    let start = Instant::now();
    let body = format!(
        "{{\"event\":\"{event}\",\"product\":\"crm\",\"account\":\"{}\",\"data\":{{\"message_id\":\"probe\",\"status\":\"{event}\"}}}}",
        idle_name(FILES - 1)
    );
    wait(DEADLINE, "the files to be in force", || {
        std::thread::sleep(Duration::from_millis(10));
        Ok(serde_json::from_str::<Accepted>(&post(ingress, "/v1/events", &body)?)?.deliveries > 0)
    })?;
    let took = start.elapsed().as_secs_f64();
    let again: Reloaded = serde_json::from_str(&post(admin, "/-/reload", "{}")?)?;
    ensure!(again.result == "unchanged", "files were still not in force: {}", again.result);
    Ok(took)
}
