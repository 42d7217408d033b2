use url::{Host, Url};

/// The hosts that an endpoint's file declares: nothing else is looked up or connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts(Vec<Declared>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    host: String,
    /// None: whichever may be used.
    port: Option<u16>,
}

impl Hosts {
    /// Adds a name or an address, with or without a port.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text.contains(['/', '@', '?', '#', '*', '\\']) || text.trim() != text {
            return Err("not a host");
        }
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| "not a host")?;
        let host = connectable(&url).ok_or("not a host")?;
        // The parser leaves out the scheme's own.
        let port = url.port().or_else(|| text.ends_with(":80").then_some(80));
        if port.is_some_and(|port| !usable(port)) {
            return Err("a port that may not be used");
        }
        self.0.push(Declared { host, port });
        Ok(())
    }

    pub(crate) fn allow(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|it| it.host == host && it.port.is_none_or(|declared| declared == port))
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        let one = |it: &Declared| match it.port {
            Some(port) => format!("{}:{port}", it.host),
            None => it.host.clone(),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// The host of a URL as a connector takes it: IPv6 without brackets.
pub(crate) fn connectable(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

/// Those of HTTP, and those that no other service of a system has by agreement.
pub(crate) const fn usable(port: u16) -> bool {
    matches!(port, 80 | 443 | 1024..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_host_is_allowed_and_nothing_like_it() {
        let mut hosts = Hosts::default();
        for text in ["Hooks.Example", "api.example:8443", "192.0.2.1", "[2001:db8::1]:80", "bücher.example"]
        {
            hosts.add(text).unwrap();
        }
        for (host, port, allowed) in [
            ("hooks.example", 443, true),
            ("hooks.example", 9000, true),
            ("hooks.example.evil.test", 443, false),
            ("evil.hooks.example", 443, false),
            ("api.example", 8443, true),
            ("api.example", 443, false),
            ("192.0.2.1", 443, true),
            ("2001:db8::1", 80, true),
            ("2001:db8::1", 443, false),
            ("xn--bcher-kva.example", 443, true),
        ] {
            assert_eq!(hosts.allow(host, port), allowed, "{host}:{port}");
        }
        for text in
            ["", "*", "*.example", "http://a.example", "a.example/x", "u@a.example", "a.example:22", " a"]
        {
            assert!(Hosts::default().add(text).is_err(), "{text:?}");
        }
    }
}
