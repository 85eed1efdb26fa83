//! Addresses that no tunnel leads to, and addresses that stand for others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Refuses an address that no gateway and no resolver behind one may have, and says what it is.
///
/// Private networks are allowed: gateways' resolvers live there, and so may a gateway.
pub fn allowed(ip: IpAddr) -> Result<(), &'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => v4_allowed(ip),
        IpAddr::V6(ip) => v6_allowed(ip),
    }
}

/// Tells whether packets to an address come to one of these, which are a host's own.
pub fn is_of(ip: IpAddr, own: &[IpAddr]) -> bool {
    let ip = ip.to_canonical();
    let carried_to = match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => embedded_v4(ip).map(IpAddr::V4),
    };
    own.iter().any(|own| *own == ip || Some(*own) == carried_to)
}

fn v4_allowed(ip: Ipv4Addr) -> Result<(), &'static str> {
    match ip.octets() {
        [0, ..] => Err("an unspecified address"),
        [100, 100, 100, 200] | [168, 63, 129, 16] => Err("a cloud's metadata service"),
        [127, ..] => Err("a loopback address"),
        [169, 254, ..] => Err("a link-local address"),
        [192, 0, 0, _] => Err("an address of protocols"),
        [224..=239, ..] => Err("a multicast address"),
        [255, 255, 255, 255] => Err("the broadcast address"),
        [240..=255, ..] => Err("a reserved address"),
        _ => Ok(()),
    }
}

fn v6_allowed(ip: Ipv6Addr) -> Result<(), &'static str> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Err("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Err("a loopback address"),
        [0, 0, 0, 0, 0, 0, ..] => Err("an IPv4-compatible address"),
        // Where in it the IPv4 address stands is up to the network (RFC 8215).
        [0x64, 0xff9b, 1, ..] => Err("an address of a local translation"),
        [0xfe80..=0xfebf, ..] => Err("a link-local address"),
        [0xfec0..=0xfeff, ..] => Err("a site-local address"),
        [0xff00..=0xffff, ..] => Err("a multicast address"),
        _ => embedded_v4(ip).map_or(Ok(()), v4_allowed),
    }
}

/// The IPv4 address that packets to an IPv6 address are carried to, where it is made of one.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let [.., a, b, c, d] = octets;
    let last = Ipv4Addr::new(a, b, c, d);
    match ip.segments() {
        // IPv4-mapped (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        // Teredo (RFC 4380): every bit is turned.
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!last.to_bits())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_tunnel_leads_to_a_host_its_link_or_its_cloud_however_that_is_written() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "::ffff:168.63.129.16",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:c000:201:0:0:80ff:fffe",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(allowed(ip(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn public_and_private_addresses_are_allowed_however_they_are_written() {
        for text in [
            "10.64.0.1",
            "100.64.0.7",
            "172.16.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "2001:db8::7",
            "fd00::53",
            "::ffff:198.51.100.7",
            "64:ff9b::198.51.100.7",
            "2002:c633:6407::1",
        ] {
            assert_eq!(allowed(ip(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_hosts_own_address_is_known_however_it_is_written() {
        let own = ["192.0.2.2", "2001:db8:2::2"].map(ip);
        for text in [
            "192.0.2.2",
            "::ffff:192.0.2.2",
            "64:ff9b::192.0.2.2",
            "2002:c000:202::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdfd",
            "2001:db8:2::2",
        ] {
            assert!(is_of(ip(text), &own), "{text}");
        }
        for text in ["192.0.2.3", "64:ff9b::192.0.2.3", "2001:db8:2::3"] {
            assert!(!is_of(ip(text), &own), "{text}");
        }
    }
}
