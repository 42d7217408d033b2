mod ready_file;

use super::args::RunArgs;
use super::exit::{Exit, Failure};
use super::log;
use crate::app::{App, AppOptions, StartError};
use crate::metrics::Metrics;
use postrider_sink::SinkFactory;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the daemon until it is told to stop. SIGINT and SIGTERM stop it, a second one at once, as the first does where it
/// is not ready yet; SIGHUP reloads.
pub(super) fn run(args: &RunArgs, sinks: &[Arc<dyn SinkFactory>]) -> Result<(), Failure> {
    log::start(&args.log, log::DEFAULT_FILTER)?;
    let metrics = Metrics::new();
    // One daemon in this process, so what libraries count may as well be on its page. Whoever uses Postrider as a
    // library and has a recorder already keeps it.
    let _ = metrics::set_global_recorder(metrics.clone());
    let options = AppOptions { config: args.config.clone(), sinks: sinks.to_vec(), metrics };
    if let Some(path) = &args.ready_file {
        ready_file::clear(path);
    }
    to_its_end(async {
        let mut signals = Signals::new()?;
        let app = start(options, &mut signals).await?;
        let announced = args.ready_file.as_deref().map(|path| {
            let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
            ready_file::announce(path, &app).map_err(failed)
        });
        let _ready = announced.transpose()?;
        let ended = until_told(&app, &mut signals).await;
        tokio::select! {
            () = app.stop() => ended,
            name = signals.stop() => Err(Failure::failed(format!("{name} again: stopped at once"))),
        }
    })
}

/// Starts a daemon, unless a signal comes first: leaving in the midst of it is what a kill is, and loses nothing.
pub(super) async fn start(options: AppOptions, signals: &mut Signals) -> Result<App, Failure> {
    tokio::select! {
        started = App::start(options) => started.map_err(start_failure),
        name = signals.stop() => Err(Failure::failed(format!("{name}: stopped while starting"))),
    }
}

/// Goes on until it is told to stop, or cannot go on.
async fn until_told(app: &App, signals: &mut Signals) -> Result<(), Failure> {
    let Signals { stops, hangup } = signals;
    // Beside the others: a file system that hangs must not keep them from being heard. A SIGHUP that comes during a
    // reload is remembered, and asks for the next.
    let reloading = async {
        while hangup.recv().await.is_some() {
            drop(app.reload().await);
        }
    };
    tokio::select! {
        signal = stops.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        reason = app.failed() => Err(Failure::failed(reason)),
        () = reloading => Err(Failure::failed("signals cannot be caught any more")),
    }
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

fn start_failure(error: StartError) -> Failure {
    match error {
        StartError::Config(text) => Failure::new(Exit::Config, text),
        StartError::Failed(text) => Failure::failed(text),
    }
}

/// The signals a daemon minds, caught from here on.
pub(super) struct Signals {
    stops: Stops,
    hangup: Signal,
}

/// Those that stop it.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let open = || -> io::Result<Self> {
            let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            Ok(Self { stops: Stops { interrupt, terminate }, hangup: signal(SignalKind::hangup())? })
        };
        open().map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))
    }

    /// The name of the next one that stops.
    pub(super) async fn stop(&mut self) -> &'static str {
        self.stops.next().await
    }
}

impl Stops {
    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
