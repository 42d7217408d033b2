use super::backend::AdminBackend;
use super::door::Peer;
use super::front::Front;
use crate::net::secured;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at once; the next ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;

/// How long the head of a request may take, and how long a kept-alive connection may idle.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// How long answers under way may take when the listener stops.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// After `accept` failed, mostly for want of descriptors, which come back when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the pictures' numbers are taken, beside when somebody looks at them.
const LOOK: Duration = Duration::from_secs(20);

/// Serves until `shutdown` is cancelled, then finishes the answers under way, for at most 5 s.
pub async fn serve(listener: TcpListener, backend: Arc<dyn AdminBackend>, shutdown: CancellationToken) {
    let Ok(listen) = listener.local_addr() else {
        tracing::error!("the admin listener has no address; it is not served");
        return;
    };
    let front = Arc::new(Front::new(listen, None));
    front.open(backend);
    front.serve(listener, shutdown).await;
}

impl Front {
    /// The same, from before there is a backend.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEAD);
        let mut look = tokio::time::interval(LOOK);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                () = self.opened.notified() => {
                    look.reset_immediately();
                    continue;
                }
                _ = look.tick(), if self.page().is_some() => {
                    let page = self.page().cloned();
                    connections.spawn(async move { if let Some(page) = page { page.look().await } });
                    continue;
                }
                accepted = accept(&listener, &room) => accepted,
            };
            let Some((stream, permit)) = accepted else { continue };
            let peer = Peer(stream.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip()));
            let (http, watcher, front) = (http.clone(), graceful.watcher(), Arc::clone(&self));
            let tls = front.tls();
            connections.spawn(async move {
                // What breaks a connection is the other side's business.
                if let Ok(stream) = secured(stream, tls.as_deref(), HEADER_TIME).await {
                    let service = service_fn(move |request: Request<Incoming>| {
                        Arc::clone(&front).answer(peer, request)
                    });
                    let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
                }
                drop(permit);
            });
        }
        drop(listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("admin connections were cut: they took longer than {} s to end", GRACE.as_secs());
        }
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "the admin listener could not accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
