use super::backend::Backend;
use super::changes::Changes;
use super::deliveries::Deliveries;
use super::live::Live;
use super::replays::Replays;
use super::store::Store;
use super::{App, AppOptions, StartError};
use crate::admin::Front;
use crate::chance::SystemChance;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigErrors, DaemonConfig, Loader, SystemSecrets};
use crate::history::EmbeddedHistory;
use crate::ingress::{Ingress, IngressDeps, Limits};
use crate::metrics::names;
use crate::net::{Network, SystemResolver};
use crate::reload::{Initial, ReloadActor, ReloadArgs, WatchTimes, initial};
use crate::router::{Directory, Publication, RouterDeps, RouterHandle};
use crate::sinks::Sinks;
use crate::spool::{self, DedupLimits, EmbeddedSpool};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

impl App {
    /// Builds it bottom-up. Events are taken when this returns.
    ///
    /// # Errors
    /// See [`StartError`]. An endpoint's file that is invalid is none.
    pub async fn start(options: AppOptions) -> Result<Self, StartError> {
        let AppOptions { config: path, sinks: added, metrics } = options;
        // Before the files are read: the default of `limits.attempts` goes by it, then as at every later reading.
        let descriptors = descriptors();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut sinks = Sinks::standard();
        for sink in added {
            sinks.register(sink);
        }
        for kind in sinks.kinds() {
            metrics.gauge(names::PLUGIN_UP, &[("plugin", kind)]).set(1.0);
        }
        let loader = Loader::new(&path, sinks, Arc::new(SystemSecrets));
        let Initial { running, warnings, last_good } = blocking({
            let (loader, now) = (loader.clone(), clock.unix());
            move || initial(&loader, now)
        })
        .await?
        .map_err(|errors| StartError::Config(ConfigErrors(errors).to_string()))?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for error in &running.errors {
            tracing::error!("{}", error.log_line());
        }
        let daemon = Arc::clone(&running.daemon);

        let (ingress_listener, ingress_at) = bind(&daemon, daemon.ingress.listen, "ingress.listen")?;
        let (admin_listener, admin_at) = bind(&daemon, daemon.admin.listen, "admin.listen")?;
        let own = vec![ingress_at, admin_at];
        let network = Network::new(daemon.network.clone(), own, Arc::new(SystemResolver::new()));

        // Who looks at a daemon whose spool takes long to open is told so at once. A start that comes to nothing ends
        // this too.
        let front = Arc::new(Front::new(admin_at, daemon.admin.tls.clone()));
        let (stop_admin, admin_over) = (CancellationToken::new().drop_guard(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the App owns the handle and stops it")]
        let serving_admin = tokio::spawn({
            let (stop, over) = (stop_admin.token().clone(), admin_over.clone().drop_guard());
            let front = Arc::clone(&front);
            async move {
                let _over = over;
                front.serve(admin_listener, stop).await;
            }
        });

        let router_slot: Arc<OnceLock<RouterHandle>> = Arc::default();
        let spool = blocking({
            let (daemon, clock, metrics) = (Arc::clone(&daemon), Arc::clone(&clock), metrics.clone());
            let slot = Arc::clone(&router_slot);
            let listener = Box::new(move |event| {
                if let Some(router) = slot.get() {
                    router.spool_event(event);
                }
            });
            move || EmbeddedSpool::open(&daemon.spool, dedup_limits(&daemon), clock, &metrics, listener)
        })
        .await?
        .map_err(|error| StartError::Failed(error.to_string()))?;

        let sink_tasks = TaskTracker::new();
        let router = RouterHandle::start(RouterDeps {
            folder: loader.base().into(),
            sink_tasks: sink_tasks.clone(),
            table: Arc::default(),
            directory: Arc::new(Directory::default()),
            spool: spool.clone(),
            network,
            user_agent: concat!("postrider/", env!("CARGO_PKG_VERSION")).into(),
            clock: Arc::clone(&clock),
            chance: Arc::new(SystemChance),
            metrics: metrics.clone(),
        })
        .await
        .map_err(|error| StartError::Failed(format!("the router did not start: {error}")))?;
        drop(router_slot.set(router.clone()));
        let publication = Publication {
            daemon: Arc::clone(&daemon),
            endpoints: running.endpoints.iter().cloned().collect(),
            invalid: running.invalid.clone(),
        };
        let published = router.publish(publication).await;
        let generation = published.map_err(|error| StartError::Failed(error.to_string()))?;

        let config = Arc::new(ArcSwap::new(Arc::clone(&daemon)));
        let changes = blocking({
            let folder = daemon.spool.path.clone();
            move || Arc::new(Changes::open(&folder))
        })
        .await?;
        let live = Live {
            router: router.clone(),
            spool: spool.clone(),
            config: Arc::clone(&config),
            changes: Arc::clone(&changes),
            clock: Arc::clone(&clock),
        };
        let store = Arc::new(Store::new(loader.clone()));
        let (reload, _joined) = ReloadActor::start(ReloadArgs {
            loader,
            running: Arc::new(running),
            generation,
            last_good,
            publisher: Arc::new(live),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            watch: Some(WatchTimes::default()),
        })
        .await
        .map_err(|error| StartError::Failed(format!("the files are not watched: {error}")))?;

        metrics.gauge(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        let ingress = Ingress::new(IngressDeps {
            router: router.clone(),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            config: Arc::clone(&config),
            limits: Limits::default().within(descriptors),
        });
        let started = clock.now();
        let draining = CancellationToken::new();
        let deliveries = Arc::new(Deliveries {
            router: router.clone(),
            spool: spool.clone(),
            history: EmbeddedHistory::of(spool.clone()),
            clock: Arc::clone(&clock),
            draining: draining.clone(),
            replays: Replays::default(),
            erasing: Arc::default(),
        });
        let backend = Arc::new(Backend {
            path,
            daemon,
            config,
            router,
            spool,
            reload,
            metrics,
            clock,
            started,
            store,
            changes,
            deliveries,
            draining,
        });
        // First, so that whoever has had an event taken is answered here as well.
        front.open(backend.clone());
        let (stop_ingress, ingress_over) = (CancellationToken::new(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the App owns the handle and stops it")]
        let serving_ingress = tokio::spawn({
            let (stop, over) = (stop_ingress.clone(), ingress_over.clone().drop_guard());
            async move {
                let _over = over;
                ingress.run(ingress_listener, stop).await;
            }
        });
        tracing::info!(ingress = %ingress_at, admin = %admin_at, generation = generation.0, "ready");
        Ok(Self {
            ingress: ingress_at,
            admin: admin_at,
            backend,
            sink_tasks,
            stop_ingress,
            stop_admin: stop_admin.disarm(),
            serving_ingress,
            serving_admin,
            ingress_over,
            admin_over,
        })
    }
}

/// How long and how many repeats the spool recognises.
pub(super) fn dedup_limits(daemon: &DaemonConfig) -> DedupLimits {
    DedupLimits { window: daemon.ingress.dedup_window, max: daemon.ingress.dedup_max }
}

/// How many descriptors this process may open. The soft limit is raised to the hard one: it is low for programs that
/// know no other way to wait for descriptors than a table of a thousand.
fn descriptors() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit).is_ok();
    if raised { limit.maximum } else { soft }.unwrap_or(u64::MAX)
}

/// Connections that may wait to be accepted. With the usual 128, a burst overflows the queue, and who is behind it
/// believes to be connected although nobody knows of him.
const BACKLOG: u32 = 4096;

fn bind(
    daemon: &DaemonConfig,
    address: SocketAddr,
    key: &str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Failed(cannot_listen(daemon, address, key, &error));
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    socket.set_reuseaddr(true).and_then(|()| socket.bind(address)).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Why an address cannot be had, and what to do. Most often a second daemon was started on the same files.
fn cannot_listen(daemon: &DaemonConfig, address: SocketAddr, key: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => match spool::holder(&daemon.spool.path) {
            Some(holder) => {
                format!(
                    "; {holder} holds the spool {} already: is it this daemon?",
                    daemon.spool.path.display()
                )
            }
            None => format!("; stop what listens there, or change {key}"),
        },
        io::ErrorKind::AddrNotAvailable => format!("; no interface of this machine has it: change {key}"),
        io::ErrorKind::PermissionDenied => {
            format!("; ports below 1024 need CAP_NET_BIND_SERVICE: change {key} or give the daemon that")
        }
        _ => String::new(),
    };
    format!("cannot listen on {address} ({key}): {error}{advice}")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Failed(error.to_string()))
}
