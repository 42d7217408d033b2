use super::args::{Global, ListenArgs};
use super::daemon::Signals;
use super::exit::Failure;
use super::out::{self, Style};
use super::receiver::{Access, Arrival, Behaviour, serve};
use http::StatusCode;
use std::collections::BTreeMap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Arrivals that wait to be printed; past it the receiver waits for the terminal.
pub(super) const UNPRINTED: usize = 1024;

pub(super) async fn listen(args: &ListenArgs, global: &Global) -> Result<(), Failure> {
    let status = StatusCode::from_u16(args.status).map_err(|error| Failure::usage(error.to_string()))?;
    let access = args.auth.clone().map_or(Access::Open, Access::Everywhere);
    let behaviour = Behaviour { access, status, fail_percent: args.fail, latency: args.latency };
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await.map_err(|error| {
        Failure::failed(format!("cannot listen on 127.0.0.1:{}: {error}", args.port))
            .hint("Name another port with --port, or --port 0 for a free one.")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::failed(error.to_string()))?;
    let (arrivals, mut arrived) = mpsc::channel(UNPRINTED);
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, behaviour, arrivals, shutdown.clone()));
    let fails = if args.fail > 0 { format!(", {} % answer 503", args.fail) } else { String::new() };
    out::say(&format!("listening on http://{address}{fails}, Ctrl-C stops"));
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    let ended = loop {
        tokio::select! {
            biased;
            _ = signals.stop() => break Ok(()),
            Some(arrival) = arrived.recv() => {
                *answers.entry(arrival.status).or_default() += 1;
                let printed = if global.json { out::json(&arrival) } else { out::line(&line(&arrival)) };
                if printed.is_err() {
                    break printed;
                }
            }
        }
    };
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    let each: Vec<String> = answers.iter().map(|(status, count)| format!("{count} x {status}")).collect();
    out::say(&format!("{} requests: {}", answers.values().sum::<u64>(), each.join(", ")));
    ended
}

/// One request, one line.
pub(super) fn line(arrival: &Arrival) -> String {
    let style = Style::stdout();
    let status = arrival.status.to_string();
    let status = if arrival.status < 300 { style.green(&status) } else { style.red(&status) };
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { short(text) };
    let Arrival { method, path, event, product, webhook_id, bytes, .. } = arrival;
    let mut line = format!(
        "{}  {status}  {method} {}  {:<9} {:<14} {}  {bytes} B",
        style.dim(&out::clock_time(arrival.at_ms)),
        short(path),
        dash(event),
        dash(product),
        dash(webhook_id),
    );
    if !matches!(arrival.attempt.as_str(), "" | "1") {
        line.push_str(&format!("  attempt {}", short(&arrival.attempt)));
    }
    if arrival.injected {
        line.push_str("  (injected)");
    }
    line
}

/// Enough of it for a line.
fn short(text: &str) -> String {
    out::printable(text).chars().take(128).collect()
}
