//! The daemon: wired as the real one is, from the same parts, over the simulated network, clock and disk.

use crate::chance::Draws;
use crate::disk::SimDisk;
use crate::net::{Names, SimDial, SimListener};
use crate::trace::{Trace, now};
use arc_swap::ArcSwap;
use postrider::clock::Clock;
use postrider::config::{DaemonConfig, Loader, SystemSecrets};
use postrider::history::Outcome::Replayed;
use postrider::history::{EmbeddedHistory, Filter, History as _};
use postrider::ingress::{Ingress, IngressDeps, Limits};
use postrider::metrics::Metrics;
use postrider::net::Network;
use postrider::reload::{Running, initial};
use postrider::router::{Directory, Publication, RouterDeps, RouterHandle};
use postrider::sinks::Sinks;
use postrider::spool::{Backlog, ByHand, DedupLimits, EmbeddedSpool, HandWriter, Spool as _, SpoolError};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use turmoil::net::TcpListener;

/// Where it listens.
pub(crate) const PORT: u16 = 8080;
/// How long requests may take to get their answers when it stops.
const ANSWERS: Duration = Duration::from_secs(5);
/// How long attempts in flight may take when it stops.
const GRACE: Duration = Duration::from_secs(3);
/// When simulated time begins, since the Unix epoch.
pub(crate) const BEGIN: Duration = Duration::from_secs(1_790_000_000);

/// What outlives the daemon's process.
pub(crate) struct Machine {
    pub(crate) draws: Draws,
    pub(crate) chance: Arc<Draws>,
    pub(crate) trace: Trace,
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) root: PathBuf,
    pub(crate) segment: u64,
    /// The longest time between two commits, in milliseconds.
    pub(crate) commit: AtomicU64,
    pub(crate) names: Vec<(String, IpAddr)>,
    pub(crate) own: IpAddr,
    /// The files have changed.
    pub(crate) reload: AtomicBool,
    /// A person wants all dead letters replayed.
    pub(crate) replay: AtomicBool,
    /// How far its clock is off, in seconds.
    pub(crate) off: AtomicI64,
    /// It cannot go on.
    pub(crate) failed: AtomicBool,
    /// It is to stop.
    pub(crate) stop: AtomicBool,
    /// Endpoints that a person wants to go on.
    pub(crate) resume: Mutex<Vec<String>>,
    /// The spool in use.
    pub(crate) spool: Mutex<Option<Arc<EmbeddedSpool>>>,
}

/// The simulated time of a host, by a clock that is set at times.
struct SimClock {
    machine: Arc<Machine>,
    /// What both said when the process began.
    begun: (Duration, Duration),
}

impl SimClock {
    fn new(machine: Arc<Machine>) -> Self {
        let begun = (machine.time_of_day(), now());
        Self { machine, begun }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix(&self) -> Duration {
        self.machine.time_of_day()
    }

    fn steady(&self) -> Duration {
        let (unix, begun) = self.begun;
        unix + now().saturating_sub(begun)
    }
}

type Failure = Box<dyn Error>;

impl Machine {
    fn time_of_day(&self) -> Duration {
        let off = self.off.load(Ordering::Relaxed);
        let magnitude = Duration::from_secs(off.unsigned_abs());
        let time = BEGIN + now();
        if off < 0 { time.saturating_sub(magnitude) } else { time + magnitude }
    }

    /// What waits, over all endpoints. None: it does not run.
    pub(crate) fn waiting(&self) -> Option<Vec<Backlog>> {
        let spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(spool.backlogs())
    }

    /// The daemon's process. Where it fails, it ends, and whoever started it starts it again.
    pub(crate) async fn run(self: Arc<Self>) -> Result<(), Failure> {
        if let Err(error) = Arc::clone(&self).live().await {
            self.trace.say("daemon", format_args!("ends: {error}"));
            self.failed.store(true, Ordering::Relaxed);
            return std::future::pending().await;
        }
        Ok(())
    }

    async fn live(self: Arc<Self>) -> Result<(), Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Arc::clone(&self)));
        let metrics = Metrics::new();
        let loader = Loader::new(&self.root, Sinks::standard(), Arc::new(SystemSecrets));
        let running = self.read(&loader)?;
        let daemon = Arc::clone(&running.daemon);
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;

        let names = self.names.iter().map(|(name, ip)| (format!("{name}.test"), *ip)).collect();
        let network = Network::with_dial(
            daemon.network.clone(),
            vec![SocketAddr::new(self.own, PORT)],
            Arc::new(Names(names)),
            Arc::new(SimDial),
        );
        let slot: Arc<OnceLock<RouterHandle>> = Arc::default();
        let (spool, writer) = self.spool(&daemon, &clock, &metrics, Arc::clone(&slot))?;
        *self.spool.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&spool));
        let turning = self.turn(writer);
        let serving = self.serve(loader, running, network, spool, slot, clock, metrics, listener);
        tokio::select! {
            biased;
            served = serving => served,
            () = turning => Ok(()),
        }
    }

    fn read(&self, loader: &Loader) -> Result<Running, Failure> {
        let initial = initial(loader, Duration::ZERO).map_err(|errors| format!("{errors:?}"))?;
        if let Some(error) = initial.running.errors.first() {
            return Err(error.one_line().into());
        }
        Ok(initial.running)
    }

    fn spool(
        &self,
        daemon: &DaemonConfig,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
        slot: Arc<OnceLock<RouterHandle>>,
    ) -> Result<(Arc<EmbeddedSpool>, HandWriter), Failure> {
        let by_hand = ByHand {
            disk: self.disk.clone(),
            chance: self.chance.clone(),
            segment: self.segment,
            reserve: 4096,
        };
        let listener = Box::new(move |event| {
            if let Some(router) = slot.get() {
                router.spool_event(event);
            }
        });
        let opened = EmbeddedSpool::open_by_hand(
            &daemon.spool,
            dedup(daemon),
            Arc::clone(clock),
            metrics,
            listener,
            by_hand,
        )?;
        Ok(opened)
    }

    /// The writer's thread, so to speak: a commit takes as long as the seed says.
    async fn turn(&self, mut writer: HandWriter) {
        loop {
            tokio::time::sleep(self.draws.millis(1, self.commit.load(Ordering::Relaxed))).await;
            if self.disk.is_dark() {
                return std::future::pending().await;
            }
            if !writer.turn() {
                return writer.close();
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the wiring of a daemon")]
    async fn serve(
        &self,
        loader: Loader,
        running: Running,
        network: Arc<Network>,
        spool: Arc<EmbeddedSpool>,
        slot: Arc<OnceLock<RouterHandle>>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        listener: TcpListener,
    ) -> Result<(), Failure> {
        let daemon = Arc::clone(&running.daemon);
        let router = RouterHandle::start(RouterDeps {
            folder: loader.base().into(),
            sink_tasks: TaskTracker::new(),
            table: Arc::default(),
            directory: Arc::new(Directory::default()),
            spool: spool.clone(),
            network,
            user_agent: "postrider/sim".into(),
            clock: Arc::clone(&clock),
            chance: self.chance.clone(),
            metrics: metrics.clone(),
        })
        .await?;
        drop(slot.set(router.clone()));
        let generation = router.publish(publication(running)).await?;
        self.trace.say("daemon", format_args!("ready, generation {}", generation.0));
        let config = Arc::new(ArcSwap::new(daemon));
        let limits = Limits::default();
        let deps =
            IngressDeps { router: router.clone(), metrics, clock, config: Arc::clone(&config), limits };
        let ingress = Ingress::new(deps);
        let stop = CancellationToken::new();
        let people = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if self.stop.load(Ordering::Relaxed) {
                    stop.cancel();
                    return Ok(());
                }
                let resumed =
                    std::mem::take(&mut *self.resume.lock().unwrap_or_else(PoisonError::into_inner));
                for name in resumed {
                    let there = router.resume(&name).await;
                    self.trace.say("daemon", format_args!("{name} resumed: {there}"));
                }
                if self.replay.load(Ordering::Relaxed) {
                    // Asked before it is done: nothing is waited for that is about to wait.
                    let replayed = replay(&spool).await;
                    self.replay.store(false, Ordering::Relaxed);
                    self.trace.say("daemon", format_args!("replayed: {replayed:?}"));
                }
                if !self.reload.swap(false, Ordering::Relaxed) {
                    continue;
                }
                let running = self.read(&loader)?;
                let daemon = Arc::clone(&running.daemon);
                let generation = router.publish(publication(running)).await?;
                spool.set_limits(&daemon.spool, dedup(&daemon));
                config.store(daemon);
                self.trace.say("daemon", format_args!("reloaded, generation {}", generation.0));
            }
        };
        let serving = async {
            let serving = ingress.run(SimListener(listener), stop.clone());
            tokio::pin!(serving);
            tokio::select! {
                biased;
                () = &mut serving => {}
                () = async { stop.cancelled().await; tokio::time::sleep(ANSWERS).await } => {}
            }
            let drained = router.stop(GRACE).await;
            self.trace.say("daemon", format_args!("stopped, drained: {drained}"));
            Ok(spool.close().await?)
        };
        let people: Pin<Box<dyn Future<Output = Result<(), Failure>>>> = Box::pin(people);
        futures_util::future::try_join(people, serving).await.map(drop)
    }
}

/// Replays all dead letters, the oldest first; how many were.
async fn replay(spool: &Arc<EmbeddedSpool>) -> Result<usize, SpoolError> {
    let history = EmbeddedHistory::of(Arc::clone(spool));
    let most = NonZeroUsize::new(1000).unwrap_or(NonZeroUsize::MIN);
    let page = history.dead_since(Filter::default(), 0, u64::MAX, most).await?;
    let letters = page.letters.iter().map(|letter| (letter.endpoint, letter.seq)).collect();
    let outcomes = history.replay(letters).await?;
    Ok(outcomes.iter().filter(|outcome| matches!(outcome, Replayed(_))).count())
}

fn dedup(daemon: &DaemonConfig) -> DedupLimits {
    DedupLimits { window: daemon.ingress.dedup_window, max: daemon.ingress.dedup_max }
}

fn publication(running: Running) -> Publication {
    Publication {
        daemon: running.daemon,
        endpoints: running.endpoints.into_iter().collect(),
        invalid: running.invalid,
    }
}
