use std::future::Future;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Where connections come in. The seam where a simulated network stands in.
pub trait Listen: Send + Sync + 'static {
    /// A connection.
    type Stream: Transport;

    /// The next connection, and who made it. Small writes to it are not delayed.
    ///
    /// # Errors
    /// As the system says.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// A connection's bytes.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// Ends once something can be read, without reading it.
    ///
    /// # Errors
    /// As the system says.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // Answers are small and are waited for. Without it they only come later.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

impl Transport for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }
}
