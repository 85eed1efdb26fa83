//! OpenVPN sessions through the API: the same words as for WireGuard.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Health, SessionState};
use serde_json::json;

use crate::harness::container::Container;
use crate::harness::internet::fill_digest;
use crate::harness::lab::{HOST_V4, RESOLVER_V4, SERVER_V4, SERVER_V6, in_lab};
use crate::harness::openvpn_server::{Carrier, Options, PASSWORD};
use crate::harness::openvpn_world::{OpenvpnWorld, credential};
use crate::harness::probe::ping;
use crate::harness::scene::Scene;
use crate::harness::transfer::{download, upload};
use crate::harness::verdict::Canary;
use crate::harness::wait;
use crate::harness::world::{gateway_id, request, session_id};

const LIMIT: Duration = Duration::from_mins(1);
const LENGTH: u64 = 100_000_000;

#[test]
fn a_hundred_megabytes_arrive_whole_each_way_and_a_detach_says_goodbye() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let (container, session) = world.attached("c-1");
        println!("attached in {:?}", session.timings_ms);
        let expected = fill_digest(LENGTH);
        let start = Instant::now();
        assert_eq!(upload(&container, SERVER_V4.into(), LENGTH), expected, "up, IPv4");
        println!("100 MB up in {:?}", start.elapsed());
        let start = Instant::now();
        assert_eq!(
            download(&container, SERVER_V6.into(), LENGTH),
            (LENGTH, expected),
            "down, IPv6"
        );
        println!("100 MB down in {:?}", start.elapsed());
        let tx = world.agent.metric("egress_session_tx_bytes_total", &["c-1"]);
        let rx = world.agent.metric("egress_session_rx_bytes_total", &["c-1"]);
        assert!(tx > 1e8 && rx > 1e8, "counted {tx} bytes up, {rx} down");
        assert_eq!(world.agent.live_connections(), 1);

        let ended = world.agent.detach(&session.session_id, false);
        assert_eq!(ended.state, SessionState::Closed);
        assert!(world.openvpn_pids().is_empty());
        assert_eq!(world.agent.live_connections(), 0, "the server was told");
        assert_eq!(container.devices(), ["lo"]);
        wait::until("the server has heard the goodbye", LIMIT, || world.server.goodbyes() == 1);
        assert!(container.run(|| ping(SERVER_V4.into(), Duration::from_millis(200))).is_err());
        sniffer.assert_clean("attached, then detached", &world.allowed(), &canary);
    });
}

#[test]
fn a_session_shows_what_the_server_gave() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let (container, session) = world.attached("c-1");
        assert_eq!(session.state, SessionState::Connected);
        assert_eq!(session.interface.as_deref(), Some("eg0"));
        assert_eq!(session.dns, [IpAddr::V4(RESOLVER_V4)]);
        assert_eq!(session.search, ["example.test"]);
        // The host's way takes 1500 bytes.
        assert_eq!(session.mtu, Some(1400));
        let addresses: Vec<_> = session.addresses.iter().map(ToString::to_string).collect();
        assert!(addresses[0].starts_with("10.8.0.") && addresses[0].ends_with("/24"));
        assert!(addresses[1].starts_with("fd00:8::"), "{addresses:?}");
        let took = session.timings_ms.expect("the agent has attached it");
        assert!(took.tunnel > 0.0 && took.handshake > 0.0, "{took:?}");
        let offers = world.agent.offers("groups=All%20Users");
        assert_eq!(offers.offers[0].health, Health::Up);
        for server in [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)] {
            container.run(|| ping(server, LIMIT)).expect("traffic passes");
        }
        // Neither the host nor the gateway's own network is reached through the tunnel.
        for refused in [IpAddr::V4(HOST_V4), IpAddr::V4(world.server.tunnel_v4())] {
            assert!(container.run(|| ping(refused, Duration::from_millis(300))).is_err());
        }
        // The same attach again finds it.
        let again = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert_eq!(again.addresses, session.addresses);
        assert_eq!(world.server.logins(), 1);
    });
}

#[test]
fn a_tunnel_over_tcp_carries_the_same() {
    in_lab(|lab| {
        let world =
            OpenvpnWorld::with(lab, Options { carrier: Carrier::Tcp, ..Options::default() });
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let (container, session) = world.attached("c-1");
        container.wait_for_traffic(LIMIT);
        world.agent.detach(&session.session_id, true);
        sniffer.assert_clean("over TCP", &world.allowed(), &canary);
    });
}

#[test]
fn an_openvpn_runs_as_a_user_of_its_own_with_no_privilege() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let (_container, _) = world.attached("c-1");
        let pids = world.openvpn_pids();
        let [pid] = pids[..] else { panic!("{pids:?}") };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
        for secret in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{secret}")).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let told = text.contains(PASSWORD);
            assert!(!told, "{secret}: {text}");
        }
    });
}

#[test]
fn a_limit_counts_a_connection_until_its_server_has_forgotten_it() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let mut limited = credential(0, PASSWORD);
        limited["active_connection_limit"] = json!(1);
        world.apply(&world.server.profile(), &[limited]);
        let (_container, session) = world.attached("c-1");
        let second = Container::with_process("c-2");
        let problem = world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert_eq!(problem.code, Code::LimitReached);

        // The server dies; nobody can tell it that the session has ended.
        world.server.kill();
        let id = session_id("c-1");
        world.agent.wait_for_state(&id, SessionState::Reconnecting, LIMIT);
        world.agent.detach(&session.session_id, false);
        assert_eq!(world.agent.sessions(), []);
        assert_eq!(world.agent.live_connections(), 1, "its slot cools");
        // The server gives a client up after twice the 4 s of its keepalive.
        wait::until("the slot is free", Duration::from_secs(20), || {
            world.agent.live_connections() == 0
        });
        world.server.restart();
        world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap();
        assert_eq!(world.agent.sessions()[0].gateway.as_ref().unwrap().id, gateway_id(0));
    });
}
