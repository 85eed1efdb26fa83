//! Outer sockets.

use std::{
    collections::HashSet,
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use egress_linux::{
    link::{Interface, configure},
    tun::{self, Device, Offload},
    udp::{Options, connected, disconnect, path_mtu, reconnect},
};
use rustix::net::{
    RecvFlags, SendFlags, getsockname, recv, send, sockopt::socket_recv_buffer_size,
};

use crate::host::{on_a_host, readable};

const PLAIN: Options = Options { mark: None, buffer: 1 << 20 };

/// A network with a route to everything, whose packets come out of the device.
pub fn network() -> Device {
    let device = tun::create("up0", 1400, Offload::Off).unwrap();
    configure(
        device.index,
        &Interface {
            addresses: vec!["192.0.2.9/32".parse().unwrap(), "2001:db8::9/128".parse().unwrap()],
            mtu: 1400,
            routes: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        },
    )
    .unwrap();
    device
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

fn address(socket: &OwnedFd) -> SocketAddr {
    getsockname(socket).unwrap().try_into().unwrap()
}

fn hears(socket: &OwnedFd, from: &UdpSocket) -> bool {
    let port = address(socket).port();
    from.send_to(b"hello", ("127.0.0.1", port)).unwrap();
    let hears = readable(socket, Duration::from_millis(50));
    while recv(socket, &mut [0; 16], RecvFlags::DONTWAIT).is_ok() {}
    hears
}

#[test]
fn a_connected_socket_hears_its_peer_and_nobody_else() {
    on_a_host(|| {
        let _network = network();
        let (peer, stranger) = (peer(), peer());
        let socket = connected(peer.local_addr().unwrap(), &PLAIN).unwrap();
        send(&socket, b"hi", SendFlags::empty()).unwrap();
        assert_eq!(peer.recv_from(&mut [0; 16]).unwrap().1.port(), address(&socket).port());
        assert!(hears(&socket, &peer));
        assert!(!hears(&socket, &stranger));
    });
}

#[test]
fn a_disconnected_socket_hears_everybody_on_the_same_port() {
    on_a_host(|| {
        let _network = network();
        let (peer, stranger) = (peer(), peer());
        let socket = connected(peer.local_addr().unwrap(), &PLAIN).unwrap();
        let port = address(&socket).port();
        for _ in 0..2 {
            disconnect(&socket).unwrap();
            assert_eq!(address(&socket).port(), port);
            assert!(hears(&socket, &peer));
            assert!(hears(&socket, &stranger));
        }
    });
}

#[test]
fn a_reconnected_socket_talks_to_its_new_peer_from_the_same_port() {
    on_a_host(|| {
        let _network = network();
        let (old, new) = (peer(), peer());
        let socket = connected(old.local_addr().unwrap(), &PLAIN).unwrap();
        let port = address(&socket).port();
        reconnect(&socket, new.local_addr().unwrap()).unwrap();
        assert_eq!(address(&socket).port(), port);
        assert!(hears(&socket, &new));
        assert!(!hears(&socket, &old));
    });
}

#[test]
fn a_reconnected_socket_takes_the_source_address_that_leads_to_the_peer_now() {
    on_a_host(|| {
        let _network = network();
        let socket = connected("127.0.0.1:7".parse().unwrap(), &PLAIN).unwrap();
        assert_eq!(address(&socket).ip().to_string(), "127.0.0.1");
        reconnect(&socket, "198.51.100.1:7".parse().unwrap()).unwrap();
        assert_eq!(address(&socket).ip().to_string(), "192.0.2.9");
    });
}

#[test]
fn a_datagram_wider_than_the_path_goes_in_fragments_that_may_be_cut_again() {
    on_a_host(|| {
        let network = network();
        let socket = connected("198.51.100.1:7".parse().unwrap(), &PLAIN).unwrap();
        assert_eq!(path_mtu(&socket).unwrap(), 1400);
        send(&socket, &[0; 2000], SendFlags::empty()).unwrap();
        let mut flags = Vec::new();
        let mut packet = [0; 2048];
        while readable(&network.fd, Duration::from_millis(50)) {
            rustix::io::read(&network.fd, &mut packet).unwrap();
            if packet[0] >> 4 == 4 {
                flags.push(packet[6] >> 5);
            }
        }
        let (more_follow, last) = (1, 0);
        assert_eq!(flags, [more_follow, last], "a flag of 2 is DF");
    });
}

#[test]
fn a_wide_datagram_goes_over_ipv6_too() {
    on_a_host(|| {
        let _network = network();
        let socket = connected("[2001:db8:1::1]:7".parse().unwrap(), &PLAIN).unwrap();
        assert_eq!(path_mtu(&socket).unwrap(), 1400);
        assert_eq!(send(&socket, &[0; 2000], SendFlags::empty()), Ok(2000));
    });
}

#[test]
fn a_socket_has_its_mark_and_a_buffer_beyond_the_systems_maximum() {
    on_a_host(|| {
        let _network = network();
        let options = Options { mark: Some(0xe6), buffer: 8 << 20 };
        let socket = connected("198.51.100.1:7".parse().unwrap(), &options).unwrap();
        let mark = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::Mark);
        assert_eq!(mark.unwrap(), 0xe6);
        assert!(socket_recv_buffer_size(&socket).unwrap() >= 8 << 20);
    });
}

#[test]
fn sockets_opened_at_once_have_ports_of_their_own() {
    on_a_host(|| {
        let _network = network();
        let open =
            || (0..50).map(|_| connected("198.51.100.1:7".parse().unwrap(), &PLAIN).unwrap());
        let sockets: Vec<OwnedFd> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(move || open().collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let ports: HashSet<u16> = sockets.iter().map(|socket| address(socket).port()).collect();
        assert_eq!(ports.len(), 400);
    });
}
