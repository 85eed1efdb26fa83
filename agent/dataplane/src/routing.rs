//! Which peer takes an inner address: longest-prefix match over the peers' allowed IPs.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::protocol::PeerConfig;

/// The allowed IPs of a tunnel's peers, flattened: addresses from one start to the next have one
/// peer or none. A look-up is one binary search.
#[derive(Debug, Default)]
pub struct Routes {
    v4: Vec<Stretch<u32>>,
    v6: Vec<Stretch<u128>>,
}

/// The addresses from `start` up to the next stretch's.
#[derive(Debug, Clone, Copy)]
struct Stretch<A> {
    start: A,
    peer: Option<u16>,
}

/// One allowed net; `last` belongs to it.
#[derive(Debug, Clone, Copy)]
struct Net<A> {
    first: A,
    last: A,
    peer: u16,
}

impl Routes {
    /// The routes of `peers`. Of equal nets the later peer's counts, as it does for `wg`.
    pub fn new(peers: &[PeerConfig]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (peer, config) in (0..).zip(peers) {
            for net in &config.allowed_ips {
                match net {
                    IpNet::V4(net) => v4.push(v4_net(*net, peer)),
                    IpNet::V6(net) => v6.push(v6_net(*net, peer)),
                }
            }
        }
        Self {
            v4: flatten(v4, |last| last.checked_add(1)),
            v6: flatten(v6, |last| last.checked_add(1)),
        }
    }

    /// The peer that takes `address`, by its place in the tunnel.
    pub fn peer_for(&self, address: IpAddr) -> Option<u16> {
        match address {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        }
    }
}

fn find<A: Ord + Copy>(stretches: &[Stretch<A>], address: A) -> Option<u16> {
    let after = stretches.partition_point(|stretch| stretch.start <= address);
    stretches[..after].last()?.peer
}

fn v4_net(net: Ipv4Net, peer: u16) -> Net<u32> {
    Net { first: net.network().to_bits(), last: net.broadcast().to_bits(), peer }
}

fn v6_net(net: Ipv6Net, peer: u16) -> Net<u128> {
    Net { first: net.network().to_bits(), last: net.broadcast().to_bits(), peer }
}

/// Cuts nested nets into stretches: a walk over the nets from the lowest address, the wider before
/// the narrower, with those that are still open on a stack.
fn flatten<A: Ord + Copy>(mut nets: Vec<Net<A>>, next: fn(A) -> Option<A>) -> Vec<Stretch<A>> {
    // The sort is stable: of equal nets the later peer's comes last and covers the others.
    nets.sort_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
    let mut stretches = Vec::new();
    let mut open: Vec<Net<A>> = Vec::new();
    for net in nets {
        close_before(&mut open, &mut stretches, next, Some(net.first));
        begin(&mut stretches, net.first, Some(net.peer));
        open.push(net);
    }
    close_before(&mut open, &mut stretches, next, None);
    stretches
}

/// Ends the open nets that lie wholly below `limit`, all of them without one.
fn close_before<A: Ord + Copy>(
    open: &mut Vec<Net<A>>,
    stretches: &mut Vec<Stretch<A>>,
    next: fn(A) -> Option<A>,
    limit: Option<A>,
) {
    while let Some(net) = open.pop_if(|net| limit.is_none_or(|limit| net.last < limit)) {
        if let Some(start) = next(net.last) {
            begin(stretches, start, open.last().map(|outer| outer.peer));
        }
    }
}

fn begin<A: Ord + Copy>(stretches: &mut Vec<Stretch<A>>, start: A, peer: Option<u16>) {
    // Nets that begin or end together leave one stretch: the last word counts.
    stretches.pop_if(|last| last.start == start);
    stretches.push(Stretch { start, peer });
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;
    use crate::protocol;

    fn peer(allowed_ips: Vec<IpNet>) -> PeerConfig {
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        PeerConfig {
            public_key: [0; 32],
            preshared_key: None,
            endpoint,
            allowed_ips,
            keepalive: None,
        }
    }

    /// Nets close to each other and to both ends of the address space, so that they often nest.
    fn net() -> impl Strategy<Value = IpNet> {
        let edge = prop_oneof![0u8..16, 240u8..=255];
        let v4 = (edge.clone(), edge.clone(), 0u8..=32).prop_map(|(high, low, len)| {
            Ipv4Net::new_assert(Ipv4Addr::new(high, 0, 0, low), len).trunc().into()
        });
        let v6 = (edge.clone(), edge, 0u8..=128).prop_map(|(high, low, len)| {
            let bits = u128::from(high) << 120 | u128::from(low);
            Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), len).trunc().into()
        });
        prop_oneof![v4, v6]
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        // Addresses of nets and their neighbours are where a mistake would show.
        (net(), 0usize..4).prop_map(|(net, which)| match (which, net) {
            (0, net) => net.addr(),
            (1, net) => net.broadcast(),
            (2, IpNet::V4(net)) => {
                Ipv4Addr::from_bits(net.network().to_bits().wrapping_sub(1)).into()
            }
            (_, IpNet::V4(net)) => {
                Ipv4Addr::from_bits(net.broadcast().to_bits().wrapping_add(1)).into()
            }
            (2, IpNet::V6(net)) => {
                Ipv6Addr::from_bits(net.network().to_bits().wrapping_sub(1)).into()
            }
            (_, IpNet::V6(net)) => {
                Ipv6Addr::from_bits(net.broadcast().to_bits().wrapping_add(1)).into()
            }
        })
    }

    proptest! {
        #[test]
        fn every_address_goes_where_the_plain_rule_says(
            allowed in prop::collection::vec(prop::collection::vec(net(), 0..8), 1..5),
            addresses in prop::collection::vec(address(), 1..60),
        ) {
            let peers: Vec<_> = allowed.into_iter().map(peer).collect();
            let routes = Routes::new(&peers);
            for address in addresses {
                let wanted = protocol::peer_for(&peers, address);
                prop_assert_eq!(routes.peer_for(address).map(usize::from), wanted, "{}", address);
            }
        }
    }

    #[test]
    fn the_narrower_net_wins_inside_the_wider_one() {
        let all = peer(vec!["0.0.0.0/0".parse().unwrap()]);
        let office = peer(vec!["10.1.0.0/16".parse().unwrap()]);
        let routes = Routes::new(&[all, office]);
        assert_eq!(routes.peer_for([10, 1, 2, 3].into()), Some(1));
        assert_eq!(routes.peer_for([10, 2, 0, 0].into()), Some(0));
        assert_eq!(routes.peer_for([255; 4].into()), Some(0));
        assert_eq!(routes.peer_for(Ipv6Addr::LOCALHOST.into()), None);
    }
}
