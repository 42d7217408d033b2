use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Connections to the subscriber, each with a queue and a task of its own.
pub(super) struct Out {
    queues: Vec<UnboundedSender<Bytes>>,
    next: AtomicUsize,
}

struct Target {
    to: SocketAddr,
    uri: http::Uri,
    host: HeaderValue,
    authorization: HeaderValue,
}

impl Out {
    pub(super) fn start(
        tasks: &mut JoinSet<()>,
        to: SocketAddr,
        endpoint: &str,
        connections: usize,
    ) -> Result<Self> {
        let mut queues = Vec::new();
        for _ in 0..connections {
            let (queue, work) = unbounded_channel();
            let target = Target {
                to,
                uri: format!("/{endpoint}").parse().context("not a path")?,
                host: HeaderValue::try_from(to.to_string())?,
                authorization: HeaderValue::try_from(postrider_checker::authorization(endpoint))?,
            };
            tasks.spawn(async move {
                if let Err(error) = target.serve(work).await {
                    eprintln!("a connection ended: {error:#}");
                }
            });
            queues.push(queue);
        }
        Ok(Self { queues, next: AtomicUsize::new(0) })
    }

    pub(super) fn post(&self, body: Bytes) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        if let Some(queue) = self.queues.get(turn) {
            let _ = queue.send(body);
        }
    }
}

impl Target {
    async fn serve(self, mut work: UnboundedReceiver<Bytes>) -> Result<()> {
        let mut driver = JoinSet::new();
        let mut sender: Option<SendRequest<Full<Bytes>>> = None;
        while let Some(body) = work.recv().await {
            let open = match sender.take() {
                Some(open) if !open.is_closed() => open,
                _ => {
                    let stream = TcpStream::connect(self.to).await?;
                    stream.set_nodelay(true)?;
                    let (open, connection) = handshake(TokioIo::new(stream)).await?;
                    driver.spawn(connection);
                    open
                }
            };
            sender = Some(self.post(open, body).await?);
        }
        Ok(())
    }

    async fn post(
        &self,
        mut open: SendRequest<Full<Bytes>>,
        body: Bytes,
    ) -> Result<SendRequest<Full<Bytes>>> {
        open.ready().await?;
        let mut request = Request::post(self.uri.clone()).body(Full::new(body))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, self.authorization.clone());
        let response = open.send_request(request).await?;
        response.into_body().collect().await?;
        Ok(open)
    }
}
