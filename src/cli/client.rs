//! A small HTTP/1.1 client for talking to the daemon: one connection a request, everything bounded.

use super::exit::{Exit, Failure};
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use postrider_sink_tls::{Roots, TlsSettings};
use rustls_pki_types::ServerName;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// The largest answer that is read: a status of 100,000 endpoints fits.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// A daemon on this machine answers a connect at once.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The longest an answer may take: a test waits for an attempt's own deadline.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// A connection, with TLS or without.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Stream = Box<dyn Io>;

/// Where a daemon listens, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Client {
    base: Url,
    authority: String,
    authorization: Option<HeaderValue>,
    precondition: Option<(HeaderName, HeaderValue)>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Client {
    /// For the listener at `base`, a URL that starts with `http://` or `https://`. A user name and a password in it are shown with
    /// every request.
    pub(super) fn new(base: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("{base:?} is no address of a daemon: {why}"));
        let mut base = Url::parse(base).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it starts with http:// or https://"));
        }
        let host = base.host_str().ok_or_else(|| wrong("it has no host"))?;
        let authority = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let authorization = user_of(&base).and_then(|basic| HeaderValue::try_from(basic).ok());
        // What is printed later has no password in it.
        let _ = base.set_password(None);
        let _ = base.set_username("");
        let client = Self { base, authority, authorization: None, precondition: None };
        Ok(client.authorization(authorization))
    }

    /// Shows this with every request.
    pub(super) fn authorization(mut self, value: Option<HeaderValue>) -> Self {
        self.authorization = value.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Expects this of what is changed: `If-Match`, or `If-None-Match`.
    pub(super) fn expecting(mut self, name: HeaderName, value: &str) -> Result<Self, Failure> {
        let value = HeaderValue::try_from(value).map_err(|error| Failure::failed(error.to_string()))?;
        self.precondition = Some((name, value));
        Ok(self)
    }

    pub(super) async fn put(&self, path: &str, json: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.ask(Method::PUT, path, json.into()).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Posts a JSON text, or nothing.
    pub(super) async fn post(&self, path: &str, json: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, json.into()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::DELETE, path, Bytes::new()).await
    }

    /// Gets something that may be long or never end, and hands over its lines as they come.
    pub(super) async fn lines(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let stream = tokio::time::timeout(CONNECT_TIME, self.connect())
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let broken = |error: hyper::Error| self.unreachable(&error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = self.request(Method::GET, path, Bytes::new()).map_err(|why| self.unreachable(&why))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (status, mut body) = (response.status().as_u16(), response.into_body());
            if status != 200 {
                let body = Limited::new(body, MAX_ANSWER).collect().await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                return Err(Failure::answer(status, &body));
            }
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                rest.extend_from_slice(frame.map_err(broken)?.data_ref().map_or(&[][..], |bytes| bytes));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    each(String::from_utf8_lossy(&line).trim_end())?;
                }
            }
            Ok(())
        };
        let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
        tokio::select! {
            answered = &mut answer => answered,
            _ = &mut connection => answer.await,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let stream = tokio::time::timeout(CONNECT_TIME, self.connect())
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let exchange = self.exchange(stream, method, path, body);
        match tokio::time::timeout(ANSWER_TIME, exchange).await {
            Ok(answer) => answer.map_err(|reason| self.unreachable(&reason)),
            Err(_) => Err(self.unreachable(&format!("no answer within {} s", ANSWER_TIME.as_secs()))),
        }
    }

    async fn connect(&self) -> std::io::Result<Stream> {
        let port = self.base.port_or_known_default().unwrap_or(80);
        let (stream, name) = match self.base.host() {
            Some(url::Host::Ipv4(address)) => {
                (TcpStream::connect((address, port)).await?, ServerName::from(IpAddr::V4(address)))
            }
            Some(url::Host::Ipv6(address)) => {
                (TcpStream::connect((address, port)).await?, ServerName::from(IpAddr::V6(address)))
            }
            Some(url::Host::Domain(name)) => {
                let server = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
                (TcpStream::connect((name, port)).await?, server)
            }
            None => return Err(std::io::ErrorKind::InvalidInput.into()),
        };
        if self.base.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let config = Arc::new(Roots::system(&[b"http/1.1"])).config(&TlsSettings::default()).await;
        let connector = TlsConnector::from(config.map_err(std::io::Error::other)?);
        let host = self.base.host_str().unwrap_or_default();
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| std::io::Error::other(postrider_sink_tls::reason(host, &error)));
        Ok(Box::new(stream?))
    }

    async fn exchange(
        &self,
        stream: Stream,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, String> {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let request = self.request(method, path, body)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok(Answer { status, body: body.map_err(|error| error.to_string())?.to_bytes() })
        };
        // The connection is driven beside the exchange and ends with it; what it says, the exchange says too.
        let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
        tokio::select! {
            answered = &mut answer => answered,
            _ = &mut connection => answer.await,
        }
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let path = format!("{}{path}", self.base.path().trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONNECTION, "close");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some((name, value)) = &self.precondition {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }

    fn unreachable(&self, reason: &str) -> Failure {
        Failure::new(Exit::Unreachable, format!("no daemon answers at {}: {reason}", self.base))
            .hint("Is it running? Start it with `postrider run`, or name another address.")
    }
}

/// The Basic credentials of a URL.
fn user_of(url: &Url) -> Option<String> {
    let plain = |text: &str| -> Vec<u8> {
        url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
            .next()
            .map_or_else(Vec::new, |(text, _)| text.into_owned().into_bytes())
    };
    let (username, password) = (url.username(), url.password().unwrap_or_default());
    if username.is_empty() {
        return None;
    }
    let mut both = plain(username);
    both.push(b':');
    both.extend(plain(password));
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
}
