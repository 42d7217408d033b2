//! `proxy`: the destination is reached through an HTTP proxy's CONNECT, which is given the address that was checked
//! and never a name. Only the endpoint's file names a proxy, never the environment.

use crate::auth;
use crate::settings::{Wrong, host_and_port};
use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use postrider_sink::{
    ConnectError, ConnectErrorKind, Connection, Connector, Reader, Secret, SettingError, Trail, Value,
};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Context;
use url::Url;

/// The head of a proxy's answer may have so many bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Addresses of the destination that the proxy is asked for, one after another.
const TRIED: usize = 3;
const HELP: &str =
    "Enter it as http://proxy.example:3128, or as proxy = { url = \"…\", auth = { basic = { … } } }.";

/// A proxy, checked.
#[derive(Clone)]
pub(crate) struct Proxy {
    host: Arc<str>,
    port: u16,
    authorization: Option<(Secret, HeaderValue)>,
}

impl Proxy {
    /// Changes with the proxy and its credentials.
    pub(crate) fn digest(&self) -> u64 {
        let given = self.authorization.as_ref().map_or("", |(secret, _)| secret.expose());
        Secret::new(format!("{}:{}\n{given}", self.host, self.port)).digest()
    }

    /// A stream to the destination, through the proxy. The proxy's own address is checked like any other.
    pub(crate) async fn connect(
        &self,
        connector: &dyn Connector,
        host: &str,
        port: u16,
        trail: &Trail,
    ) -> Result<Connection, ConnectError> {
        let addresses = connector.addresses(host, port, trail).await?;
        let mut failure = None;
        for address in addresses.iter().take(TRIED) {
            let io = connector
                .connect(&self.host, self.port, trail)
                .await
                .map_err(|error| self.not_reached(&error))?;
            match self.tunnel(io, SocketAddr::new(*address, port)).await {
                Ok(connection) => return Ok(connection),
                Err(reason) => failure = Some(reason),
            }
        }
        let reason = failure.unwrap_or_else(|| format!("no such host: {host}"));
        Err(ConnectError { kind: ConnectErrorKind::Connect, message: reason })
    }

    async fn tunnel(&self, io: Connection, to: SocketAddr) -> Result<Connection, String> {
        let broken = |_| format!("the proxy {} broke the connection", self.host);
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(io)).await.map_err(broken)?;
        let request = self.request(to).ok_or_else(|| format!("the proxy cannot be asked for {to}"))?;
        let mut connection = Some(connection.with_upgrades());
        let mut answer = pin!(sender.send_request(request));
        let answer = poll_fn(|cx| {
            drive(&mut connection, cx);
            answer.as_mut().poll(cx)
        });
        let answer = answer.await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(self.refused(answer.status(), to));
        }
        let mut upgraded = pin!(hyper::upgrade::on(answer));
        let upgraded = poll_fn(|cx| {
            drive(&mut connection, cx);
            upgraded.as_mut().poll(cx)
        });
        Ok(Box::new(TokioIo::new(upgraded.await.map_err(broken)?)))
    }

    fn request(&self, to: SocketAddr) -> Option<Request<Empty<Bytes>>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::try_from(to.to_string()).ok()?;
        request.headers_mut().insert(HOST, HeaderValue::try_from(to.to_string()).ok()?);
        if let Some((_, value)) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
        }
        Some(request)
    }

    /// In words without anything that the proxy chose.
    fn refused(&self, status: StatusCode, to: SocketAddr) -> String {
        let host = &self.host;
        match status.as_u16() {
            407 => format!("the proxy {host} wants other credentials (407)"),
            403 => format!("the proxy {host} does not allow {to} (403)"),
            code => format!("the proxy {host} did not connect to {to} ({code})"),
        }
    }

    fn not_reached(&self, error: &ConnectError) -> ConnectError {
        let message = format!("the proxy {} cannot be used: {}", self.host, error.message);
        ConnectError { kind: error.kind, message }
    }
}

/// Ending it answers the request, with an error or with the upgrade.
fn drive<F: Future + Unpin>(connection: &mut Option<F>, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && Pin::new(running).poll(cx).is_ready()
    {
        *connection = None;
    }
}

/// Reads `proxy`, a URL or a table.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Proxy> {
    let path = reader.path("proxy");
    let (url, at, authorization) = match reader.value("proxy")? {
        Value::String(url) => (url.as_str(), path, None),
        Value::Table(table) => {
            let mut table = Reader::at(table, path.clone());
            let (url, at) = (table.string("url"), table.path("url"));
            if table.value("url").is_none() {
                errors.push(SettingError::missing(path, "url is missing").help(HELP));
            }
            let authorization = table.table("auth").and_then(|mut auth| {
                let secret = auth::read_basic(&mut auth, errors);
                errors.extend(auth.finish());
                secret
            });
            errors.extend(table.finish());
            (url?, at, authorization)
        }
        other => {
            let message = format!("expected a URL or a table, found {}", other.describe());
            errors.push(SettingError::value(path, message).help(HELP));
            return None;
        }
    };
    let authorization = authorization.and_then(|secret| {
        let mut value = HeaderValue::from_str(secret.expose()).ok()?;
        value.set_sensitive(true);
        Some((secret, value))
    });
    match parse(url) {
        Ok((host, port)) => Some(Proxy { host: Arc::from(host), port, authorization }),
        Err((message, help)) => {
            errors.push(SettingError::value(at, message).help(if help.is_empty() { HELP } else { help }));
            None
        }
    }
}

fn parse(text: &str) -> Result<(String, u16), Wrong> {
    let url = Url::parse(text).map_err(|error| (format!("not a URL: {error}"), ""))?;
    if url.scheme() != "http" {
        return Err((format!("a proxy is reached over http, not {}", url.scheme()), ""));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "Write proxy = { url = \"…\", auth = { basic = { … } } }.";
        return Err((String::from("the URL contains a user name or password"), help));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err((String::from("the URL of a proxy has only a host and a port"), ""));
    }
    host_and_port(&url)
}
