use postrider_sink::{Connection, async_trait};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tokio::net::TcpStream;

/// Connects to an address that was checked. The seam where a simulation or a test stands in.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to this very address.
    ///
    /// # Errors
    /// Refused, unreachable, reset.
    async fn dial(&self, address: SocketAddr) -> io::Result<Dialed>;

    /// Whether it is an address of this machine.
    fn is_local(&self, address: IpAddr) -> bool;
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

    /// The system lets a socket have an address of this machine and no other.
    fn is_local(&self, address: IpAddr) -> bool {
        UdpSocket::bind((address, 0)).is_ok()
    }
}
