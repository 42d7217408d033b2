//! The `checker` program: publisher and receiver as processes that outlive the daemon, and the comparison.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use postrider_checker::publish::{self, Publisher, To};
use postrider_checker::receive::{self, Receiver};
use postrider_checker::verify::{read_subscriptions, verify};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Proves that what was accepted was delivered.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Post numbered events and write down every outcome; prints a summary as JSON.
    Publish(Publish),
    /// Answer for endpoints at /NAME and write down what arrives; prints its address as JSON, ends at a signal.
    Receive(Receive),
    /// Compare the logs in a folder with its subscriptions.json.
    Verify {
        /// The folder.
        dir: PathBuf,
        /// How many repeats are fine.
        #[arg(long, default_value_t = 0)]
        duplicates_at_most: u64,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Publish {
    /// The ingress.
    #[arg(long, required_unless_present = "ready_file")]
    to: Option<SocketAddr>,
    /// The file where the daemon says where it listens.
    #[arg(long, conflicts_with = "to")]
    ready_file: Option<PathBuf>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Events per second, at fixed times; without it, as fast as answers come.
    #[arg(long)]
    rate: Option<f64>,
    /// Stop after so many events.
    #[arg(long)]
    events: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Number of the first message.
    #[arg(long, default_value_t = 0)]
    first_message: u64,
    /// Bytes of data.
    #[arg(long, default_value_t = 300)]
    bytes: usize,
    /// Post every message for one of so many accounts.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    accounts: Option<u64>,
    /// Where the log goes.
    #[arg(long)]
    dir: PathBuf,
    /// The log's name.
    #[arg(long, default_value = "main")]
    name: String,
}

#[derive(clap::Args)]
struct Receive {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// An endpoint it stands for; without any, those of the folder's subscriptions.json.
    #[arg(long = "endpoint")]
    endpoints: Vec<String>,
    /// The share of requests that are answered 500.
    #[arg(long, default_value_t = 0.0)]
    fail_share: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long an endpoint takes to answer, in milliseconds: NAME=MS.
    #[arg(long = "delay")]
    delays: Vec<String>,
    /// Where the log goes.
    #[arg(long)]
    dir: PathBuf,
    /// The log's name.
    #[arg(long, default_value = "main")]
    name: String,
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Publish(options) => publish(options),
        Command::Receive(options) => receive(options),
        Command::Verify { dir, duplicates_at_most, json } => {
            let report =
                verify(&dir).with_context(|| format!("cannot compare the logs in {}", dir.display()))?;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{report}");
            }
            Ok(match report.verdict(duplicates_at_most) {
                Ok(()) => ExitCode::SUCCESS,
                Err(broken) => {
                    eprintln!("broken: {}", broken.lines().next().unwrap_or_default());
                    ExitCode::FAILURE
                }
            })
        }
    }
}

fn publish(options: Publish) -> Result<ExitCode> {
    let to = match (options.to, options.ready_file) {
        (Some(address), _) => To::Address(address),
        (None, Some(path)) => To::ReadyFile(path),
        (None, None) => bail!("--to or --ready-file is needed"),
    };
    let publisher = Publisher::start(publish::Options {
        to,
        connections: options.connections,
        rate: options.rate,
        events: options.events,
        time: options.seconds.map(Duration::from_secs_f64),
        first_message: options.first_message,
        bytes: options.bytes,
        accounts: options.accounts,
        dir: options.dir,
        name: options.name,
    })?;
    stop_at_signal(publisher.stopper())?;
    println!("{}", serde_json::to_string(&publisher.join()?)?);
    Ok(ExitCode::SUCCESS)
}

fn receive(options: Receive) -> Result<ExitCode> {
    let endpoints = if options.endpoints.is_empty() {
        let subscriptions = read_subscriptions(&options.dir).context("no endpoint is named, and")?;
        subscriptions.into_iter().map(|subscription| subscription.endpoint).collect()
    } else {
        options.endpoints
    };
    let receiver = Receiver::start(receive::Options {
        listen: options.listen,
        endpoints,
        fail_share: options.fail_share,
        seed: options.seed,
        dir: options.dir,
        name: options.name,
    })?;
    for delay in &options.delays {
        let (name, millis) = delay.split_once('=').context("--delay wants NAME=MS")?;
        receiver.set_delay(name, Duration::from_millis(millis.parse().context("--delay wants NAME=MS")?));
    }
    println!("{{\"address\":\"{}\"}}", receiver.address());
    stop_at_signal(receiver.stopper())?;
    receiver.join()?;
    Ok(ExitCode::SUCCESS)
}

/// A thread that waits for SIGTERM or SIGINT; it ends with the process.
fn stop_at_signal(stop: Arc<AtomicBool>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(entered);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        });
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(())
}
