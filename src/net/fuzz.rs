//! What must hold for any address that a URL or a name leads to.

use super::NetworkPolicy;
use super::address::{canonical, judge};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Text that may be a URL, an address, or the bytes of one.
///
/// # Panics
/// When something does not hold.
pub fn address(input: &[u8]) {
    if let Ok(bytes) = <[u8; 16]>::try_from(input) {
        holds(Ipv6Addr::from(bytes).into());
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(input) {
        holds(Ipv4Addr::from(bytes).into());
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(address) = text.parse::<IpAddr>() {
        holds(address);
    }
    let Ok(url) = Url::parse(text) else { return };
    match url.host() {
        Some(Host::Ipv4(address)) => holds(address.into()),
        Some(Host::Ipv6(address)) => holds(address.into()),
        // A name goes to the resolver, unless it is an address after all: the connector looks at it in this form.
        Some(Host::Domain(name)) => {
            if matches!(url.scheme(), "http" | "https") {
                assert!(name.parse::<IpAddr>().is_err(), "{name} is an address that passes as a name");
            }
        }
        None => {}
    }
}

fn holds(address: IpAddr) {
    let nothing = NetworkPolicy::default();
    let judged = judge(address, &nothing, "acme");
    if private(address) {
        assert!(judged.is_err(), "{address} is let through");
    }
    assert_eq!(judged.is_ok(), judge(canonical(address), &nothing, "acme").is_ok(), "{address}");
    let Err(refusal) = judged else { return };
    assert!(refusal.address == address && !refusal.to_string().is_empty());
    // What the refusal says would allow it does, and for nobody else.
    let Some(range) = refusal.range else { return };
    let policy = NetworkPolicy { allow: Vec::new(), exceptions: vec![("acme".into(), range)] };
    if let Err(next) = judge(address, &policy, "acme") {
        assert_ne!(next.range, Some(range), "{address}: the range it names does not allow it");
    }
    assert!(judge(address, &policy, "other").is_err(), "{address}: an exception counts for another endpoint");
}

/// What the standard library knows to be inside.
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified()
                || matches!(v4.octets(), [100, 64..=127, ..] | [0, ..] | [240..=255, ..])
        }
        IpAddr::V6(v6) => {
            let inner = match v6.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] => Some([a, b]),
                [0x2002, a, b, ..] => Some([a, b]),
                _ => None,
            };
            let [high, low] = inner.unwrap_or([0x0808, 0x0808]);
            let inner = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.to_ipv4().is_some_and(|inner| private(inner.into()))
                || private(inner.into())
        }
    }
}
