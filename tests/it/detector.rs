//! The sniffer sees every kind of leak: without that its silence proves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::internet::Internet;
use crate::harness::lab::{Lab, SERVER_V6, in_lab};
use crate::harness::namespace::{Namespace, host_ip, sysctl};
use crate::harness::probe::{Probe, ping};
use crate::harness::verdict::{Allowed, Canary};
use crate::harness::wait;

/// A container with an ordinary way out through the host, as without any agent.
fn open_container(lab: &Lab, name: &str) -> Namespace {
    let container = Namespace::add(name);
    sysctl("ipv4/ip_forward", "1");
    sysctl("ipv6/conf/all/forwarding", "1");
    host_ip(&format!(
        "link add tocontainer type veth peer name eth0 netns {name}
         addr add 198.18.0.1/24 dev tocontainer
         addr add 2001:db8:18::1/64 dev tocontainer nodad
         link set tocontainer up
        "
    ));
    container.sysctl("ipv6/conf/default/accept_dad", "0");
    container.ip("addr add 198.18.0.2/24 dev eth0
         addr add 2001:db8:18::2/64 dev eth0 nodad
         link set eth0 up
         route add default via 198.18.0.1
         route add default via 2001:db8:18::1
        ");
    lab.wan.ip("route add 198.18.0.0/24 via 192.0.2.2
         route add 2001:db8:18::/64 via 2001:db8:2::2
        ");
    wait::until("the container's link carries IPv6", Duration::from_secs(10), || {
        container.run(|| ping(SERVER_V6.into(), Duration::from_millis(100))).is_ok()
    });
    container
}

fn caught(lab: &Lab, container: &Namespace, probe: Probe) -> Vec<String> {
    let (sniffer, canary) = (lab.sniff(), Canary::random());
    container.run(|| probe.send(&canary)).unwrap_or_else(|error| panic!("{probe:?}: {error}"));
    sniffer.offences(&Allowed::default(), &canary)
}

#[test]
fn the_sniffer_catches_every_kind_of_probe_from_an_unsealed_container() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let _internet = Internet::behind(&gateway);
        let container = open_container(lab, "open");
        // Link-local multicast ends at the host, with or without an agent.
        let routed = |probe: &Probe| !matches!(probe, Probe::Multicast(_));
        for probe in Probe::all().into_iter().filter(routed) {
            let offences = caught(lab, &container, probe);
            let canaries = offences.iter().filter(|line| line.contains("canary in clear"));
            assert!(canaries.count() > 0, "{probe:?} went unseen: {offences:?}");
        }
    });
}

#[test]
fn the_sniffer_catches_multicast_of_the_host_itself() {
    in_lab(|lab| {
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        for probe in Probe::all() {
            if matches!(probe, Probe::Multicast(_)) {
                sniffer.clear();
                probe.send(&canary).expect("the host has a default route");
                let offences = sniffer.offences(&Allowed::default(), &canary);
                assert!(!offences.is_empty(), "{probe:?} went unseen");
            }
        }
    });
}

#[test]
fn plain_datagrams_to_a_tunnels_end_are_no_tunnel() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let end = SocketAddr::new(gateway.v4(1).into(), 51820);
        let allowed = Allowed::tunnels(&[end]);
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"not a WireGuard message", end).unwrap();
        let offences = sniffer.offences(&allowed, &canary);
        assert_eq!(offences.len(), 1, "{offences:?}");
        let mut data_message = vec![4, 0, 0, 0];
        data_message.resize(32, 7);
        socket.send_to(&data_message, end).unwrap();
        assert_eq!(sniffer.offences(&allowed, &canary).len(), 1);
    });
}

#[test]
fn a_host_that_does_nothing_is_clean() {
    in_lab(|lab| {
        let sniffer = lab.sniff();
        std::thread::sleep(Duration::from_millis(300));
        sniffer.assert_clean("idle", &Allowed::default(), &Canary::random());
    });
}
