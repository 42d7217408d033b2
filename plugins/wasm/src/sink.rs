use crate::component::Program;
use crate::engine::Engine;
use crate::outcome::{cause, said, trapped};
use crate::pool::{Instance, Pool};
use crate::state::Shared;
use crate::wit::types::Event;
use postrider_sink::{BuildError, Delivery, FailureClass, HostContext, Outcome, Sink, async_trait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A component is stopped so long before the host drops the attempt, so that it can be told why.
const BEFORE: Duration = Duration::from_millis(50);

/// Delivers to a component.
pub(crate) struct WasmSink(Arc<Core>);

struct Core {
    engine: Arc<Engine>,
    program: Arc<Program>,
    shared: Arc<Shared>,
    memory: usize,
    host: HostContext,
    idle: Pool,
    /// The component did not come to an end the last time.
    down: AtomicBool,
}

impl WasmSink {
    /// Starts an instance: a component that cannot be started fails the build, and no attempt is spent.
    pub(crate) async fn start(
        engine: Arc<Engine>,
        program: Arc<Program>,
        shared: Arc<Shared>,
        memory: usize,
        host: HostContext,
    ) -> Result<Self, BuildError> {
        let (idle, down) = (Pool::default(), AtomicBool::new(false));
        let core = Arc::new(Core { engine, program, shared, memory, host, idle, down });
        let first = Arc::clone(&core);
        let started = core.clone().run(async move {
            let instance = first.instance(first.until()).await.map_err(|error| cause(&error))?;
            first.idle.put(instance, 1);
            Ok(())
        });
        match started.await.unwrap_or_else(|| Err(String::from("it was given up"))) {
            Ok(()) => {
                core.host.host.up("wasm");
                Ok(Self(core))
            }
            Err(why) => {
                let why = format!("the component does not start: {why}");
                core.host.host.down("wasm", &why);
                Err(BuildError(why))
            }
        }
    }
}

impl Core {
    /// Runs something where components run, and drops it there when this is dropped. None: it panicked, or the engine stops.
    async fn run<T: Send + 'static>(
        self: Arc<Self>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let running = self.engine.running();
        let mut task = JoinSet::new();
        let work = async move {
            let _running = running;
            work.await
        };
        task.spawn_on(work, self.engine.handle());
        task.join_next().await?.ok()
    }

    fn until(&self) -> Instant {
        let timeout = self.host.timeout;
        Instant::now() + timeout.saturating_sub(BEFORE.min(timeout / 10))
    }

    async fn instance(&self, until: Instant) -> wasmtime::Result<Instance> {
        Instance::start(&self.program, Arc::clone(&self.shared), self.memory, until).await
    }

    /// Makes an attempt, and tells whether the component came to an end.
    async fn attempt(&self, delivery: Delivery) -> (Outcome, bool) {
        let Ok(body) = String::from_utf8(Vec::from(delivery.body)) else {
            return (Outcome::reject("the event is not UTF-8"), true);
        };
        let until = self.until();
        let mut instance = match self.idle.take() {
            Some(instance) => instance,
            None => match self.instance(until).await {
                Ok(instance) => instance,
                Err(error) => {
                    let why = format!("the component does not start: {}", cause(&error));
                    return (Outcome::failed(FailureClass::SinkError, why), false);
                }
            },
        };
        let event = Event {
            id: delivery.id.to_string(),
            event: delivery.event.to_string(),
            product: delivery.product.to_string(),
            account: delivery.account.as_deref().map(str::to_owned),
            body,
            attempt: delivery.attempt,
            test: delivery.test,
            traceparent: delivery.traceparent.as_deref().map(str::to_owned),
        };
        let Instance { store, sink } = &mut instance;
        store.data_mut().begin(until, &delivery.trail);
        // Ticks went by while nobody used it.
        store.set_epoch_deadline(1);
        let ended = sink.postrider_sink_delivery().call_deliver(&mut *store, &event).await;
        match ended {
            Ok(outcome) => {
                let outcome = said(outcome, store.data().refused.as_ref());
                self.idle.put(instance, self.host.concurrency);
                (outcome, true)
            }
            Err(error) => (trapped(&error, store.data()), false),
        }
    }

    /// Tells the host when attempts begin, or cease, not to come to an end.
    fn tell(&self, outcome: &Outcome, ended: bool) {
        if self.down.load(Ordering::Relaxed) != ended {
            return;
        }
        self.down.store(!ended, Ordering::Relaxed);
        if ended {
            self.host.host.up("wasm");
        } else {
            self.host.host.down("wasm", &outcome.reason);
        }
    }
}

#[async_trait]
impl Sink for WasmSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let (core, delivery) = (Arc::clone(&self.0), delivery.clone());
        let made = Arc::clone(&self.0).run(async move { core.attempt(delivery).await }).await;
        let given_up = || (Outcome::failed(FailureClass::SinkError, "the component was given up"), false);
        let (outcome, ended) = made.unwrap_or_else(given_up);
        self.0.tell(&outcome, ended);
        outcome
    }
}
