use super::address::{canonical, judge};
use super::names::{LOOKUPS_PER_ENDPOINT, Names};
use super::{Dial, Dialed, NetworkPolicy, Resolve, TcpDial};
use crate::clock::{Clock, SystemClock};
use arc_swap::ArcSwap;
use postrider_sink::{ConnectError, ConnectErrorKind, Connection, Connector, Trail, async_trait};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an address may take while there is another one to try; the caller's deadline bounds the last.
const NEXT_AFTER: Duration = Duration::from_secs(1);
/// Bounds every dial, whatever deadline the caller has.
const DIAL: Duration = Duration::from_secs(10);
/// How many addresses of a name are tried.
const TRIED: usize = 8;

/// The network as sinks may use it: the policy in force, the names, and how to dial.
pub struct Network {
    policy: ArcSwap<NetworkPolicy>,
    epoch: AtomicU64,
    /// Where this daemon itself listens: an event sent there would go round and round.
    own: Vec<SocketAddr>,
    names: Names,
    dial: Arc<dyn Dial>,
}

impl Network {
    /// The network of this machine. `own` are the daemon's listen addresses, after binding.
    #[must_use]
    pub fn new(policy: NetworkPolicy, own: Vec<SocketAddr>, resolver: Arc<dyn Resolve>) -> Arc<Self> {
        Self::with_dial(policy, own, resolver, Arc::new(TcpDial))
    }

    /// As [`Network::new`], with another way to dial.
    #[must_use]
    pub fn with_dial(
        policy: NetworkPolicy,
        own: Vec<SocketAddr>,
        resolver: Arc<dyn Resolve>,
        dial: Arc<dyn Dial>,
    ) -> Arc<Self> {
        let own = own.into_iter().map(|at| SocketAddr::new(canonical(at.ip()), at.port())).collect();
        let (policy, names) = (ArcSwap::from_pointee(policy), Names::new(resolver));
        Arc::new(Self { policy, epoch: AtomicU64::new(0), own, names, dial })
    }

    /// Puts a policy in force. Another one than before starts a new epoch, and connections kept by sinks end.
    pub fn set_policy(&self, policy: NetworkPolicy) {
        if **self.policy.load() == policy {
            return;
        }
        // In this order: who sees the new epoch is judged by the new policy.
        self.policy.store(Arc::new(policy));
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// The way out for one endpoint.
    #[must_use]
    pub fn connector(self: &Arc<Self>, endpoint: &str) -> Arc<dyn Connector> {
        Arc::new(GuardedConnector {
            network: Arc::clone(self),
            endpoint: Arc::from(endpoint),
            lookups: Arc::new(Semaphore::new(LOOKUPS_PER_ENDPOINT)),
        })
    }

    /// Whether this daemon listens there. A listener on every address is reached by every address of this machine.
    fn is_own(&self, at: SocketAddr) -> bool {
        let everywhere = || at.ip().is_loopback() || self.dial.is_local(at.ip());
        self.own.iter().any(|own| {
            own.port() == at.port() && (own.ip() == at.ip() || (own.ip().is_unspecified() && everywhere()))
        })
    }

    /// The same once connected, should the machine have got the address in between: both ends are then the same.
    fn is_own_connection(&self, dialed: &Dialed) -> bool {
        let (peer, local) = (canonical(dialed.peer.ip()), canonical(dialed.local.ip()));
        peer == local
            && self.own.iter().any(|own| own.ip().is_unspecified() && own.port() == dialed.peer.port())
    }
}

/// One endpoint's way out: it resolves, checks every address, and connects to a checked one.
pub struct GuardedConnector {
    network: Arc<Network>,
    endpoint: Arc<str>,
    lookups: Arc<Semaphore>,
}

#[async_trait]
impl Connector for GuardedConnector {
    async fn connect(&self, host: &str, port: u16, trail: &Trail) -> Result<Connection, ConnectError> {
        let addresses = self.checked(host, port, trail).await?;
        self.dial(host, &addresses, port, trail).await
    }

    async fn addresses(&self, host: &str, port: u16, trail: &Trail) -> Result<Vec<IpAddr>, ConnectError> {
        let checked = self.checked(host, port, trail).await?;
        Ok(checked.iter().copied().map(canonical).collect())
    }

    fn policy_epoch(&self) -> u64 {
        self.network.epoch.load(Ordering::Acquire)
    }
}

impl GuardedConnector {
    async fn checked(&self, host: &str, port: u16, trail: &Trail) -> Result<Arc<[IpAddr]>, ConnectError> {
        let addresses = self.resolve(host, trail).await?;
        self.check(host, &addresses, port)?;
        Ok(addresses)
    }

    async fn resolve(&self, host: &str, trail: &Trail) -> Result<Arc<[IpAddr]>, ConnectError> {
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok(Arc::from([address]));
        }
        let started = SystemClock.now();
        let found = self.network.names.addresses(host, &self.lookups).await;
        trail.dns(SystemClock.now().saturating_duration_since(started));
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(error(ConnectErrorKind::Dns, format!("no such host: {host}"))),
            Err(reason) => Err(error(ConnectErrorKind::Dns, format!("no such host: {host} ({reason})"))),
        }
    }

    fn check(&self, host: &str, addresses: &[IpAddr], port: u16) -> Result<(), ConnectError> {
        let policy = self.network.policy.load();
        let of = |address: &IpAddr| match host.parse::<IpAddr>() {
            Ok(literal) if literal == *address => String::new(),
            _ => format!("{host} has the address {address}: "),
        };
        for address in addresses {
            judge(*address, &policy, &self.endpoint)
                .map_err(|refusal| error(ConnectErrorKind::Blocked, format!("{}{refusal}", of(address))))?;
            let at = SocketAddr::new(canonical(*address), port);
            if self.network.is_own(at) {
                return Err(own_listener(at));
            }
        }
        Ok(())
    }

    async fn dial(
        &self,
        host: &str,
        addresses: &[IpAddr],
        port: u16,
        trail: &Trail,
    ) -> Result<Connection, ConnectError> {
        let started = SystemClock.now();
        let mut failure = None;
        let tried = addresses.len().min(TRIED);
        for (nth, address) in addresses.iter().take(tried).enumerate() {
            let at = SocketAddr::new(canonical(*address), port);
            let limit = if nth + 1 < tried { NEXT_AFTER } else { DIAL };
            match tokio::time::timeout(limit, self.network.dial.dial(at)).await {
                Ok(Ok(dialed)) => {
                    trail.connect(SystemClock.now().saturating_duration_since(started));
                    return self.accept(at, dialed);
                }
                Ok(Err(reason)) => failure = Some(not_connected(at, &reason)),
                Err(_) => {
                    let seconds = limit.as_secs();
                    let message = format!("no connection to {at} within {seconds} s");
                    failure = Some(error(ConnectErrorKind::Timeout, message));
                }
            }
        }
        Err(failure.unwrap_or_else(|| error(ConnectErrorKind::Dns, format!("no such host: {host}"))))
    }

    /// The last look, at the connection itself.
    fn accept(&self, at: SocketAddr, dialed: Dialed) -> Result<Connection, ConnectError> {
        if (canonical(dialed.peer.ip()), dialed.peer.port()) != (at.ip(), at.port()) {
            let message = format!("connected to {} in the place of {at}", dialed.peer);
            return Err(error(ConnectErrorKind::Blocked, message));
        }
        if self.network.is_own_connection(&dialed) {
            return Err(own_listener(at));
        }
        Ok(dialed.connection)
    }
}

const fn error(kind: ConnectErrorKind, message: String) -> ConnectError {
    ConnectError { kind, message }
}

fn own_listener(at: SocketAddr) -> ConnectError {
    error(ConnectErrorKind::Blocked, format!("{at} is this daemon itself, which is never allowed"))
}

fn not_connected(at: SocketAddr, reason: &io::Error) -> ConnectError {
    let message = match reason.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused at {at}"),
        io::ErrorKind::ConnectionReset => format!("connection reset by {at}"),
        io::ErrorKind::HostUnreachable => format!("no route to {at}"),
        io::ErrorKind::NetworkUnreachable => format!("no network to {at}"),
        io::ErrorKind::TimedOut => {
            return error(ConnectErrorKind::Timeout, format!("no answer from {at}"));
        }
        _ => format!("no connection to {at}: {reason}"),
    };
    error(ConnectErrorKind::Connect, message)
}

#[cfg(test)]
mod tests;
