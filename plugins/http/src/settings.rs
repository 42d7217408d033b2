use crate::auth::{self, Proof};
use crate::headers;
use crate::proxy::{self, Proxy};
use crate::signing::{self, Signing};
use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use postrider_sink::{KeyPath, Reader, Secret, SettingError, Table};
use postrider_sink_tls::{self as tls, TlsSettings};
use rustls_pki_types::ServerName;
use std::fmt::Write as _;
use std::sync::Arc;
use url::{Host, Position, Url};

/// `[http]` of one endpoint, checked.
#[derive(Clone)]
pub(crate) struct HttpSettings {
    pub(crate) destination: Destination,
    /// Who is calling.
    pub(crate) proof: Proof,
    /// The value of its header.
    pub(crate) proof_value: HeaderValue,
    /// The endpoint's own.
    pub(crate) headers: HeaderMap,
    pub(crate) signing: Signing,
    pub(crate) tls: TlsSettings,
    pub(crate) proxy: Option<Proxy>,
}

impl HttpSettings {
    /// Changes with whatever says where deliveries go and who they come from.
    pub(crate) fn fingerprint(&self) -> u64 {
        let Self { destination, proof, signing, tls, proxy, .. } = self;
        let mut text = format!("{}\n{}", destination.url, proof.secret.expose());
        if proof.name != AUTHORIZATION {
            let _ = write!(text, "\n{}", proof.name);
        }
        for digest in signing.digests() {
            let _ = write!(text, "\nsigning {digest:x}");
        }
        for digest in tls.digests() {
            let _ = write!(text, "\ntls {digest:x}");
        }
        if let Some(proxy) = proxy {
            let _ = write!(text, "\nproxy {:x}", proxy.digest());
        }
        Secret::new(text).digest()
    }
}

/// Where to, taken apart once: nothing looks at the text of the URL again.
#[derive(Clone)]
pub(crate) struct Destination {
    /// The whole URL, as parsed.
    pub(crate) url: Arc<str>,
    /// Without the query, which may hold a secret.
    pub(crate) shown: Arc<str>,
    /// For the connector: IPv6 without brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    /// The name that the certificate must be for; none: plain HTTP.
    pub(crate) tls: Option<ServerName<'static>>,
    /// The value of the header, with the port where it is not the scheme's own.
    pub(crate) host_header: HeaderValue,
    /// Path and query.
    pub(crate) target: Uri,
}

/// Checks everything and reports every error at once.
pub(crate) fn check(table: &Table) -> Result<HttpSettings, Vec<SettingError>> {
    let mut reader = Reader::new(table);
    let mut errors = Vec::new();
    let destination = destination(&mut reader, &mut errors);
    let proof = auth::read(&mut reader, &mut errors);
    let headers = headers::read(&mut reader, &mut errors);
    let signing = signing::read(&mut reader, &mut errors);
    let secure = destination.as_ref().is_none_or(|to| to.tls.is_some());
    if !secure && reader.value("tls").is_some() {
        let help = "Remove tls, or use a URL that starts with https://.";
        errors.push(SettingError::value(reader.path("tls"), "the URL is not https").help(help));
    }
    let tls = tls::read(&mut reader, &mut errors);
    let proxy = proxy::read(&mut reader, &mut errors);
    if let Some(name) = proof.as_ref().map(|proof| &proof.name).filter(|name| headers.contains_key(*name)) {
        let message = format!("auth.header sets the header {name} already");
        errors.push(SettingError::value(reader.path("headers"), message).help("Remove one of the two."));
    }
    errors.extend(reader.finish());
    let proof_value = proof.as_ref().and_then(Proof::value);
    match (destination, proof, proof_value) {
        (Some(destination), Some(proof), Some(proof_value)) if errors.is_empty() => {
            Ok(HttpSettings { destination, proof, proof_value, headers, signing, tls, proxy })
        }
        _ => Err(errors),
    }
}

fn destination(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Destination> {
    const FULL: &str =
        "Enter a full URL that starts with https://, for example https://example.com/webhooks.";
    if reader.value("url").is_none() {
        errors.push(SettingError::missing(KeyPath::default(), "url is missing").help(FULL));
        return None;
    }
    let text = reader.string("url")?;
    match parse(text) {
        Ok(destination) => Some(destination),
        Err((message, help)) => {
            let help = if help.is_empty() { FULL } else { help };
            errors.push(SettingError::value(reader.path("url"), message).help(help));
            None
        }
    }
}

/// What is wrong, and what to do where that is not "enter a full URL".
pub(crate) type Wrong = (String, &'static str);

/// Whom to connect to: the host as the connector takes it, and a port that may be used.
pub(crate) fn host_and_port(url: &Url) -> Result<(String, u16), Wrong> {
    let port = url.port_or_known_default().unwrap_or_default();
    if !matches!(port, 80 | 443 | 1024..) {
        let help = "Use port 80, 443, or one from 1024 on.";
        return Err((format!("port {port} is not allowed"), help));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err((String::from("the URL has no host"), "")),
    };
    Ok((host, port))
}

pub(crate) fn parse(text: &str) -> Result<Destination, Wrong> {
    let wrong = |message: &str| (message.to_owned(), "");
    if text.trim().is_empty() {
        return Err((String::from("the URL is empty"), "Enter the endpoint URL."));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong("the URL contains a control character"));
    }
    let url = Url::parse(text).map_err(|error| (format!("not a URL: {error}"), ""))?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        other => return Err((format!("the scheme {other} is neither https nor http"), "")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        let help = "Remove the user name and password from the URL and enter them under auth.basic.";
        return Err((String::from("the URL contains a user name or password"), help));
    }
    if url.fragment().is_some() {
        let help = "Remove everything from # on. It is never sent to a server.";
        return Err((String::from("the URL contains a fragment"), help));
    }
    let (host, port) = host_and_port(&url)?;
    let tls = secure
        .then(|| ServerName::try_from(host.clone()))
        .transpose()
        .map_err(|_| wrong("the host is not a name that a certificate can be for"))?;
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    let host_header =
        HeaderValue::from_str(authority).map_err(|_| wrong("the host cannot be sent in a header"))?;
    let help = "Percent-encode what is not a letter, a digit or one of -._~/?&=.";
    let target = url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .map_err(|_| (String::from("the path or query contains a character that cannot be sent"), help))?;
    let shown = &url[..Position::AfterPath];
    let (url, shown, host) = (Arc::from(url.as_str()), Arc::from(shown), Arc::from(host));
    Ok(Destination { url, shown, host, port, tls, host_header, target })
}
