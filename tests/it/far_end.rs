//! The far ends work on their own: what fails later is the agent's doing.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use crate::harness::internet::{self, Internet, SINK, SOURCE};
use crate::harness::lab::{Lab, RESOLVER_V4, SERVER_V4, SERVER_V6, in_lab};
use crate::harness::namespace::Namespace;
use crate::harness::probe;
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::wireguard_peer::{Client, Program, WireguardPeer};

const LIMIT: Duration = Duration::from_secs(20);

/// A container whose tunnel is a `wireguard-go` of its own with its outer socket in it: no seal,
/// no agent, only the far end is tried.
fn plain_client(lab: &Lab, peer: &WireguardPeer, client: &Client) -> (Namespace, Process) {
    let inside = Namespace::add("client");
    // Its own way to the gateways, beside the host's.
    lab.wan.ip("link add x type veth peer name eth0 netns client
         addr add 192.0.2.129/30 dev x
         link set x up
        ");
    inside.ip("addr add 192.0.2.130/30 dev eth0\nlink set eth0 up\n");
    inside.ip("route add 203.0.113.0/24 via 192.0.2.129\n");
    let process = Process::start(inside.command("wireguard-go").args(["-f", "wgc"]));
    wait::until("wireguard-go starts", LIMIT, || {
        std::path::Path::new("/run/wireguard/wgc.sock").exists()
    });
    let text = format!(
        "[Interface]\nPrivateKey = {}\n{}",
        client.keys.private,
        peer.peer_section(&peer.endpoint(1).to_string())
    );
    std::fs::write("/run/wgc.conf", text).expect("write a config");
    let status = inside.command("wg").args(["setconf", "wgc", "/run/wgc.conf"]).status();
    assert!(status.expect("run wg").success());
    inside.ip(&format!(
        "addr add {}/32 dev wgc
         addr add {}/128 dev wgc nodad
         link set wgc mtu 1420 up
         route add default dev wgc
         route add ::/0 dev wgc
        ",
        client.v4, client.v6
    ));
    (inside, process)
}

fn everything_passes(program: Program) {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let _internet = Internet::behind(&gateway);
        let clients = Client::several(2);
        let peer = WireguardPeer::start_as(program, &gateway, &clients);
        let (inside, _process) = plain_client(lab, &peer, &clients[1]);
        inside.run(|| {
            for server in [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)] {
                probe::ping(server, LIMIT).expect("ping");
                probe::udp_echo(server, b"hello", LIMIT).expect("echo");
                let who = probe::who_am_i(server, LIMIT).expect("who");
                assert!(who.ends_with(" gw0"), "{who}");
            }
            let who = probe::who_am_i(SERVER_V4.into(), LIMIT).expect("who");
            assert_eq!(who, format!("{} gw0", clients[1].v4));
            let address = probe::resolve(RESOLVER_V4.into(), "any.name", LIMIT).expect("resolve");
            assert_eq!(address, SERVER_V4);
            streams_are_whole();
        });
        assert!(peer.received_from(&clients[1]) > 0);
        assert_eq!(peer.received_from(&clients[0]), 0);
    });
}

fn streams_are_whole() {
    let length = 3_000_001;
    let mut up = probe::connect(SocketAddr::new(SERVER_V4.into(), SINK), LIMIT).expect("connect");
    internet::send_fill(&mut up, length).expect("send");
    up.shutdown(Shutdown::Write).expect("end");
    let mut hash = [0; 32];
    up.read_exact(&mut hash).expect("a digest comes back");
    assert_eq!(hash, internet::fill_digest(length));

    let to = SocketAddr::new(SERVER_V6.into(), SOURCE);
    let mut down = probe::connect(to, LIMIT).expect("connect");
    down.write_all(&length.to_be_bytes()).expect("ask");
    let (received, hash) = internet::digest(&down).expect("receive");
    assert_eq!((received, hash), (length, internet::fill_digest(length)));
}

#[test]
fn wireguard_go_carries_every_kind_of_traffic() {
    everything_passes(Program::WireguardGo);
}

#[test]
fn boringtun_carries_every_kind_of_traffic() {
    everything_passes(Program::Boringtun);
}

#[test]
fn our_own_data_plane_carries_streams_as_a_far_end() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let _internet = Internet::behind(&gateway);
        let clients = Client::several(1);
        let peer = WireguardPeer::start_as(Program::Dataplane, &gateway, &clients);
        let (inside, _process) = plain_client(lab, &peer, &clients[0]);
        inside.run(streams_are_whole);
    });
}

#[test]
fn a_lab_leaves_no_process_behind() {
    let mut pids = Vec::new();
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let _peer = WireguardPeer::start(&gateway, &Client::several(1));
        pids = lab.processes();
        assert!(!pids.is_empty());
    });
    wait::until("the lab's processes end", LIMIT, || {
        pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists())
    });
}
