//! Requests of components: through the host's guarded connector, to declared hosts alone.

mod link;
mod request;

use crate::hosts::Hosts;
use crate::state::{Refusal, RefusalKind};
use crate::wit::http::{Error, ErrorKind, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use link::{Links, To};
use postrider_sink::{ConnectError, ConnectErrorKind, Connection, HostContext, Trail};
use postrider_sink_tls as tls;
use request::Prepared;
use rustls::ClientConfig;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Sends the requests of one endpoint's component.
pub(crate) struct Client {
    host: HostContext,
    hosts: Hosts,
    tls: TlsConnector,
    links: Links,
}

/// A request that was not answered.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The address guard refused.
    blocked: bool,
}

impl Failed {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { error: Error { kind, message: message.into() }, blocked: false }
    }

    /// What people are told, whatever the component makes of it.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let kind = if self.blocked { RefusalKind::Blocked } else { RefusalKind::Denied };
        let refused = self.error.kind == ErrorKind::Refused;
        refused.then(|| Refusal { reason: self.error.message.clone(), kind })
    }
}

impl Client {
    pub(crate) fn new(host: HostContext, hosts: Hosts, tls: Arc<ClientConfig>) -> Self {
        let links = Links::new(Arc::clone(&host.clock), host.concurrency);
        Self { host, hosts, tls: TlsConnector::from(tls), links }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(
        &self,
        request: Request,
        left: Duration,
        trail: &Trail,
    ) -> Result<Response, Failed> {
        let prepared = Prepared::new(request, &self.host.user_agent)?;
        let To { host, port, .. } = &prepared.to;
        if !self.hosts.allow(host, *port) {
            let declared = match self.hosts.shown() {
                hosts if hosts.is_empty() => String::from("none is"),
                hosts => format!("declared: {hosts}"),
            };
            let message = format!("{host}:{port} is not among the declared hosts ({declared})");
            return Err(Failed::new(ErrorKind::Refused, message));
        }
        let late = |_| Failed::new(ErrorKind::Timeout, format!("no answer from {host} within {left:.1?}"));
        tokio::time::timeout(left, self.exchange(&prepared, trail)).await.map_err(late)?
    }

    async fn exchange(&self, prepared: &Prepared, trail: &Trail) -> Result<Response, Failed> {
        let epoch = self.host.connector.policy_epoch();
        let answer = match self.links.take(&prepared.to, epoch) {
            Some(mut link) => match link.send(prepared.request()).await {
                Ok(answer) => Some((link, answer)),
                // It had been closed while it was kept, and the request reached nobody.
                Err(error) if error.is_canceled() || error.is_closed() => None,
                Err(error) => return Err(broken(&prepared.to.host, &error)),
            },
            None => None,
        };
        let (link, answer) = match answer {
            Some(answered) => answered,
            None => {
                let mut link = self.connect(&prepared.to, epoch, trail).await?;
                let answer = link.send(prepared.request()).await;
                (link, answer.map_err(|error| broken(&prepared.to.host, &error))?)
            }
        };
        let response = read(answer, &prepared.to.host).await?;
        self.links.put(prepared.to.clone(), link);
        Ok(response)
    }

    async fn connect(&self, to: &To, epoch: u64, trail: &Trail) -> Result<link::Link, Failed> {
        let within = self.host.connect_timeout;
        let connected = tokio::time::timeout(within, self.connect_unbounded(to, trail)).await;
        let late = |_| {
            let message = format!("no connection to {} port {} within {within:?}", to.host, to.port);
            Failed::new(ErrorKind::Timeout, message)
        };
        let io = connected.map_err(late)??;
        self.links.open(io, epoch).await.map_err(|error| broken(&to.host, &error))
    }

    async fn connect_unbounded(&self, to: &To, trail: &Trail) -> Result<Connection, Failed> {
        let io = self.host.connector.connect(&to.host, to.port, trail).await.map_err(not_connected)?;
        let Some(name) = &to.tls else { return Ok(io) };
        let started = self.host.clock.now();
        let stream = self.tls.connect(name.clone(), io).await;
        let stream = stream.map_err(|error| Failed::new(ErrorKind::Tls, tls::reason(&to.host, &error)))?;
        trail.tls(self.host.clock.now().saturating_duration_since(started));
        Ok(Box::new(stream))
    }
}

/// Reads an answer, all of it.
async fn read(answer: hyper::Response<Incoming>, host: &str) -> Result<Response, Failed> {
    const MOST: usize = 1 << 20;
    let large =
        || Failed::new(ErrorKind::Answer, format!("the answer of {host} is larger than {} KiB", MOST / 1024));
    let (head, body) = answer.into_parts();
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > MOST) {
        return Err(large());
    }
    let body = Limited::new(body, MOST).collect().await;
    let body = body.map_err(|error| error.downcast_ref().map_or_else(large, |error| broken(host, error)))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    Ok(Response { status: head.status.as_u16(), headers: headers.collect(), body: text(&body.to_bytes()) })
}

fn not_connected(error: ConnectError) -> Failed {
    let kind = match error.kind {
        ConnectErrorKind::Blocked => ErrorKind::Refused,
        ConnectErrorKind::Dns => ErrorKind::Dns,
        ConnectErrorKind::Connect => ErrorKind::Connect,
        ConnectErrorKind::Timeout => ErrorKind::Timeout,
    };
    let blocked = error.kind == ConnectErrorKind::Blocked;
    Failed { error: Error { kind, message: error.message }, blocked }
}

/// A connection that broke, in words without anything that the other side chose.
fn broken(host: &str, error: &hyper::Error) -> Failed {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(io) = io.filter(|io| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())) {
        return Failed::new(ErrorKind::Tls, tls::reason(host, io));
    }
    if error.is_parse_too_large() {
        return Failed::new(ErrorKind::Answer, format!("the head of the answer of {host} is too large"));
    }
    if error.is_parse() {
        return Failed::new(ErrorKind::Answer, format!("the answer of {host} is not HTTP/1.1"));
    }
    let message = if error.is_incomplete_message() {
        format!("{host} closed the connection before the answer was complete")
    } else if let Some(io) = io {
        format!("the connection to {host} broke: {}", io.kind())
    } else {
        format!("{host} closed the connection before an answer")
    };
    Failed::new(ErrorKind::Connect, message)
}

/// The body of a request.
type Body = Full<Bytes>;
