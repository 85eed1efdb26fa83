//! No gateway makes the host talk to itself, and none names the host as a container's resolver.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use egress_core::api::{Code, SessionState};
use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::lab::{HOST_V4, HOST_V6, in_lab};
use crate::harness::openvpn_server::{Options, PASSWORD};
use crate::harness::openvpn_world::{OpenvpnWorld, credential};
use crate::harness::verdict::{Allowed, Canary};
use crate::harness::world::{World, catalog, request, session_id};

/// Attaches, which must be refused with this code and a sentence that names the address.
#[track_caller]
fn assert_refused(agent: &Agent<'_>, container: &Container, code: Code, address: IpAddr) {
    let problem = agent.attach(&request("c-1", container.by_path(), 0)).unwrap_err();
    assert_eq!((problem.code, problem.status), (code, 502), "{}", problem.detail);
    let told =
        problem.detail.contains(&address.to_string()) && problem.detail.contains("this host");
    assert!(told, "{}", problem.detail);
    let session = agent.session(&session_id("c-1")).unwrap();
    assert_eq!(session.state, SessionState::Blocked);
    assert_eq!(container.devices(), ["lo"]);
    assert_eq!(agent.live_connections(), 0);
}

fn with_resolver(mut catalog: Value, resolver: IpAddr) -> Value {
    let config = catalog["gateway"][0]["config"].as_str().unwrap().to_owned();
    let lines = config.lines().map(|line| match line.strip_prefix("DNS = ") {
        Some(_) => format!("DNS = {resolver}"),
        None => line.to_owned(),
    });
    catalog["gateway"][0]["config"] = json!(lines.collect::<Vec<_>>().join("\n"));
    catalog
}

#[test]
fn a_wireguard_gateway_at_the_hosts_own_address_is_refused() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (sniffer, container) = (lab.sniff(), Container::with_process("c-1"));
        for address in [HOST_V4.into(), HOST_V6.into()] {
            world.apply(&SocketAddr::new(address, 51820).to_string());
            assert_refused(&world.agent, &container, Code::EndpointRefused, address);
        }
        fs::write("/etc/hosts", format!("127.0.0.1 localhost\n{HOST_V4} me.vpn.example\n"))
            .unwrap();
        world.apply("me.vpn.example:51820");
        assert_refused(&world.agent, &container, Code::EndpointRefused, HOST_V4.into());
        sniffer.assert_clean("refused", &Allowed::default(), &Canary::random());
    });
}

#[test]
fn a_wireguard_gateway_that_names_the_host_as_its_resolver_is_not_opened() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        for address in [HOST_V4.into(), HOST_V6.into()] {
            let endpoint = world.peer.endpoint(1).to_string();
            let gateways = catalog(&[(0, &world.peer, &endpoint)], &world.clients);
            world.agent.apply(&with_resolver(gateways, address));
            assert_refused(&world.agent, &container, Code::ResolverRefused, address);
        }
    });
}

#[test]
fn an_openvpn_gateway_at_the_hosts_own_address_is_refused() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let (sniffer, container) = (lab.sniff(), Container::with_process("c-1"));
        let remote = format!("remote {HOST_V4} 1194 udp\n");
        world.apply(&world.server.profile_with(&remote, ""), &[credential(0, PASSWORD)]);
        assert_refused(&world.agent, &container, Code::EndpointRefused, HOST_V4.into());
        sniffer.assert_clean("refused", &Allowed::default(), &Canary::random());
    });
}

#[test]
fn an_openvpn_server_that_pushes_the_host_as_its_resolver_is_not_opened() {
    in_lab(|lab| {
        let more = format!("push \"dhcp-option DNS {HOST_V4}\"\n");
        let world = OpenvpnWorld::with(lab, Options { more, ..Options::default() });
        let container = Container::with_process("c-1");
        assert_refused(&world.agent, &container, Code::ResolverRefused, HOST_V4.into());
    });
}
