//! What forwarding an event costs, against the least that could do it: a bare forwarder with the same durability.

mod backlog;
mod cost;
mod endpoints;
mod fanout;
mod forward;
mod latency;
mod matching;
mod post;
mod reload;
mod rig;
mod rounds;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures the cost of an event.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the bare forwarder: no parsing, no routing, no retry, but on disk before it answers.
    Forward(forward::Options),
    /// Post on and on, and nothing else.
    Post(post::Options),
    /// Measure the daemon and the bare forwarder in turn, as fast as they can.
    Cost(cost::Options),
    /// Measure how long events take at a part of what both can carry.
    Latency(latency::Options),
    /// Measure one event for many endpoints.
    Fanout(fanout::Options),
    /// Measure many endpoints.
    Endpoints(endpoints::Options),
    /// Measure events that wait, and a start with them.
    Backlog(backlog::Options),
    /// Measure a reload of every file.
    Reload(reload::Options),
    /// Match events against a table of many endpoints, for an instruction count.
    Match(matching::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Forward(options) => forward::run(options),
        Command::Post(options) => post::run(&options),
        Command::Cost(options) => cost::run(&options),
        Command::Latency(options) => latency::run(&options),
        Command::Fanout(options) => fanout::run(&options),
        Command::Endpoints(options) => endpoints::run(&options),
        Command::Backlog(options) => backlog::run(&options),
        Command::Reload(options) => reload::run(&options),
        Command::Match(options) => matching::run(&options),
    }
}
