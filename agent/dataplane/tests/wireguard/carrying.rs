//! What goes through a tunnel, and what does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::control::socket;
use crate::far_end::{FarEnd, SOON};
use crate::lab::{Lab, ip};
use crate::scene::{Scene, TUNNEL, Wanted};
use crate::traffic::{eventually, ping, says_back, send_through, tcp, tcp_echo, udp, udp_echo};

/// More than a far end's own link-local packets, which are dropped too, could be in a test's time.
const LIES: u64 = 100;

pub fn tests() -> Vec<Trial> {
    tests![
        everything_goes_through_over_v4,
        everything_goes_through_over_v6,
        a_path_that_takes_no_bursts_any_more_costs_no_packet,
        a_source_outside_the_allowed_ips_is_dropped_and_counted,
        a_destination_outside_the_allowed_ips_is_dropped_and_counted,
        each_of_two_peers_has_its_own_addresses,
        a_tunnel_that_is_added_again_is_replaced,
    ]
}

fn everything_goes_through_over_v4() {
    everything_goes_through(&Wanted::default());
}

fn everything_goes_through_over_v6() {
    everything_goes_through(&Wanted { outer_v6: true, ..Wanted::default() });
}

fn everything_goes_through(wanted: &Wanted) {
    let mut scene = Scene::new(wanted);
    let (far, inside) = (scene.lab.far(), scene.lab.inside());
    for v6 in [false, true] {
        let service = SocketAddr::new(scene.far_inner(v6), 7000);
        udp_echo(&far, service);
        tcp_echo(&far, service);
        for payload in [0, 1, 1372, 8000] {
            assert!(ping(&scene.lab.box_name(), service.ip(), payload), "ping {service} {payload}");
        }
        let socket = udp(&inside, scene.box_inner(v6), SOON);
        for len in [0, 1, 15, 16, 17, 1300, 9000] {
            assert!(says_back(&socket, service, &vec![7; len]), "{len} bytes to {service}");
        }
        send_through(&tcp(&inside, service), 20 << 20);
    }
    let stats = scene.control.stats();
    assert!(stats.rx_bytes > 40 << 20 && stats.tx_bytes > 40 << 20, "{stats:?}");
    assert!(stats.rx_packets > 20_000 && stats.tx_packets > 20_000, "{stats:?}");
    assert_eq!((stats.drops.source, stats.drops.invalid, stats.drops.no_peer), (0, 0, 0));
    assert_eq!(stats.peers[0].handshakes, 1);
    assert_eq!(stats.peers[0].endpoint, Some(scene.endpoint));
}

fn a_path_that_takes_no_bursts_any_more_costs_no_packet() {
    let mut scene = Scene::new(&Wanted::default());
    let service = SocketAddr::new(scene.far_inner(false), 7000);
    tcp_echo(&scene.lab.far(), service);
    let stream = tcp(&scene.lab.inside(), service);
    send_through(&stream, 1 << 20);
    // Datagrams longer than the link's MTU leave alone, in fragments.
    let (n, far) = (scene.lab.number, scene.lab.far_name());
    ip(&format!("link set h{n} mtu 1300"));
    ip(&format!("-n {far} link set f{n} mtu 1300"));
    send_through(&stream, 4 << 20);
    assert_eq!(scene.control.stats().drops.io, 0);
}

fn a_source_outside_the_allowed_ips_is_dropped_and_counted() {
    let allowed = &["10.9.0.0/16", "fd09::/16"];
    let mut scene = Scene::new(&Wanted { allowed, ..Wanted::default() });
    let (far, inside) = (scene.lab.far(), scene.lab.inside());
    for (v6, stranger) in [(false, "10.66.0.1"), (true, "fd66::1")] {
        let stranger: IpAddr = stranger.parse().unwrap();
        scene.far_end.as_ref().unwrap().give(stranger, if v6 { 128 } else { 32 });
        let receiver = udp(&inside, scene.box_inner(v6), Duration::from_millis(500));
        let to = receiver.local_addr().unwrap();
        let mut buffer = [0; 16];

        let friend = udp(&far, scene.far_inner(v6), SOON);
        friend.send_to(b"friend", to).unwrap();
        assert_eq!(receiver.recv_from(&mut buffer).unwrap().1, friend.local_addr().unwrap());

        let before = scene.control.stats().drops.source;
        let sender = udp(&far, stranger, SOON);
        for _ in 0..LIES {
            sender.send_to(b"stranger", to).unwrap();
        }
        eventually("the drops", || scene.control.stats().drops.source >= before + LIES);
        assert!(receiver.recv_from(&mut buffer).is_err(), "a stranger's packet was delivered");
    }
}

fn a_destination_outside_the_allowed_ips_is_dropped_and_counted() {
    let allowed = &["10.9.0.0/16", "fd09::/16"];
    let mut scene = Scene::new(&Wanted { allowed, ..Wanted::default() });
    let inside = scene.lab.inside();
    let sender = udp(&inside, scene.box_inner(false), SOON);
    let (before, carried) = (scene.control.stats().drops.no_peer, scene.control.stats().tx_packets);
    for _ in 0..10 {
        sender.send_to(b"nowhere", "192.0.2.1:9").unwrap();
    }
    eventually("ten drops", || scene.control.stats().drops.no_peer == before + 10);
    assert_eq!(scene.control.stats().tx_packets, carried);
}

fn each_of_two_peers_has_its_own_addresses() {
    let mut scene = Scene::new(&Wanted::default());
    let other = Lab::new();
    let far_end = FarEnd::start(&other, &scene.settings);
    far_end.route(scene.box_inner(false));

    let mut config = scene.config(&Wanted::default());
    config.peers.extend(config.peers.clone());
    config.peers[0].allowed_ips = vec![net(&scene.lab)];
    config.peers[1].allowed_ips = vec![net(&other)];
    config.peers[1].endpoint = FarEnd::at(other.outer(2, false));
    let second = socket(config.peers[1].endpoint);
    scene.control.add(config, &[&scene.device, &scene.socket, &second]);
    eventually("both handshakes", || {
        scene.control.stats().peers.iter().all(|peer| peer.handshakes > 0)
    });

    let asking = udp(&scene.lab.inside(), scene.box_inner(false), SOON);
    for lab in [&scene.lab, &other] {
        let service = SocketAddr::new(lab.inner(1, false), 7000);
        udp_echo(&lab.far(), service);
        assert!(says_back(&asking, service, b"who is there?"), "{service}");
    }

    far_end.give(scene.far_inner(false), 32);
    let liar = udp(&other.far(), scene.far_inner(false), SOON);
    let before = scene.control.stats().drops.source;
    for _ in 0..LIES {
        liar.send_to(b"I am the first", asking.local_addr().unwrap()).unwrap();
    }
    eventually("the drops", || scene.control.stats().drops.source >= before + LIES);
    assert!(asking.recv_from(&mut [0; 32]).is_err(), "a lie was delivered");
}

fn net(lab: &Lab) -> ipnet::IpNet {
    ipnet::IpNet::new(lab.inner(0, false), 24).unwrap()
}

fn a_tunnel_that_is_added_again_is_replaced() {
    let mut scene = Scene::new(&Wanted::default());
    let service = SocketAddr::new(scene.far_inner(false), 7000);
    tcp_echo(&scene.lab.far(), service);
    let stream = tcp(&scene.lab.inside(), service);
    send_through(&stream, 1 << 20);
    for _ in 0..3 {
        let config = scene.config(&Wanted::default());
        scene.control.add(config, &[&scene.device, &scene.socket]);
        scene.await_handshake(SOON);
        send_through(&stream, 1 << 20);
    }
    assert_eq!(scene.control.hello(), [TUNNEL]);
}
