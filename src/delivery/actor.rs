use super::attempt::{Attempt, panic_text};
use super::expiry::Expiry;
use super::hold::Hold;
use super::{Absent, AttemptLimit, Condition, EndpointShared};
use crate::chance::Chance;
use crate::clock::{Clock, unix_ms};
use crate::ids::{EndpointUid, Generation, Seq};
use crate::metrics::EndpointMetrics;
use crate::policy::{Breaker, SlowStart, TokenBucket, Window};
use crate::sinks::SinkTurn;
use crate::spool::{
    EndpointState as Remembered, Lease, Parked, Pending, Spool, SpoolError, StoredEvent, Wake,
};
use crate::table::{EndpointSpec, SinkSpec};
use futures_util::FutureExt as _;
use postrider_sink::{Host, HostContext, Sink};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rustc_hash::FxHashMap;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Works on the deliveries of one endpoint.
pub struct EndpointActor;

/// What an endpoint's actor is started with.
pub struct EndpointArgs {
    /// What the spool calls it.
    pub uid: EndpointUid,
    /// What its file says.
    pub spec: Arc<EndpointSpec>,
    /// The configuration that says so.
    pub generation: Generation,
    /// Why it has no version to run now; none: `spec` is in force.
    pub absent: Option<Absent>,
    /// Where its deliveries are.
    pub spool: Arc<dyn Spool>,
    /// What its sink is handed; timeout and concurrency are filled in from the file.
    pub host: HostContext,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Jitter and span ids.
    pub chance: Arc<dyn Chance>,
    /// Its series.
    pub metrics: EndpointMetrics,
    /// What others see of it.
    pub shared: Arc<EndpointShared>,
    /// What all endpoints share.
    pub limit: Arc<AttemptLimit>,
    /// Tracks the attempts of this incarnation.
    pub attempts: TaskTracker,
    /// The attempts of the one before, which must have ended before anything is read.
    pub previous: Option<TaskTracker>,
    /// Asks the router to be stopped, having seen so many messages.
    pub retire: Arc<dyn Fn(EndpointUid, u64) + Send + Sync>,
}

/// What an endpoint's actor is told.
pub enum EndpointMessage {
    /// New deliveries, or settlements were written.
    Wake(Wake),
    /// New deliveries, in the spool only.
    Missed,
    /// Its file changed.
    Reconfigure {
        /// What it says now.
        spec: Arc<EndpointSpec>,
        /// The configuration that says so.
        generation: Generation,
    },
    /// It has no version to run any more, and why; or (none) it has one again.
    SetAbsent(Option<Absent>),
    /// A person wants it tried again at once.
    Resume,
    /// Start nothing any more, and stop when what is in flight has ended.
    Drain,
    /// The lease is here, with what is parked.
    Booted(Result<(Lease, Vec<Parked>), SpoolError>),
    /// A sink was built, for the spec of that revision.
    SinkBuilt {
        /// Which configuration it is for.
        revision: u64,
        /// The sink, or why there is none.
        result: Result<Arc<dyn Sink>, Arc<str>>,
    },
    /// What a sink keeps running between attempts has panicked: only another sink can do its work.
    SinkPanicked,
    /// Deliveries were read in order.
    ReadFinished {
        /// What was missed when the read began.
        target: Option<Seq>,
        /// How many were asked for.
        asked: usize,
        /// What was read.
        result: Result<Vec<Pending>, SpoolError>,
    },
    /// The bodies of known deliveries were read.
    Fetched {
        /// Which were asked for.
        asked: Vec<Seq>,
        /// What was read.
        result: Result<Vec<Pending>, SpoolError>,
    },
    /// An attempt ended.
    AttemptFinished {
        /// Of which delivery.
        seq: Seq,
        /// Whether it was the breaker's probe.
        probe: bool,
        /// Which destination it was made against.
        destination: u64,
        /// What came of it.
        attempt: Attempt,
    },
    /// A person wants this parked delivery tried now.
    Hasten {
        /// Which.
        seq: Seq,
        /// Whether it was parked.
        reply: oneshot::Sender<bool>,
    },
    /// Which attempts are under way?
    InFlight {
        /// Told for this endpoint.
        reply: mpsc::UnboundedSender<(EndpointUid, Vec<Seq>)>,
    },
    /// These deliveries are gone without having ended.
    Forget(Vec<Seq>),
    /// It has other series from now on.
    Measure(EndpointMetrics),
    /// Something that was waited for is due.
    TimerDue,
    /// Panic.
    #[cfg(test)]
    Crash,
}

/// Everything an endpoint's actor knows. All of it can be rebuilt from the spool and the file.
pub struct EndpointState {
    pub(super) args: EndpointArgs,
    /// When the message that is handled was taken up: the clock is read once for all that follows from it.
    pub(super) now: Instant,
    /// The same time, milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
    /// Counts the configurations this actor has had: what is based on an older one says so.
    pub(super) revision: u64,
    /// Counts the destinations this actor has had: how an older one fares says nothing about the one of now.
    pub(super) destination: u64,
    /// Attempts under way against older ones.
    pub(super) former: usize,
    pub(super) sink: Option<Arc<dyn Sink>>,
    /// The build of the sink that is in use or will be, and what that is handed as its host.
    build: Option<(AbortHandle, Arc<SinkTurn>)>,
    pub(super) lease: Option<Lease>,
    pub(super) remembered: Remembered,
    pub(super) window: Window,
    pub(super) held: FxHashMap<Seq, Held>,
    /// How many of `held` are without a body.
    pub(super) bodiless: usize,
    pub(super) breaker: Breaker,
    pub(super) slow_start: SlowStart,
    pub(super) rate: Option<TokenBucket>,
    pub(super) hold: Hold,
    pub(super) expiry: Expiry,
    /// The last delivery that was taken in; the next to read is after it.
    pub(super) cursor: Option<Seq>,
    /// Whether the spool may hold more after the cursor: so at the start, and after a read that was cut short.
    pub(super) more_stored: bool,
    pub(super) reading: bool,
    pub(super) fetching: bool,
    /// Deliveries that were erased while a read was under way, which may still have seen them.
    pub(super) erased: HashSet<Seq>,
    pub(super) seen: u64,
    /// When it fires, at the latest when something is due.
    pub(super) timer: Option<(Instant, AbortOnDropHandle<()>)>,
    pub(super) idle_since: Option<Instant>,
    /// The reason of a plain success, shared.
    pub(super) nothing: Arc<str>,
    /// Attempts, reads and builds under way; they end with this state.
    pub(super) tasks: JoinSet<()>,
}

/// What is known of a delivery in the window.
pub(super) struct Held {
    /// Its event, unless it waits and the body was let go.
    pub(super) event: Option<Arc<StoredEvent>>,
    /// Attempts spent.
    pub(super) attempts: u32,
}

impl Actor for EndpointActor {
    type Msg = EndpointMessage;
    type State = EndpointState;
    type Arguments = EndpointArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut state = EndpointState::new(args);
        state.note_pause();
        state.boot(&myself);
        state.build_sink(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        while state.tasks.try_join_next().is_some() {}
        state.now = state.args.clock.now();
        state.now_ms = unix_ms(&*state.args.clock);
        match message {
            EndpointMessage::Wake(wake) => state.on_wake(wake),
            EndpointMessage::Missed => state.seen += 1,
            EndpointMessage::Reconfigure { spec, generation } => {
                state.args.generation = generation;
                state.on_reconfigure(&myself, spec);
            }
            EndpointMessage::SetAbsent(absent) => state.on_absent(absent),
            EndpointMessage::Resume => state.on_resume(&myself),
            EndpointMessage::Drain => state.on_drain(),
            EndpointMessage::Booted(result) => state.on_booted(result?),
            EndpointMessage::SinkBuilt { revision, result } => state.on_sink_built(revision, result),
            EndpointMessage::SinkPanicked => return Err("a task of its sink panicked".into()),
            EndpointMessage::ReadFinished { target, asked, result } => {
                state.on_read(target, asked, result)?;
            }
            EndpointMessage::Fetched { asked, result } => state.on_fetched(&asked, result)?,
            EndpointMessage::AttemptFinished { seq, probe, destination, attempt } => {
                state.on_attempt(seq, probe, destination, &attempt);
            }
            EndpointMessage::Hasten { seq, reply } => {
                let _gone = reply.send(state.window.hasten(seq));
            }
            EndpointMessage::InFlight { reply } => {
                drop(reply.send((state.args.uid, state.window.flying().collect())));
            }
            EndpointMessage::Forget(seqs) => state.forget(seqs),
            EndpointMessage::Measure(metrics) => state.args.metrics = metrics,
            EndpointMessage::TimerDue => state.timer = None,
            #[cfg(test)]
            EndpointMessage::Crash => panic!("told to crash"),
        }
        state.pump(&myself);
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.args.shared.set_in_flight(0);
        state.tasks.abort_all();
        Ok(())
    }
}

impl EndpointState {
    fn new(args: EndpointArgs) -> Self {
        let settings = &args.spec.delivery;
        let remembered = args.spool.endpoint_state(args.uid);
        let (now, now_ms) = (args.clock.now(), unix_ms(&*args.clock));
        Self {
            now,
            now_ms,
            revision: 0,
            destination: 0,
            former: 0,
            sink: None,
            build: None,
            lease: None,
            window: Window::new(settings.ordering),
            held: FxHashMap::default(),
            bodiless: 0,
            breaker: Breaker::new(settings.breaker.clone()),
            slow_start: SlowStart::new(),
            rate: settings.rate.map(|rate| TokenBucket::new(rate, now)),
            hold: Hold::new(&args.spec, &remembered, args.absent, now, now_ms),
            expiry: Expiry::default(),
            remembered,
            cursor: None,
            more_stored: true,
            reading: false,
            fetching: false,
            erased: HashSet::new(),
            seen: 0,
            timer: None,
            idle_since: None,
            nothing: "".into(),
            tasks: JoinSet::new(),
            args,
        }
    }

    /// Takes over the deliveries, once the attempts of the incarnation before have ended.
    fn boot(&mut self, myself: &ActorRef<EndpointMessage>) {
        let (spool, uid, myself) = (Arc::clone(&self.args.spool), self.args.uid, myself.clone());
        let previous = self.args.previous.take();
        self.tasks.spawn(async move {
            if let Some(previous) = previous {
                previous.close();
                previous.wait().await;
            }
            let booted = async {
                let lease = spool.acquire(uid).await?;
                let parked = spool.parked(&lease).await?;
                Ok((lease, parked))
            };
            drop(myself.cast(EndpointMessage::Booted(booted.await)));
        });
    }

    /// Builds the sink that the spec names; attempts wait for it.
    pub(super) fn build_sink(&mut self, myself: &ActorRef<EndpointMessage>) {
        self.sink = None;
        // What is still being built, or works on what is left of its attempts, is not the endpoint's sink any more.
        if let Some((build, turn)) = self.build.take() {
            build.abort();
            turn.end();
        }
        let revision = self.revision;
        let Some(sink) = self.args.spec.sink.clone() else { return };
        let turn = Arc::new(SinkTurn::new(Arc::clone(&self.args.host.host)));
        let host = HostContext {
            host: Arc::clone(&turn) as Arc<dyn Host>,
            connect_timeout: self.args.spec.delivery.connect_timeout,
            timeout: self.args.spec.delivery.timeout,
            concurrency: self.args.spec.delivery.concurrency.get(),
            ..self.args.host.clone()
        };
        let myself = myself.clone();
        let build = self.tasks.spawn(async move {
            // A panic must not leave the endpoint waiting for its sink for ever.
            let built = AssertUnwindSafe(build(sink, &host)).catch_unwind().await;
            let result = match built {
                Ok(result) => result.map_err(Arc::from),
                Err(panic) => {
                    Err(format!("building the sink panicked: {}", panic_text(panic.as_ref())).into())
                }
            };
            drop(myself.cast(EndpointMessage::SinkBuilt { revision, result }));
        });
        self.build = Some((build, turn));
    }

    fn on_sink_built(&mut self, revision: u64, result: Result<Arc<dyn Sink>, Arc<str>>) {
        if revision != self.revision {
            return;
        }
        match result {
            Ok(sink) => {
                self.sink = Some(sink);
                self.hold.invalid_until = None;
            }
            Err(reason) => {
                let name = &self.args.spec.identity.name;
                tracing::error!(endpoint = %name, %reason, "cannot build the sink; its deliveries are held");
                self.hold.invalid_until = Some(self.now + Hold::LOOK_AGAIN);
                self.problem(&reason);
            }
        }
    }

    pub(super) fn problem(&self, reason: &str) {
        self.args.shared.set_problem(Some(super::Problem { at_ms: self.now_ms, reason: reason.into() }));
    }

    /// Says what it does with its deliveries, where others can see it.
    pub(super) fn publish_condition(&self, condition: Condition) {
        self.args.shared.set_condition(condition, || self.now_ms);
        self.args.shared.set_in_flight(self.window.in_flight());
    }
}

async fn build(sink: SinkSpec, host: &HostContext) -> Result<Arc<dyn Sink>, String> {
    sink.plan()?.build(host).await.map_err(|error| error.to_string())
}
