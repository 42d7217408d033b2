use super::Body;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use postrider_sink::{Clock, Connection};
use rustls_pki_types::ServerName;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The head of an answer may have so many bytes. hyper's own bound of 100 header lines applies besides.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection is kept unused.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection is used at all, so that a change of DNS is noticed.
const AGE: Duration = Duration::from_secs(300);

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct To {
    /// For the connector: IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that the certificate must be for; none: plain HTTP.
    pub(super) tls: Option<ServerName<'static>>,
}

/// One connection. It ends with this value.
pub(super) struct Link {
    sender: SendRequest<Body>,
    born: Instant,
    used: Instant,
    /// The policy under which its address was checked.
    epoch: u64,
}

/// The connections of an endpoint that nobody is using, and what drives all of them.
pub(super) struct Links {
    clock: Arc<dyn Clock>,
    most: usize,
    kept: Mutex<Vec<(To, Link)>>,
    drivers: Mutex<JoinSet<()>>,
}

impl Link {
    /// Sends a request. A link that was closed while nobody used it says that it was canceled: the request reached nobody.
    pub(super) async fn send(&mut self, request: http::Request<Body>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

impl Links {
    pub(super) fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        Self { clock, most, kept: Mutex::default(), drivers: Mutex::default() }
    }

    pub(super) async fn open(&self, io: Connection, epoch: u64) -> hyper::Result<Link> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(io)).await?;
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        while drivers.try_join_next().is_some() {}
        // What goes wrong the request is told.
        drivers.spawn(async move { drop(connection.await) });
        let now = self.clock.now();
        Ok(Link { sender, born: now, used: now, epoch })
    }

    /// A connection to there that was made under this policy and is still good.
    pub(super) fn take(&self, to: &To, epoch: u64) -> Option<Link> {
        let now = self.clock.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, link)| {
            link.epoch == epoch && !link.sender.is_closed() && now < link.used + IDLE && now < link.born + AGE
        });
        let at = kept.iter().rposition(|(kept, _)| kept == to)?;
        Some(kept.remove(at).1)
    }

    pub(super) fn put(&self, to: To, mut link: Link) {
        link.used = self.clock.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most && !kept.is_empty() {
            kept.remove(0);
        }
        if self.most > 0 {
            kept.push((to, link));
        }
    }
}
