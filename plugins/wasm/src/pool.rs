use crate::component::Program;
use crate::engine::Running;
use crate::outcome::{Overdue, cause};
use crate::state::{Shared, State};
use crate::wit::{Problem, Sink};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::ComponentExportIndex;
use wasmtime::{Result, Store, UpdateDeadline};

/// Bytes that one call may hand over.
const HANDED_OVER: usize = 8 << 20;
/// How long a component may take to look at its settings.
const CHECK: Duration = Duration::from_secs(2);

/// A component at work, with its memory.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) sink: Sink,
}

impl Instance {
    /// A new one, which has until then to start.
    pub(crate) async fn start(
        program: &Program,
        shared: Arc<Shared>,
        memory: usize,
        until: Instant,
    ) -> Result<Self> {
        let mut store = store(program, shared, memory, until);
        let sink = program.pre.instantiate_async(&mut store).await?;
        Ok(Self { store, sink })
    }
}

fn store(program: &Program, shared: Arc<Shared>, memory: usize, until: Instant) -> Store<State> {
    let mut store = Store::new(program.pre.engine(), State::new(shared, memory, until));
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(HANDED_OVER);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        let state = store.data();
        if Instant::now() >= state.until {
            return Err(Overdue(state.until.saturating_duration_since(state.began)).into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

/// Instances that nobody uses now.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Instance>>);

impl Pool {
    pub(crate) fn take(&self) -> Option<Instance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps one, unless there are `most` already or it is near its limit: better a new one than a failed attempt.
    pub(crate) fn put(&self, instance: Instance, most: usize) {
        if instance.store.data().limits.is_tight() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < most {
            kept.push(instance);
        }
    }
}

/// Has a component look at the settings in `shared`. `Err`: why it cannot.
pub(crate) async fn ask(
    program: Arc<Program>,
    check: ComponentExportIndex,
    shared: Arc<Shared>,
    memory: usize,
    running: Running,
) -> std::result::Result<Vec<Problem>, String> {
    let settings = shared.settings.clone();
    let mut store = store(&program, shared, memory, Instant::now() + CHECK);
    let asked = async {
        let instance = program.pre.instance_pre().instantiate_async(&mut store).await?;
        let check = instance.get_typed_func::<(&str,), (Vec<Problem>,)>(&mut store, check)?;
        let (problems,) = check.call_async(&mut store, (&settings,)).await?;
        wasmtime::Result::Ok(problems)
    };
    let asked = tokio::time::timeout(CHECK, asked).await;
    drop(running);
    match asked {
        Ok(Ok(problems)) => Ok(problems),
        Ok(Err(error)) => Err(cause(&error)),
        Err(_) => Err(format!("it takes longer than {CHECK:?}")),
    }
}
