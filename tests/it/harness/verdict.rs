//! Which frames may be on the wire outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::keys::random_bytes;
use super::lab::{HOST_V4, HOST_V6};
use super::sniffer::Frame;

/// Text that only a container sends: it must not be seen in clear.
#[derive(Debug, Clone)]
pub struct Canary(String);

impl Canary {
    /// A new one.
    pub fn random() -> Self {
        let digits = random_bytes::<12>().map(|byte| format!("{byte:02x}")).concat();
        Self(format!("canary{digits}"))
    }

    /// Itself.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Itself as text that may stand in a name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.0.len()).any(|window| window == self.bytes())
    }
}

/// What the host may send: to these, its own link-layer control, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Ends of tunnels: `WireGuard` messages only.
    pub tunnels: Vec<SocketAddr>,
    /// Ends of tunnels: OpenVPN packets only.
    pub openvpn: Vec<SocketAddr>,
    /// The host's own resolver.
    pub resolver: Option<SocketAddr>,
    /// The host's address after a change.
    pub renumbered: Option<IpAddr>,
}

impl Allowed {
    /// Tunnels to these ends.
    pub fn tunnels(ends: &[SocketAddr]) -> Self {
        Self { tunnels: ends.to_vec(), ..Self::default() }
    }

    /// OpenVPN tunnels to these ends.
    pub fn openvpn(ends: &[SocketAddr]) -> Self {
        Self { openvpn: ends.to_vec(), ..Self::default() }
    }

    fn has_end(&self, end: &SocketAddr) -> bool {
        self.tunnels.contains(end) || self.openvpn.contains(end)
    }
}

/// Why a frame should not have been there, as one line; `None` for one that may be there.
pub fn offence(frame: &Frame, allowed: &Allowed, canary: &Canary) -> Option<String> {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(&frame.bytes) else {
        return Some(format!("not a frame: {:02x?}", frame.bytes));
    };
    if canary.is_in(&frame.bytes) {
        return Some(format!("canary in clear: {}", line(&packet)));
    }
    if !frame.from_host || is_allowed(&packet, allowed) {
        return None;
    }
    Some(format!("not on the list: {}", line(&packet)))
}

/// Whether the frame's destination is this address.
pub fn goes_to(frame: &Frame, address: IpAddr) -> bool {
    let packet = LaxSlicedPacket::from_ethernet(&frame.bytes);
    packet.ok().and_then(|packet| addresses(&packet)).is_some_and(|(_, to)| to == address)
}

fn is_allowed(packet: &LaxSlicedPacket<'_>, allowed: &Allowed) -> bool {
    if let Some(LaxNetSlice::Arp(arp)) = &packet.net {
        let sender = <[u8; 4]>::try_from(arp.sender_protocol_addr());
        return sender.is_ok_and(|sender| is_host(IpAddr::from(sender), allowed));
    }
    let Some((from, to)) = addresses(packet) else { return false };
    match &packet.transport {
        Some(TransportSlice::Udp(udp)) => {
            let to = SocketAddr::new(to, udp.destination_port());
            let wireguard = allowed.tunnels.contains(&to) && is_wireguard(udp.payload());
            let openvpn = allowed.openvpn.contains(&to) && is_openvpn(udp.payload());
            is_host(from, allowed) && (wireguard || openvpn || allowed.resolver == Some(to))
        }
        Some(TransportSlice::Icmpv6(icmp)) if is_link_control(icmp.type_u8()) => {
            is_host(from, allowed) || is_link_local(from) || from == Ipv6Addr::UNSPECIFIED
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let refusal = icmp.type_u8() == 3 && icmp.code_u8() == 3;
            refusal && is_host(from, allowed) && quotes_tunnel_v4(icmp.payload(), allowed)
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let refusal = icmp.type_u8() == 1 && icmp.code_u8() == 4;
            refusal && is_host(from, allowed) && quotes_tunnel_v6(icmp.payload(), allowed)
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let to = SocketAddr::new(to, tcp.destination_port());
            is_host(from, allowed) && allowed.openvpn.contains(&to)
        }
        Some(TransportSlice::Igmp(_)) | None => false,
    }
}

fn is_host(address: IpAddr, allowed: &Allowed) -> bool {
    address == HOST_V4 || address == HOST_V6 || allowed.renumbered == Some(address)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Neighbour and router discovery, multicast listener reports.
fn is_link_control(icmp_type: u8) -> bool {
    matches!(icmp_type, 130..=137 | 143)
}

/// The four messages: their type, three zeros, and a length that fits.
fn is_wireguard(payload: &[u8]) -> bool {
    match (payload.first_chunk::<4>(), payload.len()) {
        (Some([1, 0, 0, 0]), length) => length == 148,
        (Some([2, 0, 0, 0]), length) => length == 92,
        (Some([3, 0, 0, 0]), length) => length == 64,
        (Some([4, 0, 0, 0]), length) => length >= 32 && length % 16 == 0,
        _ => false,
    }
}

/// The packets that a client sends: an operation above three bits of a key's number.
fn is_openvpn(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| matches!(first >> 3, 3..=7 | 9..=11))
}

/// The kernel's own "port unreachable" for a late packet of a tunnel: the quoted packet came from
/// the tunnel's end.
fn quotes_tunnel_v4(quoted: &[u8], allowed: &Allowed) -> bool {
    let (Some(from), Some(port)) = (quoted.get(12..16), quoted.get(20..22)) else { return false };
    let from = <[u8; 4]>::try_from(from).map(Ipv4Addr::from).expect("four bytes");
    names_tunnel(quoted.get(9), from.into(), port, allowed)
}

fn quotes_tunnel_v6(quoted: &[u8], allowed: &Allowed) -> bool {
    let (Some(from), Some(port)) = (quoted.get(8..24), quoted.get(40..42)) else { return false };
    let from = <[u8; 16]>::try_from(from).map(Ipv6Addr::from).expect("sixteen bytes");
    names_tunnel(quoted.get(6), from.into(), port, allowed)
}

fn names_tunnel(protocol: Option<&u8>, from: IpAddr, port: &[u8], allowed: &Allowed) -> bool {
    const UDP: u8 = 17;
    let port = u16::from_be_bytes([port[0], port[1]]);
    protocol == Some(&UDP) && allowed.has_end(&SocketAddr::new(from, port))
}

fn addresses(packet: &LaxSlicedPacket<'_>) -> Option<(IpAddr, IpAddr)> {
    match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(v4) => {
            let header = v4.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(v6) => {
            let header = v6.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

fn line(packet: &LaxSlicedPacket<'_>) -> String {
    let transport = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => format!(
            "udp {}>{} {} bytes {:02x?}",
            udp.source_port(),
            udp.destination_port(),
            udp.payload().len(),
            &udp.payload()[..udp.payload().len().min(16)]
        ),
        Some(TransportSlice::Tcp(tcp)) => format!(
            "tcp {}>{} {} bytes",
            tcp.source_port(),
            tcp.destination_port(),
            tcp.payload().len()
        ),
        Some(TransportSlice::Icmpv4(icmp)) => format!("icmp {}/{}", icmp.type_u8(), icmp.code_u8()),
        Some(TransportSlice::Icmpv6(icmp)) => {
            format!("icmp6 {}/{}", icmp.type_u8(), icmp.code_u8())
        }
        Some(TransportSlice::Igmp(_)) => "igmp".to_owned(),
        None => format!("{:?}", packet.net),
    };
    match addresses(packet) {
        Some((from, to)) => format!("{from} > {to} {transport}"),
        None => transport,
    }
}
