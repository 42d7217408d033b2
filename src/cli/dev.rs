//! The first minute: a daemon in this process, a receiver beside it, sample events over real HTTP, and a table of
//! what arrived where. Then it stays up, and prints every later arrival.

mod files;
mod report;
mod samples;
mod tour;

#[cfg(test)]
mod tests;

use super::args::{DevArgs, Global};
use super::client::Client;
use super::daemon::{Signals, start, to_its_end};
use super::exit::{Exit, Failure};
use super::listen::{UNPRINTED, line};
use super::receiver::{Access, Arrival, Behaviour, serve};
use super::{log, out};
use crate::app::{App, AppOptions};
use crate::metrics::Metrics;
use http::StatusCode;
use postrider_sink::SinkFactory;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the receiver may take to have what the receipts promised: on one machine it is milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn dev(args: &DevArgs, sinks: &[Arc<dyn SinkFactory>], global: &Global) -> Result<(), Failure> {
    // The log would drown the tour; what is wrong still shows.
    log::start(&args.log, "warn")?;
    to_its_end(stage(args, sinks, global))
}

async fn stage(args: &DevArgs, sinks: &[Arc<dyn SinkFactory>], global: &Global) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let folder = files::prepare(&args.dir, args.any_port)?;
    let listener = TcpListener::bind(("127.0.0.1", folder.receiver)).await.map_err(|error| {
        let dir = args.dir.join("endpoints");
        Failure::failed(format!("the receiver cannot listen on 127.0.0.1:{}: {error}", folder.receiver))
            .hint(format!("The files in {} name this port. Name another folder with --dir.", dir.display()))
    })?;
    let behaviour = Behaviour {
        access: Access::ByPath(files::credentials()),
        status: StatusCode::OK,
        fail_percent: 0,
        latency: Duration::ZERO,
    };
    let (arrivals, arrived) = mpsc::channel(UNPRINTED);
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, behaviour, arrivals, shutdown.clone()));

    let options =
        AppOptions { config: folder.config.clone(), sinks: sinks.to_vec(), metrics: Metrics::new() };
    let app = start(options, &mut signals).await?;
    let played = play(args, global, &folder, &app, arrived, &mut signals).await;
    tokio::select! {
        () = app.stop() => {}
        name = signals.stop() => out::say(&format!("{name} again: stopped at once")),
    }
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    played
}

async fn play(
    args: &DevArgs,
    global: &Global,
    folder: &files::Folder,
    app: &App,
    mut arrived: mpsc::Receiver<Arrival>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let scene = report::Scene {
        dir: &args.dir,
        ingress: app.ingress(),
        admin: app.admin(),
        receiver: folder.receiver,
    };
    if !global.json {
        folder.moved.iter().for_each(|line| out::say(line));
        out::text(&report::addresses(&scene))?;
    }
    let client = Client::new(&format!("http://{}", app.ingress()))?;
    let tour = tokio::select! {
        tour = tour::tour(&client, &mut arrived, PATIENCE) => tour?,
        _ = signals.stop() => return Err(Failure::failed("stopped before the sample events had arrived")),
        reason = app.failed() => return Err(Failure::failed(reason)),
    };
    if global.json {
        out::json(&tour)?;
    } else {
        out::text(&report::table(&tour, out::Style::stdout()))?;
    }
    if args.once {
        return if tour.is_complete() { Ok(()) } else { Err(Failure::said(Exit::Failed)) };
    }
    if !global.json {
        out::text(&report::hints(&scene))?;
    }
    loop {
        tokio::select! {
            biased;
            _ = signals.stop() => {
                out::say("stopping");
                return Ok(());
            }
            reason = app.failed() => return Err(Failure::failed(reason)),
            Some(arrival) = arrived.recv() => {
                if global.json { out::json(&arrival)? } else { out::line(&line(&arrival))? }
            }
        }
    }
}
