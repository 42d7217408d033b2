use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Post an event once; every subscriber gets it, and keeps being tried until it lands.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Where the daemon's admin listener is
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "POSTRIDER_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(super) admin: String,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon
    Run(RunArgs),
    /// The first minute: a daemon, a receiver and sample events, in a folder of its own
    Dev(DevArgs),
    /// Check the configuration files without a daemon
    Check(CheckArgs),
    /// Post an event to a daemon
    Send(SendArgs),
    /// Make one attempt at an endpoint with a test event
    Test(TestArgs),
    /// A local receiver that prints what arrives
    Listen(ListenArgs),
    /// Which endpoints get an event, and why the others do not
    Explain(ExplainArgs),
    /// How a daemon and its endpoints are
    Status,
    /// Make a daemon read its files again
    Reload,
    /// What is configured, and what can be
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Sinks: those there are, and how to make one of your own
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Print a script that completes this command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Args)]
pub(super) struct LogArgs {
    /// How the log on stderr is written
    #[arg(long, value_enum, default_value = "text", env = "POSTRIDER_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
    /// What is logged: a level, or levels by module such as info,postrider::delivery=debug
    #[arg(long, value_name = "FILTER", env = "POSTRIDER_LOG")]
    pub(super) log_level: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The daemon's file
    #[arg(
        short,
        long,
        value_name = "PATH",
        env = "POSTRIDER_CONFIG",
        default_value = "config/postrider.toml"
    )]
    pub(super) config: PathBuf,
    /// Once ready, write {"ingress", "admin", "pid"} to this file: for whoever starts it with port 0
    #[arg(long, value_name = "PATH")]
    pub(super) ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The folder for its small configuration; files that are there are kept
    #[arg(long, default_value = "./postrider-dev", value_name = "PATH")]
    pub(super) dir: PathBuf,
    /// Stop after the sample events have arrived
    #[arg(long)]
    pub(super) once: bool,
    /// Choose free ports rather than 8080, 8081 and 9900
    #[arg(long)]
    pub(super) any_port: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The daemon's file
    #[arg(value_name = "PATH", env = "POSTRIDER_CONFIG", default_value = "config/postrider.toml")]
    pub(super) path: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// What is in force once defaults are merged, each value with its origin
    Effective {
        /// Of this endpoint; without it, of the daemon
        endpoint: Option<String>,
        /// The daemon's file
        #[arg(
            short,
            long,
            value_name = "PATH",
            env = "POSTRIDER_CONFIG",
            default_value = "config/postrider.toml"
        )]
        config: PathBuf,
    },
    /// The JSON Schema of the files, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginsCommand {
    /// The kinds of sinks an endpoint file may name
    List,
    /// Write a sink that works, with its test and an endpoint file that uses it
    New {
        /// What it is called: lower-case letters, digits, hyphens
        name: String,
        /// What it is written in
        #[arg(long, value_enum, default_value = "python")]
        lang: Language,
        /// The folder to write; ./NAME where it is left out
        #[arg(long, value_name = "PATH")]
        dir: Option<PathBuf>,
        /// For Rust: a checkout of Postrider to build against, rather than its published crate
        #[arg(long, value_name = "PATH")]
        source: Option<PathBuf>,
    },
    /// Put a sink through its paces: every shape of event, a burst, a repeat, an orderly end
    Test {
        /// Its folder, with endpoint.toml in it, or an endpoint file
        path: PathBuf,
    },
}

/// What a sink is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Python 3.
    Python,
    /// JavaScript.
    Node,
    /// The shell.
    Sh,
    /// Rust, in a binary of its own.
    Rust,
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Where events are posted
    #[arg(long, value_name = "URL", env = "POSTRIDER_INGRESS", default_value = "http://127.0.0.1:8080")]
    pub(super) ingress: String,
    /// The event's name: sent, delivered, read, failed
    #[arg(long)]
    pub(super) event: String,
    /// The product it comes from: automation, crm, developer-apis, campaigns
    #[arg(long)]
    pub(super) product: String,
    /// The message it is about; one is made up where it is left out
    #[arg(long, value_name = "ID")]
    pub(super) message_id: Option<String>,
    /// The message's status; the event's name where it is left out
    #[arg(long)]
    pub(super) status: Option<String>,
    /// A JSON object with what is specific to the event
    #[arg(long, value_name = "JSON")]
    pub(super) details: Option<String>,
    /// The customer it belongs to
    #[arg(long)]
    pub(super) account: Option<String>,
    /// An id of your own: a repeat with the same one is delivered once
    #[arg(long)]
    pub(super) id: Option<String>,
    /// All of data, from a file or from - (stdin); its bytes are left as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["message_id", "status", "details"])]
    pub(super) data: Option<PathBuf>,
    /// User name and password of a publisher
    #[arg(long, value_name = "USER:PASSWORD", env = "POSTRIDER_USER", hide_env_values = true)]
    pub(super) user: Option<String>,
    /// Token of a publisher
    #[arg(
        long,
        value_name = "TOKEN",
        env = "POSTRIDER_BEARER",
        hide_env_values = true,
        conflicts_with = "user"
    )]
    pub(super) bearer: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The endpoint
    pub(super) endpoint: String,
    /// The event's name; one it subscribed to where it is left out
    #[arg(long)]
    pub(super) event: Option<String>,
    /// The product it comes from; likewise
    #[arg(long)]
    pub(super) product: Option<String>,
    /// All of data, from a file or from - (stdin)
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The event's name; without it, the whole event is read from stdin
    #[arg(long, requires = "product")]
    pub(super) event: Option<String>,
    /// The product it comes from
    #[arg(long, requires = "event")]
    pub(super) product: Option<String>,
    /// The customer it belongs to
    #[arg(long, requires = "event")]
    pub(super) account: Option<String>,
    /// All of data, from a file or from - (stdin)
    #[arg(long, value_name = "FILE", requires = "event")]
    pub(super) data: Option<PathBuf>,
    /// Ask the files whose daemon file is this, rather than a daemon
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// The port on 127.0.0.1; 0 chooses a free one
    #[arg(long, default_value_t = 9900)]
    pub(super) port: u16,
    /// What is answered
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(super) status: u16,
    /// So many in a hundred, chosen at random, are answered 503
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) fail: u8,
    /// Wait before every answer: 200ms, 2s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = super::receiver::time)]
    pub(super) latency: std::time::Duration,
    /// Answer 401 to everybody else
    #[arg(long, value_name = "USER:PASSWORD", value_parser = super::receiver::credentials)]
    pub(super) auth: Option<String>,
}
