//! The command line. Data goes to stdout, talk to stderr, and the exit code says what came of it.
//!
//! Each command is a module with its arguments and a function that returns a [`Failure`] or nothing; only this file
//! knows all of them. Commands that talk to a daemon do so over HTTP like everybody else.

mod args;
mod client;
mod config;
mod daemon;
mod dead_letters;
mod deliveries;
mod dev;
mod endpoints;
mod exit;
mod explain;
mod listen;
mod log;
mod operate;
mod out;
mod plugins;
mod receiver;
mod send;
mod spool;

#[cfg(test)]
mod tests;

pub use exit::Exit;

use args::{Cli, Command, Global};
use clap::{CommandFactory, Parser};
use exit::Failure;
use postrider_sink::SinkFactory;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// The whole command line, with sinks of one's own beside the built-in ones:
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     postrider::Postrider::new().main()
/// }
/// ```
/// `examples/custom_sink.rs` adds one.
#[derive(Clone, Default)]
pub struct Postrider {
    sinks: Vec<Arc<dyn SinkFactory>>,
}

impl Postrider {
    /// With the built-in sinks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one. Of the same kind as a built-in one, it takes its place.
    #[must_use]
    pub fn sink(mut self, sink: impl SinkFactory) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Does what the program's arguments say.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os()).into()
    }

    /// Does what these arguments say, the first of them being the program's name.
    pub fn run(self, arguments: impl IntoIterator<Item = OsString>) -> Exit {
        let cli = match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            Err(error) => {
                // Nobody is left to hear that the message could not be printed.
                let _ = error.print();
                return if error.use_stderr() { Exit::Usage } else { Exit::Done };
            }
        };
        match self.dispatch(cli.command, &cli.global) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                failure.print();
                failure.exit
            }
        }
    }

    fn dispatch(&self, command: Command, global: &Global) -> Result<(), Failure> {
        match command {
            Command::Run(args) => daemon::run(&args, &self.sinks),
            Command::Dev(args) => dev::dev(&args, &self.sinks, global),
            Command::Check(args) => config::check(&args, &self.sinks, global),
            Command::Config(command) => config::config(&command, &self.sinks, global),
            Command::Spool(command) => spool::spool(&command, &self.sinks, global.json),
            Command::Plugins(command) => plugins::plugins(&command, &self.sinks, global),
            Command::Send(args) => client(send::send(&args, global)),
            Command::Test(args) => client(operate::test(&args, global)),
            Command::Explain(args) => client(explain::explain(&args, &self.sinks, global)),
            Command::Status => client(operate::status(global)),
            Command::Endpoints(command) => client(endpoints::endpoints(&command, global)),
            Command::Reload => client(operate::reload(global)),
            Command::Deliveries(command) => client(deliveries::deliveries(&command, global)),
            Command::DeadLetters(command) => client(dead_letters::dead_letters(&command, global)),
            Command::Listen(args) => client(listen::listen(&args, global)),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "postrider", &mut script);
                out::text(&String::from_utf8_lossy(&script))
            }
        }
    }
}

/// Runs a command that is no daemon: one thread is plenty.
fn client(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?;
    runtime.block_on(work)
}
