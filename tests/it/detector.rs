//! The sniffer sees every kind of leak: without that its silence proves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::engine;
use crate::harness::internet::Internet;
use crate::harness::lab::{Lab, in_lab};
use crate::harness::namespace::Namespace;
use crate::harness::probe::Probe;
use crate::harness::verdict::{Allowed, Canary};

/// A container with an ordinary way out through the host, as without any agent.
fn open_container(lab: &Lab, name: &str) -> Namespace {
    let container = Namespace::add(name);
    engine::connect(lab, &container, 0);
    engine::wait_until_open(&container);
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
