//! Daemon and bare forwarder in turn, each with fresh files, under the same load from processes of their own.

mod process;
mod system;

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;
use system::{Kind, Load, Round};

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The daemon; default: beside this program.
    #[arg(long)]
    postrider: Option<PathBuf>,
    /// The checker; default: beside this program.
    #[arg(long)]
    checker: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured, of each round.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Before it is measured.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Events per second; without it, as fast as answers come.
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes of data.
    #[arg(long, default_value_t = 900)]
    bytes: usize,
    /// Threads of the forwarder's runtime, beside the writer's.
    #[arg(long, default_value_t = 1)]
    forwarder_threads: usize,
    /// Where the files are: on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// All figures of one run.
#[derive(Serialize)]
struct Figures<'a> {
    seconds: f64,
    connections: usize,
    rate: Option<f64>,
    bytes: usize,
    rounds: &'a [(Round, Round)],
    daemon_us_per_event: f64,
    forwarder_us_per_event: f64,
    ratio: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let own = std::env::current_exe()?;
    let beside = |name: &str| own.with_file_name(name);
    let load = Load {
        postrider: options.postrider.clone().unwrap_or_else(|| beside("postrider")),
        checker: options.checker.clone().unwrap_or_else(|| beside("checker")),
        own: own.clone(),
        seconds: options.seconds,
        warm_up: options.warm_up,
        connections: options.connections,
        rate: options.rate,
        bytes: options.bytes,
        forwarder_threads: options.forwarder_threads,
        dir: options.dir.clone(),
    };
    let mut rounds = Vec::new();
    println!(
        "round  system     us/event  deliveries/s  events/sync  threads  peak MiB  answer p50/p99 ms  arrival p50/p99 ms"
    );
    for number in 0..options.rounds {
        // Whoever goes first meets a colder machine: take turns.
        let (daemon, forwarder) = if number % 2 == 0 {
            let daemon = load.measure(Kind::Daemon)?;
            (daemon, load.measure(Kind::Forwarder)?)
        } else {
            let forwarder = load.measure(Kind::Forwarder)?;
            (load.measure(Kind::Daemon)?, forwarder)
        };
        println!("{:>5}  daemon     {daemon}", number + 1);
        println!("{:>5}  forwarder  {forwarder}", number + 1);
        println!("{:>5}  ratio      {:.2}", number + 1, daemon.us_per_event / forwarder.us_per_event);
        rounds.push((daemon, forwarder));
    }
    let daemon = median(rounds.iter().map(|(daemon, _)| daemon.us_per_event));
    let forwarder = median(rounds.iter().map(|(_, forwarder)| forwarder.us_per_event));
    let ratio = median(rounds.iter().map(|(daemon, forwarder)| daemon.us_per_event / forwarder.us_per_event));
    println!("medians: daemon {daemon:.1} us, forwarder {forwarder:.1} us, ratio of each round {ratio:.2}");
    if let Some(path) = &options.json {
        let figures = Figures {
            seconds: options.seconds,
            connections: options.connections,
            rate: options.rate,
            bytes: options.bytes,
            rounds: &rounds,
            daemon_us_per_event: daemon,
            forwarder_us_per_event: forwarder,
            ratio,
        };
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
