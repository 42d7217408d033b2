use crate::{Trail, async_trait};
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to the other side.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection made by a [`Connector`].
pub type Connection = Box<dyn Io>;

/// Resolves a name, checks every address it has, and connects to a checked one.
///
/// It never connects to an address that it did not check, and never looks a name up a second time in between.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to `host`, a name or an address literal as a parsed URL holds it (IPv6 without brackets).
    /// Notes the DNS and connect times in `trail`.
    async fn connect(&self, host: &str, port: u16, trail: &Trail) -> Result<Connection, ConnectError>;

    /// The addresses of `host`, every one of them checked as [`Connector::connect`] checks them: for whoever connects
    /// in our place, a proxy, which is given an address and never a name. Notes the DNS time in `trail`.
    ///
    /// A host that does not offer it refuses.
    async fn addresses(&self, host: &str, port: u16, trail: &Trail) -> Result<Vec<IpAddr>, ConnectError> {
        let (_, _) = (port, trail);
        let message = format!("nobody here checks the addresses of {host} for a proxy");
        Err(ConnectError { kind: ConnectErrorKind::Blocked, message })
    }

    /// Changes when what may be connected to changed. A sink that keeps connections drops those of another
    /// epoch.
    fn policy_epoch(&self) -> u64;
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// At which step.
    pub kind: ConnectErrorKind,
    /// For people.
    pub message: String,
}

/// The step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// The name has no address, or the resolver did not answer.
    Dns,
    /// The address guard refuses the address: nothing was sent anywhere.
    Blocked,
    /// Refused, unreachable, reset.
    Connect,
    /// No answer in time.
    Timeout,
}
