use crate::component::{Program, Refused};
use postrider_sink::SettingsFile;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::{Builder, Thread};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use wasmtime::Config;

/// Threads that components run on, at most.
const THREADS: usize = 4;
/// Their priority, see nice(1): a component that runs wild takes what processors the daemon leaves.
const NICE: i32 = 10;
/// How often a component that runs is interrupted, to let another one run and to look at its deadline.
const TICK: Duration = Duration::from_millis(10);
/// Ticks that nothing ran in, before the ticking stops.
const QUIET: usize = 100;
/// Compiled components that are kept although no endpoint uses them: what is checked is most often used a moment later.
const RECENT: usize = 4;

/// Compiles components and runs them. All endpoints of a daemon share one.
pub(crate) struct Engine {
    pub(crate) wasm: wasmtime::Engine,
    /// Gone only while this is dropped.
    runtime: Option<Runtime>,
    pulse: Arc<Pulse>,
    ticker: Thread,
    compiled: Mutex<Compiled>,
    /// Held while one is compiled: the same one is never compiled twice, and not all processors are taken.
    compiling: Mutex<()>,
}

#[derive(Default)]
struct Compiled {
    known: Vec<(u128, Weak<Program>)>,
    recent: VecDeque<Arc<Program>>,
}

/// Whether anything runs.
#[derive(Default)]
struct Pulse {
    running: AtomicUsize,
    stop: AtomicBool,
}

impl Engine {
    pub(crate) fn start() -> Result<Arc<Self>, String> {
        let mut config = Config::new();
        config.epoch_interruption(true).wasm_backtrace_max_frames(None);
        let wasm =
            wasmtime::Engine::new(&config).map_err(|error| format!("no engine for components: {error}"))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("postrider-wasm")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()
            .map_err(|error| format!("no threads for components: {error}"))?;
        let pulse = Arc::new(Pulse::default());
        let (beating, engine) = (Arc::clone(&pulse), wasm.clone());
        let ticker =
            Builder::new().name(String::from("postrider-tick")).spawn(move || tick(&beating, &engine));
        let ticker = ticker.map_err(|error| format!("no thread for components: {error}"))?.thread().clone();
        Ok(Arc::new(Self {
            wasm,
            runtime: Some(runtime),
            pulse,
            ticker,
            compiled: Mutex::default(),
            compiling: Mutex::default(),
        }))
    }

    /// Where components run.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("it is there until this is dropped").handle()
    }

    /// Something runs for as long as this is kept, and is interrupted.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        if self.pulse.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.ticker.unpark();
        }
        Running(Arc::clone(&self.pulse))
    }

    /// The component that a file holds, compiled once for all who use it. Takes seconds for a large one, and the caller's
    /// thread with it.
    pub(crate) fn program(self: &Arc<Self>, file: &SettingsFile) -> Result<Arc<Program>, Refused> {
        let known = || self.compiled().find(file.digest());
        if let Some(program) = known() {
            return Ok(program);
        }
        let _alone = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = known() {
            return Ok(program);
        }
        let (engine, content) = (self.wasm.clone(), file.content().clone());
        let program = self.wait(async move {
            // On a thread of low priority.
            let compiled = tokio::task::spawn_blocking(move || Program::compile(&engine, &content)).await;
            compiled.unwrap_or_else(|_| Err(Refused::new("it cannot be compiled")))
        })?;
        let program = Arc::new(program?);
        self.compiled().keep(file.digest(), &program);
        Ok(program)
    }

    /// Runs something on the engine's threads and waits for it on this one, which may be any.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refused> {
        let (tell, told) = mpsc::sync_channel(1);
        self.handle().spawn(async move { drop(tell.send(work.await)) });
        told.recv().map_err(|_| Refused::new("it cannot be run here"))
    }

    fn compiled(&self) -> MutexGuard<'_, Compiled> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.pulse.stop.store(true, Ordering::Release);
        self.ticker.unpark();
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops this may be a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl Compiled {
    fn find(&self, digest: u128) -> Option<Arc<Program>> {
        self.known.iter().find(|(known, _)| *known == digest).and_then(|(_, program)| program.upgrade())
    }

    fn keep(&mut self, digest: u128, program: &Arc<Program>) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(program));
        self.known.retain(|(_, program)| program.strong_count() > 0);
        self.known.push((digest, Arc::downgrade(program)));
    }
}

/// See [`Engine::running`].
pub(crate) struct Running(Arc<Pulse>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn tick(pulse: &Pulse, engine: &wasmtime::Engine) {
    let mut quiet = 0;
    while !pulse.stop.load(Ordering::Acquire) {
        if pulse.running.load(Ordering::Acquire) > 0 {
            quiet = 0;
        } else {
            quiet += 1;
        }
        if quiet > QUIET {
            // Whoever comes next wakes this thread, also between the look above and here.
            std::thread::park();
            quiet = 0;
        }
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}

fn lower_priority() {
    // Of the calling thread alone, on Linux. Refused: it stays as it is.
    let _ = rustix::process::setpriority_process(None, NICE);
}
