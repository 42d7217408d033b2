//! What forwarding an event costs, against the least that could do it: a bare forwarder with the same durability.

mod cost;
mod forward;
mod matching;

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
    /// Measure the daemon and the bare forwarder in turn.
    Cost(cost::Options),
    /// Match events against a table of many endpoints, for an instruction count.
    Match(matching::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Forward(options) => forward::run(options),
        Command::Cost(options) => cost::run(&options),
        Command::Match(options) => matching::run(&options),
    }
}
