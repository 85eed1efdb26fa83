//! A tunnel against a far end that is nothing but a `Tunn`, over loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use egress_linux::{seqpacket, udp, udp_batch};
use proptest::prelude::*;

use super::*;
use crate::protocol::{Event, Key, PeerConfig};

mod bounds;
mod fallbacks;

const MTU: u16 = 1420;
const ALLOWED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

/// A tunnel with one peer, whose device is a socket.
struct Near {
    tunnel: Tunnel,
    turn: Turn,
    frame: Box<[u8]>,
    hands: Hands,
    container: OwnedFd,
}

impl Near {
    fn new(key: [u8; 32], far_key: [u8; 32], far: SocketAddr, offload: (Uncut, u16)) -> Self {
        let (container, device) = seqpacket::pair().unwrap();
        rustix::io::ioctl_fionbio(&container, true).unwrap();
        let socket = udp::connected(far, &udp::Options { mark: None, buffer: 4 << 20 }).unwrap();
        let peer = PeerConfig {
            public_key: PublicKey::from(&StaticSecret::from(far_key)).to_bytes(),
            preshared_key: None,
            endpoint: far,
            allowed_ips: ALLOWED.map(|net| net.parse().unwrap()).into(),
            keepalive: None,
        };
        let private_key = Key(key);
        let ((uncut, burst), peers) = (offload, vec![peer]);
        let config = TunnelConfig { tunnel: 1, private_key, mtu: MTU, uncut, burst, peers };
        let tunnel = Tunnel::new(config, vec![device, socket]).unwrap();
        let frame = vec![0; BUFFER].into_boxed_slice();
        Self { tunnel, turn: Turn::new(Instant::now()), frame, hands: Hands::new(), container }
    }

    fn address(&self) -> SocketAddr {
        let socket = self.tunnel.socket(0).unwrap();
        let port = SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap().port();
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn down(&mut self) {
        self.tunnel.down(0, &mut self.hands, &mut self.turn).unwrap();
    }

    /// The container sends a packet.
    fn send(&mut self, packet: &[u8]) {
        seqpacket::send(&self.container, packet, &[]).unwrap();
        self.tunnel.up(&mut self.frame, &mut self.turn).unwrap();
    }

    /// What the container is given, if anything.
    fn delivered(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let (len, _) = seqpacket::recv(&self.container, &mut buffer).ok()??;
        buffer.truncate(len);
        Some(buffer)
    }

    fn drops(&self) -> crate::protocol::Drops {
        self.tunnel.stats(Instant::now()).drops
    }
}

/// The far end, which can say anything.
struct Far {
    tunn: Tunn,
    socket: UdpSocket,
}

impl Far {
    /// Both ends, before any handshake.
    fn and_near() -> (Self, Near) {
        Self::and_near_with(Uncut::Nothing, 32)
    }

    fn and_near_with(uncut: Uncut, burst: u16) -> (Self, Near) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (key, near_key) = ([3; 32], [5; 32]);
        let near = Near::new(near_key, key, socket.local_addr().unwrap(), (uncut, burst));
        socket.connect(near.address()).unwrap();
        let near_key = PublicKey::from(&StaticSecret::from(near_key));
        let tunn = Tunn::new(StaticSecret::from(key), near_key, None, None, 1, None);
        (Self { tunn, socket }, near)
    }

    /// Both ends, with a session.
    fn and_near_connected() -> (Self, Near) {
        Self::connect(Self::and_near())
    }

    fn connect((mut far, mut near): (Self, Near)) -> (Self, Near) {
        near.tunnel.start(&mut near.turn);
        assert!(far.hear().1.is_empty());
        near.down();
        assert!(far.hear().1.is_empty());
        assert_eq!(near.turn.news, [Event::Handshake { tunnel: 1, peer: 0 }]);
        (far, near)
    }

    /// Takes one datagram and answers it if need be: the datagram's length, and the packet in it.
    fn hear(&mut self) -> (usize, Vec<u8>) {
        let (mut datagram, mut out) = (vec![0; 65_536], vec![0; 65_536]);
        let len = self.socket.recv(&mut datagram).unwrap();
        let packet = match self.tunn.decapsulate(None, &datagram[..len], &mut out) {
            TunnResult::WriteToNetwork(answer) => {
                self.socket.send(answer).unwrap();
                Vec::new()
            }
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                packet.to_vec()
            }
            TunnResult::Done => Vec::new(),
            TunnResult::Err(error) => panic!("{error:?}"),
        };
        (len, packet)
    }

    /// Asks for a handshake of its own.
    fn initiate(&mut self) {
        let initiation = self.initiation();
        self.socket.send(&initiation).unwrap();
    }

    fn initiation(&mut self) -> Vec<u8> {
        let mut out = [0; 256];
        let result = self.tunn.format_handshake_initiation(&mut out, true);
        let TunnResult::WriteToNetwork(initiation) = result else { panic!("{result:?}") };
        initiation.to_vec()
    }

    /// Asks, and gives the length of the answer, which it takes.
    fn initiate_and_hear(&mut self, near: &mut Near) -> usize {
        self.initiate();
        near.down();
        self.hear().0
    }

    /// Sends datagrams of one length as one message.
    fn send_joined(&self, datagrams: &[Vec<u8>]) {
        let (bytes, segment) = (&datagrams.concat(), u16::try_from(datagrams[0].len()).ok());
        udp_batch::send(&self.socket, [udp_batch::Message { bytes, segment }]).unwrap();
    }

    /// How many datagrams there are to hear now.
    fn unheard(&self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let heard = std::iter::from_fn(|| self.socket.recv(&mut [0; 256]).ok()).count();
        self.socket.set_nonblocking(false).unwrap();
        heard
    }

    fn send(&mut self, inner: &[u8]) {
        let datagram = self.seal(inner);
        self.socket.send(&datagram).unwrap();
    }

    fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut out = vec![0; inner.len() + 256];
        let result = self.tunn.encapsulate(inner, &mut out);
        let TunnResult::WriteToNetwork(datagram) = result else { panic!("{result:?}") };
        datagram.to_vec()
    }
}

fn packet(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let (mut packet, len) = match source {
        IpAddr::V4(_) => (vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0], 20 + payload.len()),
        IpAddr::V6(_) => (vec![0x60, 0, 0, 0, 0, 0, 17, 64], payload.len()),
    };
    let len = u16::try_from(len).unwrap().to_be_bytes();
    let at = if source.is_ipv4() { 2 } else { 4 };
    packet[at..at + 2].copy_from_slice(&len);
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => packet.extend(address.octets()),
            IpAddr::V6(address) => packet.extend(address.octets()),
        }
    }
    packet.extend(payload);
    packet
}

fn from_far(payload: &[u8]) -> Vec<u8> {
    packet([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), payload)
}

fn allowed(address: IpAddr) -> bool {
    ALLOWED.iter().any(|net| net.parse::<ipnet::IpNet>().unwrap().contains(&address))
}

/// Addresses of one family, half of them allowed.
fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let v4 = |first| (any::<[u8; 3]>()).prop_map(move |[b, c, d]| Ipv4Addr::new(first, b, c, d));
    let v4 = prop_oneof![v4(10), v4(11)];
    let v6 = |first: u128| {
        any::<u64>().prop_map(move |low| Ipv6Addr::from(first << 120 | u128::from(low)))
    };
    let v6 = prop_oneof![v6(0xfd), v6(0x20)];
    prop_oneof![
        (v4.clone(), v4).prop_map(|(a, b)| (a.into(), b.into())),
        (v6.clone(), v6).prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_packet_arrives_as_it_was_and_padded_on_the_way(
        (source, destination) in addresses(), payload in bytes(1380),
    ) {
        let (mut far, mut near) = Far::and_near_connected();
        let packet = packet(source, destination, &payload);
        near.send(&packet);
        if allowed(destination) {
            let (len, arrived) = far.hear();
            prop_assert_eq!(&arrived, &packet);
            prop_assert_eq!(len - 32, packet.len().next_multiple_of(16).min(usize::from(MTU)));
        } else {
            prop_assert_eq!(near.drops().no_peer, 1);
        }
    }

    #[test]
    fn only_whole_packets_with_the_peers_own_source_are_delivered(
        (source, destination) in addresses(), payload in bytes(200),
        padding in 0usize..16, change in any::<Option<(prop::sample::Index, u8)>>(),
    ) {
        let (mut far, mut near) = Far::and_near_connected();
        let mut sent = packet(source, destination, &payload);
        sent.resize(sent.len() + padding, 0);
        if let Some((index, byte)) = change {
            *index.get_mut(&mut sent) = byte;
        }
        far.send(&sent);
        near.down();
        let wanted = Header::parse(&sent).filter(|header| allowed(header.source));
        prop_assert_eq!(near.delivered(), wanted.map(|header| sent[..header.len].to_vec()));
    }

    #[test]
    fn no_datagram_whatever_harms_the_tunnel(
        datagrams in prop::collection::vec((0u8..6, any::<bool>(), bytes(300)), 1..40),
        (index, bit) in (any::<prop::sample::Index>(), 0u32..8),
    ) {
        let (mut far, mut near) = Far::and_near_connected();
        for (kind, exact, mut datagram) in datagrams {
            let len = [datagram.len(), 148, 92, 64, 32, 0][usize::from(kind)];
            if exact {
                datagram.resize(len, kind);
            }
            datagram.splice(..datagram.len().min(4), [kind, 0, 0, 0]);
            far.socket.send(&datagram).unwrap();
        }
        let mut forged = far.seal(&from_far(b"forged"));
        *index.get_mut(&mut forged) ^= 1 << bit;
        far.socket.send(&forged).unwrap();
        near.down();
        prop_assert_eq!(near.delivered(), None);

        far.send(&from_far(b"true"));
        near.down();
        prop_assert_eq!(near.delivered(), Some(from_far(b"true")));
    }
}

#[test]
fn a_replayed_datagram_is_dropped() {
    let (mut far, mut near) = Far::and_near_connected();
    let datagram = far.seal(&from_far(b"once"));
    for _ in 0..2 {
        far.socket.send(&datagram).unwrap();
    }
    near.down();
    assert_eq!(near.delivered(), Some(from_far(b"once")));
    assert_eq!(near.delivered(), None);
    assert_eq!(near.drops().invalid, 1);
}

#[test]
fn packets_wait_for_the_first_handshake_and_are_counted_when_they_leave() {
    let (mut far, mut near) = Far::and_near();
    for number in 0..3 {
        near.send(&from_far(&[number; 12]));
    }
    assert_eq!(near.tunnel.stats(Instant::now()).tx_packets, 0);
    assert!(far.hear().1.is_empty(), "the initiation");
    near.down();
    assert!(far.hear().1.is_empty(), "the keepalive that confirms");
    for number in 0..3 {
        assert_eq!(far.hear().1, from_far(&[number; 12]));
    }
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.tx_bytes), (3, 96));
}

#[test]
fn an_initiation_that_was_lost_is_repeated_after_a_second() {
    let (mut far, mut near) = Far::and_near();
    near.tunnel.start(&mut near.turn);
    let lost = far.socket.recv(&mut [0; 256]).unwrap();
    near.turn.now += Duration::from_secs(1);
    near.tunnel.tick(&mut near.turn);
    assert_eq!(far.hear().0, lost);
    near.down();
    assert_eq!(near.turn.news, [Event::Handshake { tunnel: 1, peer: 0 }]);
}

#[test]
fn a_handshake_that_the_peer_begins_is_news_when_its_first_data_comes() {
    let (mut far, mut near) = Far::and_near();
    far.initiate();
    near.down();
    assert!(near.turn.news.is_empty(), "nothing is confirmed yet");
    assert!(far.hear().1.is_empty(), "the response, which is answered by a keepalive");
    near.down();
    assert_eq!(near.turn.news, [Event::Handshake { tunnel: 1, peer: 0 }]);
    near.send(&from_far(b"hello"));
    assert_eq!(far.hear().1, from_far(b"hello"));
}

#[test]
fn handshakes_that_crossed_are_followed_by_one_that_settles_it() {
    let (mut far, mut near) = Far::and_near();
    near.tunnel.start(&mut near.turn);
    far.initiate();
    assert!(far.hear().1.is_empty(), "our initiation");
    near.down();
    assert!(far.hear().1.is_empty(), "our response, ...");
    assert!(far.hear().1.is_empty(), "... and the keepalive that confirms theirs");
    near.down();
    assert_eq!(near.turn.news, [Event::Handshake { tunnel: 1, peer: 0 }]);
    near.turn.now += Duration::from_secs(2);
    near.tunnel.tick(&mut near.turn);
    assert_eq!(far.hear().0, 148, "an initiation");
    near.down();
    assert_eq!(near.turn.news.len(), 2);
}

/// The container sends so many packets before the tunnel's turn comes, and all arrive in order.
fn a_burst_arrives_whole(far: &mut Far, near: &mut Near, packets: u8) {
    for number in 0..packets {
        seqpacket::send(&near.container, &from_far(&[number; 12]), &[]).unwrap();
    }
    near.tunnel.up(&mut near.frame, &mut near.turn).unwrap();
    for number in 0..packets {
        assert_eq!(far.hear().1, from_far(&[number; 12]));
    }
}

#[test]
fn a_burst_arrives_in_order_and_each_packet_is_counted() {
    let (mut far, mut near) = Far::and_near_connected();
    a_burst_arrives_whole(&mut far, &mut near, 200);
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.tx_bytes, stats.drops.io), (200, 200 * 32, 0));
}

#[test]
fn a_burst_that_the_kernel_refuses_leaves_one_by_one() {
    // It takes no message of more than 128 datagrams.
    let (mut far, mut near) = Far::connect(Far::and_near_with(Uncut::Nothing, u16::MAX));
    for _ in 0..2 {
        a_burst_arrives_whole(&mut far, &mut near, 200);
    }
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.tx_bytes, stats.drops.io), (400, 400 * 32, 0));
}

/// How many datagrams arrive as one when the container sends so many packets at once.
fn joined(far: &mut Far, near: &mut Near, packets: u8) -> usize {
    for number in 0..packets {
        seqpacket::send(&near.container, &from_far(&[number; 12]), &[]).unwrap();
    }
    near.tunnel.up(&mut near.frame, &mut near.turn).unwrap();
    let most = far.socket.recv(&mut vec![0; 65_536]).unwrap() / 64;
    far.unheard();
    most
}

#[test]
fn after_a_handshake_bursts_are_tried_again_that_were_refused_before() {
    let (mut far, mut near) = Far::connect(Far::and_near_with(Uncut::Nothing, u16::MAX));
    udp_batch::enable_gro(&far.socket).unwrap();
    assert_eq!(joined(&mut far, &mut near, 100), 100);
    // The kernel takes no message of more than 128 datagrams.
    assert_eq!(joined(&mut far, &mut near, 170), 1);
    assert_eq!(joined(&mut far, &mut near, 100), 1);
    far.initiate_and_hear(&mut near);
    near.down();
    assert_eq!(near.turn.news.len(), 2, "a second handshake is complete");
    assert_eq!(joined(&mut far, &mut near, 100), 100);
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.drops.io), (470, 0));
}

#[test]
fn a_device_that_is_gone_says_so() {
    let (_far, mut near) = Far::and_near();
    near.container = seqpacket::pair().unwrap().0;
    assert_eq!(near.tunnel.up(&mut near.frame, &mut near.turn), Err(Gone));
}
