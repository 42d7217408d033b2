//! The simulated network behind the daemon's seams.

use postrider::net::{Dial, Dialed, Listen, Resolve, Transport};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// Where the daemon listens.
pub(crate) struct SimListener(pub(crate) TcpListener);

/// A connection of a publisher.
pub(crate) struct SimStream(TcpStream);

impl Listen for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((SimStream(stream), peer))
    }
}

impl Transport for SimStream {
    /// Only a listener with TLS asks.
    async fn readable(&self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The daemon's way out.
pub(crate) struct SimDial;

#[async_trait::async_trait]
impl Dial for SimDial {
    async fn dial(&self, address: SocketAddr) -> io::Result<Dialed> {
        let stream = TcpStream::connect(address).await?;
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        Ok(Dialed { connection: Box::new(stream), peer, local })
    }

    fn is_local(&self, _: IpAddr) -> bool {
        false
    }
}

/// The names of the receivers.
pub(crate) struct Names(pub(crate) BTreeMap<String, IpAddr>);

#[async_trait::async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.0.get(host).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(vec![*found])
    }
}
