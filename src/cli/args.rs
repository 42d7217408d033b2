mod spool;

pub(super) use spool::{SpoolArgs, SpoolCommand};

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
    /// The endpoints of a daemon, and their files
    #[command(subcommand)]
    Endpoints(EndpointsCommand),
    /// What became of events, delivery by delivery
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// What will not be tried again by itself
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Make a daemon read its files again
    Reload,
    /// What is configured, and what can be
    #[command(subcommand)]
    Config(ConfigCommand),
    /// A spool that no daemon holds: what is damaged, what can be kept, what waits
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Sinks: those there are, and how to make one of your own
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Print a script that completes this command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum EndpointsCommand {
    /// Those there are
    List {
        /// Whose name, destination or note has this text
        #[arg(long)]
        search: Option<String>,
        /// In this state
        #[arg(long, value_parser = crate::metrics::names::ENDPOINT_STATES)]
        state: Option<String>,
    },
    /// One in full: its file without secrets, and how it is
    Show {
        /// Its name
        name: String,
        /// What holds once defaults are merged, each value with its origin
        #[arg(long)]
        effective: bool,
    },
    /// A new one that delivers over HTTP
    Add(AddArgs),
    /// Another name: another endpoint to receivers of the history, so nothing may wait for the old one
    Rename {
        /// Its name
        name: String,
        /// Its name from now on
        new: String,
    },
    /// Collect, and hold what is collected
    Pause {
        /// Its name
        name: String,
    },
    /// Send again, what was held first
    Resume {
        /// Its name
        name: String,
    },
    /// Collect and send
    Activate {
        /// Its name
        name: String,
    },
    /// Delete its file; what waits for it is dead
    Remove {
        /// Its name
        name: String,
        /// Even if deliveries wait for it
        #[arg(long)]
        yes: bool,
    },
}

/// Which deliveries are meant; what is left out does not matter.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArgs {
    /// Of this endpoint
    #[arg(long)]
    pub(super) endpoint: Option<String>,
    /// With this event name
    #[arg(long)]
    pub(super) event: Option<String>,
    /// From this product
    #[arg(long)]
    pub(super) product: Option<String>,
    /// Whose last attempt was answered so: 503, 5xx
    #[arg(long)]
    pub(super) code: Option<String>,
    /// About this message
    #[arg(long, value_name = "ID")]
    pub(super) message_id: Option<String>,
    /// For this customer
    #[arg(long)]
    pub(super) account: Option<String>,
    /// From this time on: 1h for the last hour, or 2026-11-23T05:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// And before this time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// What waits, newest first, then what has ended, newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// ready, parked, in_flight, held, delivered or dead
        #[arg(long)]
        state: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One delivery with its attempts
    Show {
        /// dlv_...
        id: String,
    },
    /// Try a parked delivery now, or replay a dead letter
    Retry {
        /// dlv_...
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Print deliveries as they end, until it is interrupted
    Tail {
        #[command(flatten)]
        filter: FilterArgs,
        /// How they ended
        #[arg(long, value_parser = ["delivered", "dead"])]
        state: Option<String>,
    },
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LetterArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// gone, rejected, exhausted, expired, overflow or endpoint_removed
    #[arg(long)]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// Newest dead first
    List {
        #[command(flatten)]
        letters: LetterArgs,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One dead letter with its attempts and its body
    Show {
        /// dlv_...
        id: String,
    },
    /// Make them deliveries again, at a rate, and wait until that is done; without --yes only count them
    Replay {
        #[command(flatten)]
        letters: LetterArgs,
        /// How fast: 50/s
        #[arg(long)]
        rate: Option<String>,
        /// Only count
        #[arg(long)]
        dry_run: bool,
        /// Do it
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
        /// Print the replay's id rather than wait for its end
        #[arg(long)]
        no_wait: bool,
    },
    /// Print them with their bodies, a line of JSON each, oldest dead first
    Export {
        #[command(flatten)]
        letters: LetterArgs,
    },
    /// Delete one, or with --yes all that a filter names
    Delete {
        /// dlv_...
        id: Option<String>,
        #[command(flatten)]
        letters: LetterArgs,
        /// All of them, where no filter is named
        #[arg(long)]
        all: bool,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its name: lower-case letters, digits and hyphens
    pub(super) name: String,
    /// Where deliveries go
    #[arg(long)]
    pub(super) url: String,
    /// An event it wants; several times for several, left out for all
    #[arg(long = "event", value_name = "EVENT")]
    pub(super) events: Vec<String>,
    /// A product it wants; likewise
    #[arg(long = "product", value_name = "PRODUCT")]
    pub(super) products: Vec<String>,
    /// The customer it is for
    #[arg(long)]
    pub(super) account: Option<String>,
    /// The user name it asks for
    #[arg(long, value_name = "NAME")]
    pub(super) username: String,
    /// The password, in the first line of this file, or of - (stdin)
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) password_file: PathBuf,
    /// Save it as a draft, which collects nothing yet
    #[arg(long)]
    pub(super) draft: bool,
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
        /// Of this endpoint; without it, of the daemon and all endpoints
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
    /// JavaScript, as a component in a sandbox.
    Wasm,
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
