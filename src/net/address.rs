//! Which addresses a sink may reach: pure judgement, no I/O.
//!
//! An IPv6 address may carry an IPv4 address inside (mapped, compatible, translated, NAT64, 6to4, Teredo): the packet ends at the inner
//! one, so both are judged. What is not globally reachable (IANA special-purpose registries, RFC 6890) is refused
//! unless the operator's policy allows its range; addresses of cloud metadata services and the unspecified
//! address are refused even then.

use super::NetworkPolicy;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The address as it was asked for.
    pub address: IpAddr,
    /// The address inside it that is the reason, where it is another.
    pub inner: Option<IpAddr>,
    /// What it is: `a private address`.
    pub what: &'static str,
    /// The range that an operator would have to allow; none: it is never allowed.
    pub range: Option<IpNet>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(inner) = self.inner {
            write!(f, " leads to {inner}, which")?;
        }
        write!(f, " is {}", self.what)?;
        match self.range {
            Some(range) => write!(f, "; to allow it: network.allow = [\"{range}\"] in postrider.toml"),
            None => f.write_str(", which is never allowed"),
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(head: [u16; 6], tail: u16, prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f] = head;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, 0, tail), prefix)
}

/// What is not globally reachable in IPv4.
const REFUSED_V4: [(Ipv4Net, &str); 15] = [
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(100, 64, 0, 0, 10), "an address shared by a carrier's customers"),
    (v4(0, 0, 0, 0, 8), "an address of this network"),
    (v4(192, 0, 0, 0, 24), "an address for protocol assignments"),
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay address"),
    (v4(198, 18, 0, 0, 15), "a benchmarking address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// What is not globally reachable in IPv6. The last one is everything outside global unicast, so the order matters.
const REFUSED_V6: [(Ipv6Net, &str); 16] = [
    (v6([0; 6], 1, 128), "the loopback address"),
    (COMPATIBLE, "an IPv4-compatible address"),
    (TRANSLATED, "an IPv4-translated address"),
    (NAT64, "a NAT64 address"),
    (LOCAL_NAT64, "a local NAT64 address"),
    (v6([0x100, 0, 0, 0, 0, 0], 0, 64), "a discard address"),
    (TEREDO, "a Teredo address"),
    (v6([0x2001, 0, 0, 0, 0, 0], 0, 23), "an address for protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0], 0, 32), "a documentation address"),
    (SIX_TO_FOUR, "a 6to4 address"),
    (v6([0x3fff, 0, 0, 0, 0, 0], 0, 20), "a documentation address"),
    (v6([0x5f00, 0, 0, 0, 0, 0], 0, 16), "a segment-routing address"),
    (v6([0xfc00, 0, 0, 0, 0, 0], 0, 7), "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0], 0, 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0], 0, 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0], 0, 8), "a multicast address"),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0], 0, 3);
const COMPATIBLE: Ipv6Net = v6([0; 6], 0, 96);
const TRANSLATED: Ipv6Net = v6([0, 0, 0, 0, 0xffff, 0], 0, 96);
const LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1, 0, 0, 0], 0, 48);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0], 0, 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0], 0, 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0], 0, 32);

/// Where clouds hand out credentials to whoever asks: AWS, Azure, Google, Oracle, Alibaba, Tencent, Scaleway,
/// OpenStack, and the task and pod variants of AWS.
const METADATA_V4: [Ipv4Addr; 9] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 0, 23),
    Ipv4Addr::new(169, 254, 42, 42),
    Ipv4Addr::new(169, 254, 169, 249),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// The one form of an address that judgements and comparisons use: IPv4-mapped IPv6 is the IPv4 address.
#[must_use]
pub const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Judges one address for an endpoint.
///
/// # Errors
/// Why it is refused.
pub fn judge(address: IpAddr, policy: &NetworkPolicy, endpoint: &str) -> Result<(), Refusal> {
    let seen = canonical(address);
    let refuse =
        |at: IpAddr, what, range| Err(Refusal { address, inner: (at != address).then_some(at), what, range });
    for at in std::iter::once(seen).chain(carried(seen).into_iter().flatten().map(IpAddr::V4)) {
        if at.is_unspecified() {
            return refuse(at, "the unspecified address", None);
        }
        if is_metadata(at) {
            return refuse(at, "the address of a cloud's metadata service", None);
        }
        if let Some((what, range)) = special(at)
            && !allowed(at, policy, endpoint)
        {
            return refuse(at, what, Some(range));
        }
    }
    Ok(())
}

fn allowed(address: IpAddr, policy: &NetworkPolicy, endpoint: &str) -> bool {
    policy.allow.iter().any(|range| range.contains(&address))
        || policy.exceptions.iter().any(|(name, range)| **name == *endpoint && range.contains(&address))
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => METADATA_V4.contains(&address),
        IpAddr::V6(address) => METADATA_V6.contains(&address),
    }
}

/// What an address is, and the range that says so, where it is not globally reachable.
fn special(address: IpAddr) -> Option<(&'static str, IpNet)> {
    match address {
        IpAddr::V4(address) => REFUSED_V4
            .iter()
            .find(|(range, _)| range.contains(&address))
            .map(|(range, what)| (*what, IpNet::V4(*range))),
        IpAddr::V6(address) => REFUSED_V6
            .iter()
            .find(|(range, _)| range.contains(&address))
            .map(|(range, what)| (*what, IpNet::V6(*range)))
            .or_else(|| {
                let own = IpNet::from(IpAddr::V6(address));
                (!GLOBAL_UNICAST.contains(&address)).then_some(("an address outside global unicast", own))
            }),
    }
}

/// The IPv4 addresses that an IPv6 address carries: where a translator or a tunnel would send the packet.
fn carried(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(address) = address else { return [None; 2] };
    let bits = address.to_bits();
    let at = |shift: u32| u32::try_from((bits >> shift) & u128::from(u32::MAX)).ok().map(Ipv4Addr::from_bits);
    if address.is_loopback() || address.is_unspecified() {
        [None; 2]
    } else if [NAT64, COMPATIBLE, TRANSLATED].iter().any(|range| range.contains(&address)) {
        [at(0), None]
    } else if LOCAL_NAT64.contains(&address) {
        // RFC 6052, section 2.2: at the end of a prefix of 96 bits, or around bits 64 to 71 of one of 48.
        let around = ((bits >> 48) & 0xffff_0000) | ((bits >> 40) & 0xffff);
        let around = u32::try_from(around).ok().map(Ipv4Addr::from_bits);
        [at(0).filter(|end| !end.is_unspecified()).or(around), None]
    } else if SIX_TO_FOUR.contains(&address) {
        [at(80), None]
    } else if TEREDO.contains(&address) {
        // RFC 4380, section 4: the server, and the client with every bit turned over.
        [at(64), at(0).map(|client| Ipv4Addr::from_bits(!client.to_bits()))]
    } else {
        [None; 2]
    }
}

#[cfg(test)]
mod tests;
