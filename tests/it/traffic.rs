//! Much traffic arrives whole.

use std::net::IpAddr;
use std::time::Duration;

use crate::harness::internet::fill_digest;
use crate::harness::lab::{SERVER_V4, SERVER_V6, in_lab};
use crate::harness::probe;
use crate::harness::transfer::{download, upload};
use crate::harness::wireguard_peer::Program;
use crate::harness::world::World;

const LENGTH: u64 = 200_000_000;

fn two_hundred_megabytes_each_way(program: Program) {
    in_lab(|lab| {
        let world = World::with(lab, 1, program, "");
        let (container, _) = world.attached("c-1");
        let expected = fill_digest(LENGTH);
        assert_eq!(upload(&container, SERVER_V4.into(), LENGTH), expected, "up, IPv4");
        assert_eq!(
            download(&container, SERVER_V6.into(), LENGTH),
            (LENGTH, expected),
            "down, IPv6"
        );
        let tx = world.agent.metric("egress_session_tx_bytes_total", &["c-1"]);
        let rx = world.agent.metric("egress_session_rx_bytes_total", &["c-1"]);
        assert!(tx > 2e8 && rx > 2e8, "counted {tx} bytes up, {rx} down");
    });
}

#[test]
fn two_hundred_megabytes_arrive_whole_each_way_through_wireguard_go() {
    two_hundred_megabytes_each_way(Program::WireguardGo);
}

#[test]
fn two_hundred_megabytes_arrive_whole_each_way_through_boringtun() {
    two_hundred_megabytes_each_way(Program::Boringtun);
}

#[test]
fn datagrams_of_every_size_up_to_the_mtu_and_beyond_come_back() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, session) = world.attached("c-1");
        let mtu = usize::from(session.mtu.expect("a connected session has an MTU"));
        container.run(|| {
            for size in [0, 1, 15, 16, 17, 100, 1000, mtu - 49, mtu - 48, mtu - 28, mtu - 27, 4000]
            {
                let payload = vec![0x5a; size];
                for server in [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)] {
                    probe::udp_echo(server, &payload, Duration::from_secs(5))
                        .unwrap_or_else(|error| panic!("{size} bytes to {server}: {error}"));
                }
            }
        });
    });
}
