use crate::answer;
use crate::link::{Link, Rest};
use crate::pool::Pool;
use crate::proxy::Proxy;
use crate::request::Template;
use crate::settings::HttpSettings;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use postrider_sink::{
    BuildError, ConnectError, ConnectErrorKind, Connection, Delivery, FailureClass, HostContext, Outcome,
    Sink, Trail, Verdict, async_trait,
};
use postrider_sink_tls as tls;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// An attempt waits so long for the end of an answer whose head it has, to use the connection again. The outcome
/// is known by then: waiting longer would hold it up.
const GRACE: Duration = Duration::from_millis(50);
/// A connection waits so long for the end of its answer before it is closed.
const REST: Duration = Duration::from_secs(2);

/// Delivers to one endpoint.
pub(crate) struct HttpSink {
    host: HostContext,
    template: Template,
    name: Arc<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Proxy>,
    pool: Pool,
    url: Arc<str>,
}

/// What came of sending a request over one connection.
enum Sent {
    Answered(Outcome),
    /// The connection had been closed by the other side while it was kept, before this request reached it.
    Stale,
}

impl HttpSink {
    pub(crate) fn new(
        settings: &HttpSettings,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        host: &HostContext,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            host: host.clone(),
            template: Template::new(settings, host)?,
            name: Arc::clone(&settings.destination.host),
            port: settings.destination.port,
            tls: tls.map(|(config, name)| (TlsConnector::from(config), name)),
            proxy: settings.proxy.clone(),
            pool: Pool::new(Arc::clone(&host.clock), host.concurrency),
            url: Arc::clone(&settings.destination.url),
        })
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<Outcome, Outcome> {
        let epoch = self.host.connector.policy_epoch();
        // Over one that is closed nothing of this delivery is taken by anybody: it is still the same attempt.
        while let Some(link) = self.pool.take(epoch) {
            if let Sent::Answered(outcome) = self.send(link, delivery).await? {
                return Ok(outcome);
            }
        }
        // What happens seldom lies elsewhere: the attempt of every delivery is smaller for it.
        let link = Box::pin(self.connect(epoch, &delivery.trail)).await?;
        match self.send(link, delivery).await? {
            Sent::Answered(outcome) => Ok(outcome),
            Sent::Stale => {
                Err(failed(FailureClass::Connect, "the connection closed before an answer".into()))
            }
        }
    }

    async fn send(&self, mut link: Link, delivery: &Delivery) -> Result<Sent, Outcome> {
        let clock = &*self.host.clock;
        let request = self.request(delivery)?;
        if delivery.trail.listens() {
            self.note_request(&request, delivery);
        }
        if delivery.trail.listens() || delivery.trail.wants_answer() {
            hide_secrets(&request, &delivery.trail);
        }
        let (answer, sent) = match link.send(request, clock).await {
            Ok(answered) => answered,
            Err(error) if link.reused && error.is_canceled() => return Ok(Sent::Stale),
            Err(error) => return Err(self.broken(&error)),
        };
        delivery.trail.answered(clock.now().saturating_duration_since(sent), answer.status().as_u16());
        let outcome = answer::judge(&answer, clock.unix());
        if delivery.trail.listens() {
            Box::pin(listen(link, answer, &delivery.trail)).await;
        } else {
            self.keep(link, answer, &delivery.trail).await;
        }
        Ok(Sent::Answered(outcome))
    }

    fn request(&self, delivery: &Delivery) -> Result<Request<Full<Bytes>>, Outcome> {
        self.template.request(delivery, self.host.clock.unix()).ok_or_else(|| {
            failed(
                FailureClass::SinkError,
                "the id or the product of the event cannot stand in a header".into(),
            )
        })
    }

    fn note_request(&self, request: &Request<Full<Bytes>>, delivery: &Delivery) {
        let shown = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let text =
                (!value.is_sensitive()).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned());
            (name.to_string(), text)
        };
        delivery.trail.note(|exchange| {
            exchange.request = request.headers().iter().map(shown).collect();
            exchange.url = self.url.to_string();
        });
    }

    /// Keeps the connection of an answer, if the answer ends soon.
    async fn keep(&self, mut link: Link, answer: Response<Incoming>, trail: &Trail) {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let until = self.host.clock.now() + REST;
        let mut rest = match Rest::new(answer.into_body(), until) {
            Ok(rest) => rest,
            Err(body) if trail.wants_answer() => return Box::pin(begin(link, body, trail)).await,
            Err(_) => return,
        };
        // Most often it has come with its head.
        let come = poll_fn(|cx| Poll::Ready(link.poll_rest(&mut rest, Some(trail), cx))).await;
        let read = match come {
            Poll::Ready(good) => Ok(good),
            Poll::Pending => {
                let read = poll_fn(|cx| link.poll_rest(&mut rest, Some(trail), cx));
                Box::pin(tokio::time::timeout(GRACE, read)).await
            }
        };
        let rest = match read {
            Ok(true) => None,
            Ok(false) => return,
            Err(_) => Some(rest),
        };
        self.pool.put(link, rest, self.host.connector.policy_epoch());
    }

    async fn connect(&self, epoch: u64, trail: &Trail) -> Result<Link, Outcome> {
        let within = self.host.connect_timeout;
        tokio::time::timeout(within, self.connect_unbounded(epoch, trail)).await.map_err(|_| {
            let (name, port, seconds) = (&self.name, self.port, within.as_secs_f32());
            failed(FailureClass::Timeout, format!("no connection to {name} port {port} within {seconds} s"))
        })?
    }

    async fn connect_unbounded(&self, epoch: u64, trail: &Trail) -> Result<Link, Outcome> {
        let clock = &*self.host.clock;
        let born = clock.now();
        let connector = &*self.host.connector;
        let connected = match &self.proxy {
            None => connector.connect(&self.name, self.port, trail).await,
            Some(proxy) => proxy.connect(connector, &self.name, self.port, trail).await,
        };
        let mut io = connected.map_err(not_connected)?;
        if let Some((connector, name)) = &self.tls {
            let started = clock.now();
            let handshake = connector.connect(name.clone(), io).await;
            let stream =
                handshake.map_err(|error| failed(FailureClass::Tls, tls::reason(&self.name, &error)))?;
            trail.tls(clock.now().saturating_duration_since(started));
            io = Box::new(stream) as Connection;
        }
        Link::open(io, born, epoch).await.map_err(|error| self.broken(&error))
    }

    /// A connection that broke, in words without anything that the other side chose.
    fn broken(&self, error: &hyper::Error) -> Outcome {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        if let Some(io) = io.filter(|io| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())) {
            return failed(FailureClass::Tls, tls::reason(&self.name, io));
        }
        let endless = io.is_some_and(|io| io.kind() == io::ErrorKind::FileTooLarge);
        let reason = if endless || error.is_parse_too_large() {
            String::from("the head of the answer is too large")
        } else if error.is_parse() {
            String::from("the answer is not HTTP/1.1")
        } else if error.is_incomplete_message() {
            String::from("the connection closed before the answer was complete")
        } else if let Some(io) = io {
            format!("the connection broke: {}", io.kind())
        } else {
            String::from("the connection closed before an answer")
        };
        failed(FailureClass::Connect, reason)
    }
}

/// An answer may repeat what it was asked with.
fn hide_secrets(request: &Request<Full<Bytes>>, trail: &Trail) {
    for value in request.headers().values().filter(|value| value.is_sensitive()) {
        let value = value.as_bytes();
        trail.hide(value);
        let encoded = value.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        trail.hide(encoded);
        if value.starts_with(b"Basic ")
            && let Ok(decoded) = BASE64_STANDARD.decode(encoded)
        {
            trail.hide(&decoded);
            trail.hide(decoded.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default());
        }
    }
}

/// Reads an answer for somebody who wants to see it, for a short while; the outcome is known by then.
async fn listen(mut link: Link, answer: Response<Incoming>, trail: &Trail) {
    let (head, body) = answer.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    trail.note(|exchange| {
        exchange.response =
            head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    });
    let mut body = body;
    let mut show = |bytes: &[u8]| trail.note(|exchange| exchange.push(bytes)) == Some(true);
    // What is there by then is shown.
    drop(tokio::time::timeout(REST, poll_fn(|cx| link.poll_body(&mut body, &mut show, cx))).await);
}

/// Reads as much as is wanted of an answer that is too long to be read to its end. Its connection is not kept.
async fn begin(mut link: Link, mut body: Incoming, trail: &Trail) {
    let mut keep = |bytes: &[u8]| {
        trail.body(bytes);
        trail.wants_answer()
    };
    drop(tokio::time::timeout(GRACE, poll_fn(|cx| link.poll_body(&mut body, &mut keep, cx))).await);
}

fn failed(class: FailureClass, reason: String) -> Outcome {
    Outcome::failed(class, reason)
}

fn not_connected(error: ConnectError) -> Outcome {
    let class = match error.kind {
        ConnectErrorKind::Blocked => {
            return Outcome { verdict: Verdict::Blocked, reason: error.message.into() };
        }
        ConnectErrorKind::Dns => FailureClass::Dns,
        ConnectErrorKind::Connect => FailureClass::Connect,
        ConnectErrorKind::Timeout => FailureClass::Timeout,
    };
    failed(class, error.message)
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        match self.attempt(delivery).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }
}
