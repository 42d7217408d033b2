use clap::{Args, Subcommand};
use std::path::PathBuf;

/// A spool that no daemon holds.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SpoolCommand {
    /// What is damaged, where, and what it costs; changes nothing
    Check {
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// Keep what is readable, set the rest aside, bring back what is readable of what was set aside before
    Repair {
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// What waits, as JSON lines, each an event that POST /v1/events takes
    Export {
        #[command(flatten)]
        spool: SpoolArgs,
        /// Dead letters as well
        #[arg(long)]
        dead: bool,
        /// Only what is for this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
    },
}

/// Which spool is meant.
#[derive(Debug, Args)]
pub(in crate::cli) struct SpoolArgs {
    /// The daemon's file, which names the spool's folder
    #[arg(
        short,
        long,
        value_name = "PATH",
        env = "POSTRIDER_CONFIG",
        default_value = "config/postrider.toml"
    )]
    pub(in crate::cli) config: PathBuf,
    /// The spool's folder itself, whatever the daemon's file says
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) path: Option<PathBuf>,
}
