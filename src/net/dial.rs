use postrider_sink::{Connection, async_trait};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Connects to an address that was checked. The seam where a simulation or a test stands in.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to this very address.
    ///
    /// # Errors
    /// Refused, unreachable, reset.
    async fn dial(&self, address: SocketAddr) -> io::Result<Dialed>;
}

/// A connection, and between whom it is.
pub struct Dialed {
    /// The stream.
    pub connection: Connection,
    /// The other side, as the system says after connecting.
    pub peer: SocketAddr,
    /// This side.
    pub local: SocketAddr,
}

/// TCP of this machine, without delaying small writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDial;

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, address: SocketAddr) -> io::Result<Dialed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        Ok(Dialed { connection: Box::new(stream), peer, local })
    }
}
