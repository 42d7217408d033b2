use postrider_sink::{KeyPath, Reader, SettingError};
use rustls_pki_types::ServerName;
use std::fmt;
use url::{Host, Url};

const PORT: u16 = 4222;
/// More than a cluster has.
const MOST: usize = 16;
const FULL: &str = "Write nats://host:4222, or tls://host:4222 where TLS is wanted.";

/// One of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// As the connector takes it: IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that its certificate must be for, if it shows one.
    pub(crate) name: ServerName<'static>,
    /// Nothing is said without TLS.
    pub(crate) tls: bool,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Reads `servers`.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Vec<Server> {
    let help = "List one or more: servers = [\"nats://nats.example:4222\"].";
    if reader.value("servers").is_none() {
        errors.push(SettingError::missing(KeyPath::default(), "servers is missing").help(help));
        return Vec::new();
    }
    let Some(texts) = reader.strings("servers") else { return Vec::new() };
    let path = reader.path("servers");
    if texts.is_empty() || texts.len() > MOST {
        let message = format!("{} servers", texts.len());
        errors.push(SettingError::value(path.clone(), message).help(format!("{help} At most {MOST}.")));
    }
    let mut servers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(server) => servers.push(server),
            Err((message, help)) => {
                errors.push(SettingError::value(path.join(&index.to_string()), message).help(help));
            }
        }
    }
    servers
}

fn parse(text: &str) -> Result<Server, (String, &'static str)> {
    let url = Url::parse(text).map_err(|error| (format!("not a URL: {error}"), FULL))?;
    let tls = match url.scheme() {
        "nats" => false,
        "tls" => true,
        other => return Err((format!("the scheme {other} is neither nats nor tls"), FULL)),
    };
    if !url.username().is_empty() || url.password().is_some() {
        let help = "Remove the user name and password from the URL and enter them under auth.";
        return Err((String::from("the URL contains a user name or password"), help));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err((String::from("the URL has more than a host and a port"), FULL));
    }
    let port = url.port().unwrap_or(PORT);
    if !matches!(port, 80 | 443 | 1024..) {
        return Err((format!("port {port} is not allowed"), "Use port 80, 443, or one from 1024 on."));
    }
    // As every client reads a host, whatever the scheme: a disguised address is seen for what it is.
    let host = match url.host_str().map(Host::parse) {
        Some(Ok(Host::Domain(name))) if !name.is_empty() => name,
        Some(Ok(Host::Ipv4(address))) => address.to_string(),
        Some(Ok(Host::Ipv6(address))) => address.to_string(),
        _ => return Err((String::from("the URL has no host"), FULL)),
    };
    let name = ServerName::try_from(host.clone())
        .map_err(|_| (String::from("the host is not a name that a certificate can be for"), FULL))?;
    Ok(Server { host, port, name, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        let of = |text| parse(text).map(|server| (server.to_string(), server.tls));
        assert_eq!(of("nats://nats.example"), Ok((String::from("nats.example:4222"), false)));
        assert_eq!(of("tls://NATS.example:443/"), Ok((String::from("nats.example:443"), true)));
        assert_eq!(of("nats://[::1]:4333"), Ok((String::from("[::1]:4333"), false)));
        assert_eq!(of("nats://0x7f.1:4222"), Ok((String::from("127.0.0.1:4222"), false)));
        for (text, wrong) in [
            ("nats.example:4222", "neither nats nor tls"),
            ("http://nats.example", "neither nats nor tls"),
            ("nats://user:word@nats.example", "user name or password"),
            ("nats://nats.example/events", "more than a host"),
            ("nats://nats.example:22", "port 22"),
            ("nats://", "no host"),
            ("nats.example", "not a URL"),
        ] {
            assert!(
                parse(text).is_err_and(|(message, _)| message.contains(wrong)),
                "{text}: {:?}",
                parse(text)
            );
        }
    }
}
