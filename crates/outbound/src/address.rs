//! Which addresses may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads, if not into a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into a network: the only place that may always be called.
    Network,
    /// This machine.
    Loopback,
    /// This machine's link, where clouds have their metadata services.
    Link,
    /// Nobody, or many.
    Nowhere,
}

/// Metadata services that are not on the link.
const METADATA: &[IpAddr] =
    &[IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200))];

pub(crate) fn place(address: IpAddr) -> Place {
    if METADATA.contains(&address) {
        return Place::Link;
    }
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => match inner(address) {
            Some(inner) => place(IpAddr::V4(inner)),
            None if address.is_loopback() => Place::Loopback,
            None if address.is_unicast_link_local() => Place::Link,
            None if address.is_unspecified() || address.is_multicast() => Place::Nowhere,
            None => Place::Network,
        },
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    let [first, ..] = address.octets();
    match first {
        127 => Place::Loopback,
        // 0.0.0.0 is this machine to most systems.
        0 if address.is_unspecified() => Place::Loopback,
        0 | 224.. => Place::Nowhere,
        _ if address.is_link_local() => Place::Link,
        _ => Place::Network,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, by NAT64 or 6to4.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let cases = [
            ("93.184.215.14", Place::Network),
            ("10.1.2.3", Place::Network),
            ("2606:2800:21f:cb07::1", Place::Network),
            ("127.0.0.1", Place::Loopback),
            ("127.9.9.9", Place::Loopback),
            ("0.0.0.0", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("::127.0.0.1", Place::Loopback),
            ("64:ff9b::7f00:1", Place::Loopback),
            ("2002:7f00:1::", Place::Loopback),
            ("169.254.169.254", Place::Link),
            ("::ffff:169.254.169.254", Place::Link),
            ("fe80::1", Place::Link),
            ("fd00:ec2::254", Place::Link),
            ("100.100.100.200", Place::Link),
            ("::", Place::Nowhere),
            ("0.1.2.3", Place::Nowhere),
            ("224.0.0.1", Place::Nowhere),
            ("255.255.255.255", Place::Nowhere),
            ("ff02::1", Place::Nowhere),
        ];
        for (address, expected) in cases {
            assert_eq!(place(address.parse().unwrap()), expected, "{address}");
        }
    }
}
