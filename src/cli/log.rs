use super::args::{LogArgs, LogFormat};
use super::exit::Failure;
use super::out::no_colour;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What is logged unless somebody says otherwise: ractor tells of every actor at `info`, and the client of the NATS sink
/// of every connection, whose outcome we tell ourselves.
pub(super) const DEFAULT_FILTER: &str = "info,ractor=warn,async_nats=off";

/// Sends the log to stderr: readable, coloured on a terminal, or one JSON object a line.
pub(super) fn start(args: &LogArgs, default: &str) -> Result<(), Failure> {
    let filter = args.log_level.as_deref().unwrap_or(default);
    // A bare level means everything but the talk of others.
    let filter = if filter.contains(['=', ',']) {
        filter.to_owned()
    } else {
        format!("{filter},ractor=warn,async_nats=off")
    };
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| Failure::usage(format!("--log-level {filter:?} is no filter: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A program that uses Postrider as a library may log already; then its way stands.
    let _ = match args.log_format {
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => {
            log.with_ansi(std::io::stderr().is_terminal() && !no_colour()).with_target(false).try_init()
        }
    };
    Ok(())
}
