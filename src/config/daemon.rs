use crate::net::{NetworkPolicy, ServerTls};
use crate::policy::{DeliverySettings, Rate};
use crate::table::Catalogue;
use postrider_sink::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the daemon's file says, compiled: defaults filled in, paths absolute, secrets resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct DaemonConfig {
    /// `[ingress]`.
    pub ingress: IngressConfig,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[spool]`.
    pub spool: SpoolConfig,
    /// `[catalogue]`.
    pub catalogue: Catalogue,
    /// `[network]`.
    pub network: NetworkPolicy,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[reload]`.
    pub reload: ReloadConfig,
    /// `[shutdown]`.
    pub shutdown: ShutdownConfig,
    /// `[defaults]`: what every endpoint inherits.
    pub defaults: DeliverySettings,
}

/// Where events come in.
#[derive(Debug, Clone, PartialEq)]
pub struct IngressConfig {
    /// The address. Not live.
    pub listen: SocketAddr,
    /// What it proves itself with; none: it speaks plainly.
    pub tls: Option<Arc<ServerTls>>,
    /// Bytes of one request's body.
    pub max_body: u64,
    /// Events of one request.
    pub max_batch: usize,
    /// How long a repeat is recognised.
    pub dedup_window: Duration,
    /// How many keys are remembered.
    pub dedup_max: u64,
    /// Who may post. Empty: anybody, on loopback only.
    pub publishers: Vec<Publisher>,
}

/// Somebody who may post events.
#[derive(Debug, Clone, PartialEq)]
pub struct Publisher {
    /// For logs and dedup keys.
    pub name: Arc<str>,
    /// How it proves who it is.
    pub credential: Credential,
    /// Events per time.
    pub rate: Option<Rate>,
    /// The accounts it may post for; empty: all.
    pub accounts: Vec<Arc<str>>,
}

/// How a publisher proves who it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// `Authorization: Basic`.
    Basic {
        /// The user name.
        username: Arc<str>,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
}

/// The page, the API and the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// The address. Not live.
    pub listen: SocketAddr,
    /// What it proves itself with; none: it speaks plainly.
    pub tls: Option<Arc<ServerTls>>,
    /// Who may log in. Empty: anybody, on loopback only.
    pub logins: Vec<Login>,
    /// Names by which browsers reach it, beside those of this machine.
    pub hosts: Vec<Arc<str>>,
    /// Whether the metrics need no login.
    pub metrics_public: bool,
}

/// Somebody who may use the admin listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The user name.
    pub username: Arc<str>,
    /// The password.
    pub password: Secret,
    /// The one account it sees; none: all.
    pub account: Option<Arc<str>>,
}

/// The store and its budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Its folder. Not live.
    pub path: PathBuf,
    /// Bytes of undelivered work.
    pub max_bytes: u64,
    /// Bytes that may wait for one endpoint.
    pub backlog: u64,
    /// How long history is kept,
    pub keep_delivered: Duration,
    /// and how many bytes of it.
    pub history_bytes: u64,
    /// How long dead letters are kept,
    pub keep_dead: Duration,
    /// and how many bytes of them.
    pub dead_bytes: u64,
}

/// What all endpoints share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Attempts at once over all endpoints, beyond the one that every endpoint always may make.
    pub attempts: usize,
}

/// How changes of files are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadConfig {
    /// How long the deliveries of a vanished endpoint file are held before they are dead.
    pub removed_grace: Duration,
}

/// How the daemon stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long attempts in flight may take to finish.
    pub grace: Duration,
}

const KIB: u64 = 1024;
const GIB: u64 = KIB * KIB * KIB;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl AdminConfig {
    /// The defaults, at an address.
    #[must_use]
    pub const fn at(listen: SocketAddr) -> Self {
        Self { listen, tls: None, logins: Vec::new(), hosts: Vec::new(), metrics_public: false }
    }
}

impl IngressConfig {
    /// The defaults, at an address.
    #[must_use]
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            max_body: 256 * KIB,
            max_batch: 1000,
            dedup_window: DAY,
            dedup_max: 10_000_000,
            publishers: Vec::new(),
        }
    }
}

impl SpoolConfig {
    /// The defaults, in a folder.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self {
            path,
            max_bytes: 10 * GIB,
            backlog: GIB,
            keep_delivered: DAY,
            history_bytes: 2 * GIB,
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            dead_bytes: 2 * GIB,
        }
    }
}

impl Default for LimitsConfig {
    /// 512 for every core, but no more than a quarter of the descriptors that the process may open now (a daemon raises
    /// its limit before it reads its files): an attempt needs one, and so do idle connections, publishers and the store.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let quarter = descriptors.map_or(usize::MAX, |most| usize::try_from(most / 4).unwrap_or(usize::MAX));
        Self { attempts: (512 * cores).min(quarter).max(16) }
    }
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { removed_grace: Duration::from_secs(3600) }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { grace: Duration::from_secs(30) }
    }
}
