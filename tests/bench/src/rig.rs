//! What all measurements share: the programs, the load, and a system under it with fresh files.

mod files;
mod process;
mod site;

pub(crate) use files::{Shape, endpoint_file, idle_name};
pub(crate) use process::{get, post, wait};
pub(crate) use site::{Kind, Pace, Site};

use anyhow::Result;
use std::path::PathBuf;

/// How much of what to measure. Everything runs in processes of its own, on loopback.
#[derive(clap::Args, Clone)]
pub(crate) struct Rig {
    /// The daemon; default: beside this program.
    #[arg(long)]
    postrider: Option<PathBuf>,
    /// The checker; default: beside this program.
    #[arg(long)]
    checker: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Add the rounds to those of the JSON that is there.
    #[arg(long)]
    pub(crate) more: bool,
    /// Measured, of each system in each round.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Before it is measured.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
    /// Of the publisher.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Bytes of data.
    #[arg(long, default_value_t = 900)]
    pub(crate) bytes: usize,
    /// Threads of the forwarder's runtime, beside the writer's.
    #[arg(long, default_value_t = 1)]
    forwarder_threads: usize,
    /// Where the files are, on the disk that is to be measured, and the JSON.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// What is measured, for the JSON.
    #[arg(long, default_value = "unknown")]
    pub(crate) commit: String,
}

impl Rig {
    /// Where the figures of a benchmark go.
    pub(crate) fn json(&self, benchmark: &str) -> PathBuf {
        self.dir.join(format!("{benchmark}.json"))
    }

    fn program(&self, given: Option<&PathBuf>, name: &str) -> Result<PathBuf> {
        Ok(match given {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name(name),
        })
    }
}

/// Whoever goes first meets a colder machine: every second round goes the other way round.
pub(crate) fn turns<T, const N: usize>(round: usize, mut systems: [T; N]) -> [T; N] {
    if !round.is_multiple_of(2) {
        systems.reverse();
    }
    systems
}
