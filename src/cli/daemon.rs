use super::args::RunArgs;
use super::exit::{Exit, Failure};
use super::log;
use crate::app::{App, AppOptions, StartError};
use crate::metrics::Metrics;
use postrider_sink::SinkFactory;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the daemon until it is told to stop. SIGINT and SIGTERM stop it, a second one at once; SIGHUP reloads.
pub(super) fn run(args: &RunArgs, sinks: &[Arc<dyn SinkFactory>]) -> Result<(), Failure> {
    log::start(&args.log, log::DEFAULT_FILTER)?;
    let metrics = Metrics::new();
    // One daemon in this process, so what libraries count may as well be on its page. Whoever uses Postrider as a
    // library and has a recorder already keeps it.
    let _ = metrics::set_global_recorder(metrics.clone());
    let options = AppOptions { config: args.config.clone(), sinks: sinks.to_vec(), metrics };
    if let Some(path) = &args.ready_file {
        // That of an earlier run tells of another process.
        let _ = std::fs::remove_file(path);
    }
    to_its_end(async {
        let mut signals = Signals::new()?;
        let app = App::start(options).await.map_err(start_failure)?;
        if let Some(path) = &args.ready_file {
            announce(path, &app).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        let ended = loop {
            tokio::select! {
                told = signals.next() => match told {
                    Told::Stop(signal) => {
                        tracing::info!(signal, "stopping");
                        break Ok(());
                    }
                    Told::Reload => drop(app.reload().await),
                },
                reason = app.failed() => break Err(Failure::failed(reason)),
            }
        };
        tokio::select! {
            () = app.stop() => ended,
            name = signals.stop() => Err(Failure::failed(format!("{name} again: stopped at once"))),
        }
    })
}

/// Whoever finds the file finds all of it.
fn announce(path: &Path, app: &App) -> io::Result<()> {
    let ready = serde_json::json!({
        "ingress": app.ingress(),
        "admin": app.admin(),
        "pid": std::process::id(),
    });
    let unfinished = path.with_extension("tmp");
    std::fs::write(&unfinished, ready.to_string())?;
    std::fs::rename(&unfinished, path)
}

/// Runs a daemon. A thread that is stuck in the system when it ends, in a look-up of a name or in a write to a pipe that
/// nobody reads, is left behind: it must not keep the process.
pub(super) fn to_its_end(daemon: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    small_pages();
    let runtime = runtime()?;
    let ended = runtime.block_on(daemon);
    runtime.shutdown_background();
    ended
}

/// Has the kernel give this process, and the programs it starts, pages of 4 KiB only. The allocator asks for huge ones,
/// and clearing one of 2 MiB took a processor for up to 15 ms on a virtual machine, within the kernel: whoever shares
/// the processor waits.
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the kernel may go on giving huge pages");
    }
}

/// Two thirds of the work per event is the kernel's, so a few threads are plenty, and the fewer the cheaper.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = if cores <= 2 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(cores / 2);
        builder
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))
}

pub(super) fn start_failure(error: StartError) -> Failure {
    match error {
        StartError::Config(text) => Failure::new(Exit::Config, text),
        StartError::Failed(text) => Failure::failed(text),
    }
}

/// The signals a daemon minds, caught from here on.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let open = || -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            })
        };
        open().map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))
    }

    /// The next one.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop("SIGINT"),
            _ = self.terminate.recv() => Told::Stop("SIGTERM"),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// The name of the next one that stops.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            if let Told::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}

/// What a signal asks for.
enum Told {
    Stop(&'static str),
    Reload,
}
