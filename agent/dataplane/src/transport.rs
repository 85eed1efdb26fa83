//! Where the parts of a TCP or UDP packet are.

use crate::checksum::Sum;

/// Bytes of an IPv4 header without options.
pub const V4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
pub const V6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const TCP_NUMBER: u8 = 6;
const UDP_NUMBER: u8 = 17;

/// FIN, PSH, ACK and CWR in byte 13 of a TCP header.
pub mod flags {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Data to be passed on at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
    /// The congestion window was reduced.
    pub const CWR: u8 = 0x80;
}

/// The IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 4.
    V4,
    /// 6.
    V6,
}

/// What the payload is carried by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// With sequence numbers.
    Tcp,
    /// In datagrams.
    Udp,
}

impl Transport {
    /// Its number in IP headers.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => TCP_NUMBER,
            Self::Udp => UDP_NUMBER,
        }
    }

    /// Where its checksum stands in its header.
    pub fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// The parts of one packet. It is only made for a packet that has them: slices of that packet up
/// to `payload_at` cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Its IP version.
    pub version: Version,
    /// Its transport.
    pub transport: Transport,
    /// Where the transport's header begins.
    pub transport_at: usize,
    /// Where the payload begins: at the packet's end when there is none.
    pub payload_at: usize,
}

impl Layout {
    /// Finds the parts of a whole packet. `None` when it is neither TCP nor UDP, a fragment, has
    /// IP options or extension headers, or when one of its lengths is not true.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let version = version(packet)?;
        let (transport_at, len, number) = match version {
            Version::V4 => {
                let header = packet.first_chunk::<V4_HEADER>()?;
                let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
                if header[0] != 0x45 || fragment != 0 {
                    return None;
                }
                (V4_HEADER, usize::from(u16::from_be_bytes([header[2], header[3]])), header[9])
            }
            Version::V6 => {
                let header = packet.first_chunk::<V6_HEADER>()?;
                let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
                (V6_HEADER, V6_HEADER + payload, header[6])
            }
        };
        let transport = match number {
            TCP_NUMBER => Transport::Tcp,
            UDP_NUMBER => Transport::Udp,
            _ => return None,
        };
        let layout = Self::at(packet, transport, transport_at)?;
        (len == packet.len() && layout.has_true_length(packet)).then_some(layout)
    }

    /// The parts of a packet whose transport header begins there, whatever its lengths say.
    pub fn at(packet: &[u8], transport: Transport, transport_at: usize) -> Option<Self> {
        let version = version(packet)?;
        let ip_header = match version {
            Version::V4 => (usize::from(packet.first()? & 0x0f) * 4).max(V4_HEADER),
            Version::V6 => V6_HEADER,
        };
        // IPv6 may have extension headers before the transport's.
        let fits = match version {
            Version::V4 => transport_at == ip_header && *packet.get(9)? == transport.number(),
            Version::V6 => transport_at >= ip_header,
        };
        let header = packet.get(transport_at..).filter(|_| fits)?;
        let header_len = match transport {
            Transport::Tcp => (usize::from(header.get(12)? >> 4) * 4).max(TCP_HEADER),
            Transport::Udp => UDP_HEADER,
        };
        let payload_at = transport_at + header_len;
        (payload_at <= packet.len()).then_some(Self {
            version,
            transport,
            transport_at,
            payload_at,
        })
    }

    fn has_true_length(&self, packet: &[u8]) -> bool {
        let header = &packet[self.transport_at..];
        match self.transport {
            Transport::Tcp => header[12] >> 4 >= 5,
            Transport::Udp => {
                usize::from(u16::from_be_bytes([header[4], header[5]])) == header.len()
            }
        }
    }

    /// Where the transport's checksum stands.
    pub fn checksum_at(&self) -> usize {
        self.transport_at + self.transport.checksum_offset()
    }

    /// The sum of the pseudo-header of a packet with these parts.
    pub fn pseudo_header(&self, packet: &[u8]) -> Sum {
        let addresses = match self.version {
            Version::V4 => &packet[12..20],
            Version::V6 => &packet[8..40],
        };
        // A packet has at most 65,575 bytes, its transport's part at most 65,535.
        let len = u16::try_from(packet.len() - self.transport_at).unwrap_or(u16::MAX);
        Sum::default().with(addresses).with_u16(u16::from(self.transport.number())).with_u16(len)
    }

    /// Sets the lengths and checksums of a packet with these parts to what they are.
    pub fn complete(&self, packet: &mut [u8]) {
        self.set_lengths(packet);
        let at = self.checksum_at();
        packet[at..at + 2].fill(0);
        let sum = self.pseudo_header(packet).with(&packet[self.transport_at..]);
        let checksum = match (self.transport, sum.checksum()) {
            // Zero would mean that there is none.
            (Transport::Udp, [0, 0]) => [0xff; 2],
            (Transport::Tcp | Transport::Udp, checksum) => checksum,
        };
        packet[at..at + 2].copy_from_slice(&checksum);
    }

    /// Sets the IP header's and UDP's lengths, and with them IPv4's checksum.
    pub fn set_lengths(&self, packet: &mut [u8]) {
        let len = |from: usize| u16::try_from(packet.len() - from).unwrap_or(u16::MAX);
        let (whole, v6_payload, datagram) = match self.version {
            Version::V4 => (len(0), 0, len(self.transport_at)),
            Version::V6 => (0, len(V6_HEADER), len(self.transport_at)),
        };
        match self.version {
            Version::V4 => {
                packet[2..4].copy_from_slice(&whole.to_be_bytes());
                packet[10..12].fill(0);
                let checksum = Sum::default().with(&packet[..self.transport_at]).checksum();
                packet[10..12].copy_from_slice(&checksum);
            }
            Version::V6 => packet[4..6].copy_from_slice(&v6_payload.to_be_bytes()),
        }
        if self.transport == Transport::Udp {
            let at = self.transport_at + 4;
            packet[at..at + 2].copy_from_slice(&datagram.to_be_bytes());
        }
    }
}

fn version(packet: &[u8]) -> Option<Version> {
    match packet.first()? >> 4 {
        4 => Some(Version::V4),
        6 => Some(Version::V6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_have_their_parts_within_them_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..100),
            first in prop::sample::select(vec![0x45u8, 0x60, 0x46, 0x4f, 0x10]),
            number in prop::sample::select(vec![6u8, 17]),
            at in 0usize..120,
        ) {
            for (place, byte) in [(0, first), (6, number), (9, number)] {
                if let Some(found) = bytes.get_mut(place) {
                    *found = byte;
                }
            }
            let layouts = [
                Layout::parse(&bytes),
                Layout::at(&bytes, Transport::Tcp, at),
                Layout::at(&bytes, Transport::Udp, at),
            ];
            for layout in layouts.into_iter().flatten() {
                prop_assert!(layout.checksum_at() + 2 <= layout.payload_at);
                prop_assert!(layout.payload_at <= bytes.len());
                layout.complete(&mut bytes.clone());
            }
        }
    }
}
