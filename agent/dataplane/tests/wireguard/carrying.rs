//! What goes through a tunnel, and what does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::far_end::SOON;
use crate::scene::{Scene, Wanted};
use crate::traffic::{eventually, ping, says_back, send_through, tcp, tcp_echo, udp, udp_echo};

pub fn tests() -> Vec<Trial> {
    tests![
        everything_goes_through_over_v4,
        everything_goes_through_over_v6,
        a_source_outside_the_allowed_ips_is_dropped_and_counted,
        a_destination_outside_the_allowed_ips_is_dropped_and_counted,
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
        for _ in 0..10 {
            sender.send_to(b"stranger", to).unwrap();
        }
        eventually("ten drops", || scene.control.stats().drops.source == before + 10);
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
