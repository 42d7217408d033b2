use super::link::To;
use super::{Body, Failed};
use crate::hosts::{connectable, usable};
use crate::wit::http::{ErrorKind, Request};
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Uri};
use rustls_pki_types::ServerName;
use url::{Position, Url};

/// Headers that one request may have.
const MOST: usize = 100;
/// Names that the connection owns.
const REFUSED: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// A request that may be sent, if its host is declared.
pub(super) struct Prepared {
    pub(super) to: To,
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    pub(super) fn new(asked: Request, user_agent: &str) -> Result<Self, Failed> {
        Self::read(asked, user_agent).map_err(|message| Failed::new(ErrorKind::Refused, message))
    }

    fn read(asked: Request, user_agent: &str) -> Result<Self, String> {
        let url = Url::parse(&asked.url).map_err(|error| format!("not a URL: {error}"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(format!("the scheme {other} is neither https nor http")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(String::from("the URL contains a user name or password; they belong into a header"));
        }
        let host = connectable(&url).ok_or("the URL has no host")?;
        let port = url.port_or_known_default().unwrap_or_default();
        if !usable(port) {
            return Err(format!("port {port} may not be used"));
        }
        let tls = secure.then(|| ServerName::try_from(host.clone())).transpose();
        let tls = tls.map_err(|_| String::from("the host is not a name that a certificate can be for"))?;
        let target = url[Position::BeforePath..Position::AfterQuery].parse();
        let target = target.map_err(|_| String::from("the path or query cannot be sent"))?;
        let method = Method::from_bytes(asked.method.as_bytes()).ok();
        let method = method.filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE));
        let method = method.ok_or("the method may not be used")?;
        let mut headers = headers(&asked.headers)?;
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| "the host cannot be sent")?);
        if !headers.contains_key(USER_AGENT)
            && let Ok(value) = HeaderValue::from_str(user_agent)
        {
            headers.insert(USER_AGENT, value);
        }
        let body = asked.body.map(Bytes::from).unwrap_or_default();
        Ok(Self { to: To { host, port, tls }, method, target, headers, body })
    }

    pub(super) fn request(&self) -> http::Request<Body> {
        let mut request = http::Request::new(Body::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn headers(asked: &[(String, String)]) -> Result<HeaderMap, String> {
    if asked.len() > MOST {
        return Err(format!("more than {MOST} headers"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is none")?;
        if REFUSED.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            return Err(format!("the header {name} is not the component's to set"));
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("the value of {name} cannot be sent"))?;
        headers.append(name, value);
    }
    Ok(headers)
}
