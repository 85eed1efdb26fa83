//! `[containment]`: what is out of reach through every tunnel.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// `[containment]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Containment {
    /// Destinations refused inside every tunnel. The tunnel's resolvers are not refused on ports 53
    /// and 853.
    pub refuse: Vec<IpNet>,
    /// Exceptions to `refuse`, and to the host's own addresses.
    pub allow: Vec<IpNet>,
}

impl Default for Containment {
    fn default() -> Self {
        let v4 = [
            // This network, private networks, shared addresses of carriers, loopback.
            ([0, 0, 0, 0], 8),
            ([10, 0, 0, 0], 8),
            ([100, 64, 0, 0], 10),
            ([127, 0, 0, 0], 8),
            // Azure's metadata service.
            ([168, 63, 129, 16], 32),
            // Link-local, and most clouds' metadata services.
            ([169, 254, 0, 0], 16),
            ([172, 16, 0, 0], 12),
            // Addresses of protocols, and Oracle's metadata service.
            ([192, 0, 0, 0], 24),
            ([192, 168, 0, 0], 16),
            // Networks of benchmarks.
            ([198, 18, 0, 0], 15),
            // Multicast; reserved, broadcast.
            ([224, 0, 0, 0], 4),
            ([240, 0, 0, 0], 4),
        ];
        let v6 = [
            // Unspecified, loopback, and what stands for an IPv4 address: compatible, mapped,
            // translated, NAT64 (also with a network's own prefix), Teredo, 6to4.
            ([0, 0, 0, 0, 0, 0, 0, 0], 96),
            ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
            ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
            ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
            ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
            ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
            ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
            // Private networks (AWS's metadata service is in there), link-local, site-local,
            // multicast.
            ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
            ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
            ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
            ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        ];
        let v4 = v4.map(|(net, len)| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(net), len)));
        let v6 = v6.map(|(net, len)| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(net), len)));
        Self { refuse: v4.into_iter().chain(v6).collect(), allow: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn refused(address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        Containment::default().refuse.iter().any(|net| net.contains(&address))
    }

    #[test]
    fn the_default_shield_covers_private_networks_and_metadata_services() {
        for address in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "fd00::1",
            "fe80::1",
            // AWS, Google, DigitalOcean and others; AWS over IPv6; Azure; Alibaba; Oracle.
            "169.254.169.254",
            "fd00:ec2::254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "198.19.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(refused(address), "{address} is open");
        }
    }

    #[test]
    fn nor_is_any_of_it_reached_by_an_ipv6_address_that_stands_for_it() {
        for address in [
            "::127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:c000:201::1",
        ] {
            assert!(refused(address), "{address} is open");
        }
    }

    #[test]
    fn the_internet_is_open() {
        for address in ["1.1.1.1", "198.51.100.10", "2001:db8::1", "2606:4700:4700::1111"] {
            assert!(!refused(address), "{address} is refused");
        }
    }
}
