use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Connections to the subscriber, endpoint by endpoint, each with a queue and a task of its own.
pub(crate) struct Out {
    queues: Vec<UnboundedSender<Bytes>>,
    next: AtomicUsize,
    answered: Arc<AtomicUsize>,
}

struct Target {
    to: SocketAddr,
    uri: http::Uri,
    headers: HeaderMap,
    answered: Arc<AtomicUsize>,
}

impl Out {
    pub(crate) fn start(
        tasks: &mut JoinSet<()>,
        to: SocketAddr,
        endpoints: &[String],
        connections: usize,
        headers: &HeaderMap,
    ) -> Result<Self> {
        let mut queues = Vec::new();
        let answered = Arc::new(AtomicUsize::new(0));
        for endpoint in endpoints.iter().cycle().take(connections) {
            let (queue, work) = unbounded_channel();
            let mut headers = headers.clone();
            headers.insert(HOST, HeaderValue::try_from(to.to_string())?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(AUTHORIZATION, HeaderValue::try_from(postrider_checker::authorization(endpoint))?);
            let uri = format!("/{endpoint}").parse().context("not a path")?;
            let target = Target { to, uri, headers, answered: Arc::clone(&answered) };
            tasks.spawn(async move {
                if let Err(error) = target.serve(work).await {
                    eprintln!("a connection ended: {error:#}");
                }
            });
            queues.push(queue);
        }
        Ok(Self { queues, next: AtomicUsize::new(0), answered })
    }

    /// How many posts have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn post(&self, body: Bytes) {
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
        *request.headers_mut() = self.headers.clone();
        let response = open.send_request(request).await?;
        response.into_body().collect().await?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(open)
    }
}
