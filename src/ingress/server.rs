use super::Shared;
use super::serve::serve_connection;
use crate::net::{Listen, ServerStream, Transport, secured};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The first wait after `accept` failed for want of descriptors or memory, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Accepts connections until `shutdown`, then waits for those there are. Dropping the future drops them all.
pub(super) async fn run<L: Listen>(shared: Arc<Shared>, listener: L, shutdown: CancellationToken) {
    let peers = Arc::new(Peers::default());
    let mut connections = JoinSet::new();
    let mut wait = None;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // A descriptor came back: accepting is tried again without the rest of the wait.
            Some(_) = connections.join_next() => wait = wait.map(|_| Duration::ZERO),
            accepted = accept(&listener, wait) => match accepted {
                Ok((stream, peer)) => {
                    wait = None;
                    if connections.len() >= shared.limits.connections {
                        continue;
                    }
                    let Some(place) = peers.enter(peer.ip(), shared.limits.connections_per_ip) else { continue };
                    let (shared, shutdown) = (shared.clone(), shutdown.clone());
                    connections.spawn(async move {
                        if let Some(stream) = greeted(stream, &shared, &shutdown).await {
                            serve_connection(stream, shared, shutdown).await;
                        }
                        drop(place);
                    });
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if wait.is_none() {
                        tracing::warn!(%error, "cannot accept connections of publishers; trying on");
                    }
                    wait = Some(wait.map_or(FIRST_WAIT, |wait: Duration| (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT)));
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The connection once its TLS handshake is over, where the configuration in force wants one; none: it did not come
/// to that. The wait for the first byte has its own deadline, as it has without TLS.
async fn greeted<S: Transport>(
    stream: S,
    shared: &Shared,
    shutdown: &CancellationToken,
) -> Option<ServerStream<S>> {
    let Some(tls) = shared.publishers.config().ingress.tls.clone() else {
        return Some(ServerStream::Plain(stream));
    };
    let greeting = async {
        timeout(shared.limits.first_byte, stream.readable()).await.ok()?.ok()?;
        secured(stream, Some(&tls), shared.limits.handshake).await.ok()
    };
    tokio::select! {
        () = shutdown.cancelled() => None,
        greeted = greeting => greeted,
    }
}

async fn accept<L: Listen>(listener: &L, wait: Option<Duration>) -> io::Result<(L::Stream, SocketAddr)> {
    if let Some(wait) = wait {
        sleep(wait).await;
    }
    listener.accept().await
}

/// Whether it is about one connection that is gone already, and the next may be accepted at once.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

/// The place of one connection among those of its address.
struct Place {
    peers: Arc<Peers>,
    ip: IpAddr,
}

impl Peers {
    /// A place, if the address has fewer than `max` connections.
    fn enter(self: &Arc<Self>, ip: IpAddr, max: usize) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { peers: self.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}
