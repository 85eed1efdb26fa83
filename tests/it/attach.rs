//! One attach: what the container can reach after it, and through whom.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use egress_core::api::{Code, NetnsRef, SessionState};

use crate::harness::container::Container;
use crate::harness::internet::Internet;
use crate::harness::lab::{Lab, RESOLVER_V4, ROUTER_V4, SERVER_V4, SERVER_V6, in_lab};
use crate::harness::probe;
use crate::harness::verdict::Canary;
use crate::harness::wireguard_peer::{PEER_V4, Program, WireguardPeer};
use crate::harness::world::{World, catalog, gateway_id, request, session_id};

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);

/// TCP, UDP, ICMP and names, in both families, seen by the far end as this client's.
fn everything_passes(world: &World<'_>, container: &Container) {
    let client = &world.clients[0];
    container.run(|| {
        for server in [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)] {
            probe::ping(server, LIMIT).expect("ping");
            probe::udp_echo(server, b"hello", LIMIT).expect("echo");
        }
        let (v4, v6) = (SERVER_V4.into(), SERVER_V6.into());
        assert_eq!(probe::who_am_i(v4, LIMIT).unwrap(), format!("{} gw0", client.v4));
        assert_eq!(probe::who_am_i(v6, LIMIT).unwrap(), format!("{} gw0", client.v6));
        let resolved = probe::resolve(RESOLVER_V4.into(), "some.name", LIMIT);
        assert_eq!(resolved.unwrap(), SERVER_V4);
    });
}

#[test]
fn an_attach_tells_where_the_container_asks_another_resolver() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (one, two) = (Container::with_process("c-1"), Container::with_process("c-2"));
        let by_pid = request("c-1", one.by_pid(), 0);
        let warned = world.agent.attach(&by_pid).unwrap().warnings;
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains(&ROUTER_V4.to_string()), "{warned:?}");
        assert!(warned[0].ends_with(&RESOLVER_V4.to_string()), "{warned:?}");
        // No process was named that could tell.
        let by_path = world.agent.attach(&request("c-2", two.by_path(), 0)).unwrap();
        assert_eq!(by_path.warnings, [""; 0]);
        std::fs::write("/etc/resolv.conf", format!("nameserver {RESOLVER_V4}\n")).unwrap();
        assert_eq!(world.agent.attach(&by_pid).unwrap().warnings, [""; 0]);
    });
}

fn an_attach_carries_everything(lab: &Lab, program: Program) {
    let sniffer = lab.sniff();
    let world = World::with(lab, 1, program, "");
    let (container, session) = world.attached("c-1");
    assert_eq!(session.state, SessionState::Connected);
    assert_eq!(session.interface.as_deref(), Some("eg0"));
    assert_eq!(session.dns, [IpAddr::V4(RESOLVER_V4)]);
    assert_eq!(session.addresses.len(), 2);
    let took = session.timings_ms.expect("the agent has attached it");
    assert!(took.total > 0.0, "{took:?}");
    everything_passes(&world, &container);
    sniffer.assert_clean("connected", &world.allowed(), &Canary::random());
    assert!(world.peer.received_from(&world.clients[0]) > 0);
}

#[test]
fn a_container_leaves_through_wireguard_go_and_nowhere_else() {
    in_lab(|lab| an_attach_carries_everything(lab, Program::WireguardGo));
}

#[test]
fn a_container_leaves_through_boringtun_and_nowhere_else() {
    in_lab(|lab| an_attach_carries_everything(lab, Program::Boringtun));
}

#[test]
fn traffic_leaves_through_the_gateway_that_was_chosen() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let other = lab.gateway(1);
        let _internet = Internet::behind(&other);
        let other_peer = WireguardPeer::start(&other, &world.clients);
        let ends = [world.peer.endpoint(1).to_string(), other_peer.endpoint(1).to_string()];
        let gateways = [(0, &world.peer, ends[0].as_str()), (1, &other_peer, ends[1].as_str())];
        world.agent.apply(&catalog(&gateways, &world.clients));
        for (number, gateway) in [(0, "gw0"), (1, "gw1")] {
            let container = Container::with_process(&format!("c-{number}"));
            let name = format!("s-{number}");
            let session = world.agent.attach(&request(&name, container.by_path(), number));
            assert_eq!(session.unwrap().gateway.unwrap().name, gateway);
            let who = container.run(|| probe::who_am_i(SERVER_V4.into(), LIMIT)).unwrap();
            assert!(who.ends_with(gateway), "{who}");
        }
    });
}

#[test]
fn the_gateway_may_be_reached_over_ipv6() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        world.apply(&world.peer.endpoint_v6(1).to_string());
        let (container, _) = world.attached("c-1");
        everything_passes(&world, &container);
        assert!(world.peer.heard_from(&world.clients[0]).unwrap().is_ipv6());
    });
}

#[test]
fn a_container_may_be_named_by_a_process_in_it() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        world.agent.attach(&request("s", container.by_pid(), 0)).unwrap();
        everything_passes(&world, &container);
    });
}

#[test]
fn the_same_attach_again_is_the_running_session() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (container, first) = world.attached("c-1");
        let again = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert_eq!(
            (&again.credential_id, again.created_at),
            (&first.credential_id, first.created_at)
        );
        assert_eq!(world.agent.sessions().len(), 1);
        assert_eq!(world.agent.live_connections(), 1);
    });
}

#[test]
fn another_attach_under_a_taken_id_is_refused_and_changes_nothing() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let other = Container::with_process("c-2");
        let problem = world.agent.attach(&request("c-1", other.by_path(), 0)).unwrap_err();
        assert_eq!((problem.code, problem.status), (Code::SessionExists, 409));
        assert_eq!(other.devices(), ["lo"]);
        everything_passes(&world, &container);
    });
}

#[test]
fn a_namespace_has_one_session() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let problem = world.agent.attach(&request("c-2", container.by_pid(), 0)).unwrap_err();
        assert_eq!(problem.code, Code::NetnsInUse);
        everything_passes(&world, &container);
    });
}

#[test]
fn a_detached_container_is_sealed_and_its_connection_free() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        world.agent.detach(&session_id("c-1"), false);
        assert_eq!(container.devices(), ["lo"]);
        assert!(tables(&container).contains("egress_agent"));
        assert_eq!(world.agent.live_connections(), 0);
        world.agent.wait_until_idle();
        let (other, _) = world.attached("c-2");
        everything_passes(&world, &other);
    });
}

#[test]
fn a_released_container_is_the_launchers_again() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        assert!(tables(&container).contains("egress_agent"));
        world.agent.detach(&session_id("c-1"), true);
        assert_eq!(container.devices(), ["lo"]);
        assert_eq!(tables(&container), "");
    });
}

#[test]
fn private_networks_behind_a_gateway_are_out_of_reach() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let refused = container.run(|| probe::ping(PEER_V4.into(), SHORT));
        assert!(refused.is_err(), "the gateway's own network answered");
        assert!(world.agent.metric("egress_session_refused_packets_total", &["c-1"]) >= 1.0);
    });
}

#[test]
fn only_the_tunnels_resolver_is_asked_for_names() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let foreign = container.run(|| probe::resolve(SERVER_V6.into(), "some.name", SHORT));
        assert!(foreign.is_err(), "a foreign resolver answered");
        let own = container.run(|| probe::resolve(RESOLVER_V4.into(), "some.name", LIMIT));
        assert_eq!(own.unwrap(), SERVER_V4);
    });
}

#[test]
fn the_far_end_cannot_connect_to_the_container() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let _listener = container.run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
        let to = SocketAddr::new(world.clients[0].v4.into(), 8080);
        let reached = world.gateway.namespace.run(|| probe::connect(to, SHORT));
        assert!(reached.is_err(), "the far end reached a port of the container");
    });
}

fn tables(container: &Container) -> String {
    let output = container.namespace().command("nft").args(["list", "tables"]).output();
    String::from_utf8(output.expect("run nft").stdout).expect("nft speaks UTF-8")
}

#[test]
fn a_gateway_may_have_a_burst_of_its_own() {
    in_lab(|lab| {
        let config = format!("[wireguard.gateway_burst]\n\"{}\" = 3\n", gateway_id(0));
        let world = World::with(lab, 1, Program::WireguardGo, &config);
        let (container, _) = world.attached("c-1");
        let mut command = container.namespace().command("ip");
        let shown = command.args(["-details", "link", "show", "eg0"]).output().expect("run ip");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("gso_max_segs 3 "), "{shown}");
    });
}

/// Engines print `/var/run/…`, which is a link to `/run` on every system of today.
#[test]
fn each_way_to_write_a_namespaces_path_asks_for_the_same_session() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        let path = |text: String| NetnsRef::Path(text.into());
        let by_engine = path(format!("/var{}", container.namespace().path().display()));
        let first = world.agent.attach(&request("c-1", by_engine.clone(), 0)).unwrap();
        for same in [container.by_path(), by_engine] {
            let again = world.agent.attach(&request("c-1", same, 0)).unwrap();
            assert_eq!(again.created_at, first.created_at);
        }
        world.agent.detach(&first.session_id, true);

        let NetnsRef::Pid(pid) = container.by_pid() else { unreachable!() };
        world.agent.attach(&request("c-2", path(format!("/proc/{pid}/ns/net")), 0)).unwrap();
        world.agent.attach(&request("c-2", container.by_pid(), 0)).unwrap();
    });
}
