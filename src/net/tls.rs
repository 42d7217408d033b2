use super::Transport;
use rustls::crypto::ring::default_provider;
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a listener proves itself with: a chain of certificates and the key of the first. Two are the same if they
/// were read from the same bytes.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
}

/// Why a chain and a key do not make a listener's identity. Never says anything of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// No certificate in the file of certificates.
    #[error("holds no certificate in PEM form")]
    NoCertificate,
    /// One that is none.
    #[error("holds a certificate that cannot be read")]
    BadCertificate,
    /// No key in the key's file; an encrypted one is none either.
    #[error("holds no private key in PEM form that is not encrypted")]
    NoKey,
    /// A key of a kind that is not taken, or a broken one.
    #[error("holds a private key that cannot be used (RSA, ECDSA P-256 or P-384, and Ed25519 can)")]
    BadKey,
    /// Both are good, but not for each other.
    #[error("holds a private key that does not belong to the first certificate")]
    Mismatch,
}

impl TlsFault {
    /// Whether it is about the key's file; else about the certificates'.
    #[must_use]
    pub const fn is_of_key(self) -> bool {
        !matches!(self, Self::NoCertificate | Self::BadCertificate)
    }
}

impl ServerTls {
    /// Reads both from PEM: TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// See [`TlsFault`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsFault> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|_| TlsFault::BadCertificate)?;
        if chain.is_empty() {
            return Err(TlsFault::NoCertificate);
        }
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::NoKey)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsFault::BadKey)?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, private).map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsFault::Mismatch,
                rustls::Error::InvalidCertificate(_) => TlsFault::BadCertificate,
                _ => TlsFault::BadKey,
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The length first: two ways to cut the same bytes must differ.
        let length = u64::try_from(certificates.len()).unwrap_or(u64::MAX).to_le_bytes();
        let digest = Sha256::new_with_prefix(length).chain_update(certificates).chain_update(key).finalize();
        Ok(Self { config: Arc::new(config), digest: digest.into() })
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(…)")
    }
}

/// A connection that was accepted, as it came or inside TLS.
pub enum ServerStream<S = TcpStream> {
    /// As it came.
    Plain(S),
    /// Inside TLS.
    Tls(Box<TlsStream<S>>),
}

/// Makes a connection what its listener serves: without `tls` as it is, else after a handshake, which must be over
/// within `limit`.
///
/// # Errors
/// The handshake failed or took too long. It is the other side's business, and nobody is told.
pub async fn secured<S: Transport>(
    stream: S,
    tls: Option<&ServerTls>,
    limit: Duration,
) -> io::Result<ServerStream<S>> {
    let Some(tls) = tls else { return Ok(ServerStream::Plain(stream)) };
    let handshake = TlsAcceptor::from(tls.config.clone()).accept(stream);
    let stream = tokio::time::timeout(limit, handshake).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(ServerStream::Tls(Box::new(stream)))
}

impl<S: Transport> AsyncRead for ServerStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: Transport> AsyncWrite for ServerStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
