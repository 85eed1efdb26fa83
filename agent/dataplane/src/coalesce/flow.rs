//! What a packet has to be to continue a flow's superpacket.

use super::Joining;
use crate::checksum::Sum;
use crate::transport::{Layout, Transport, Version, flags};

/// The flag in byte 6 of an IPv4 header.
pub const DO_NOT_FRAGMENT: u8 = 0x40;

/// What the next packet has to be.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Where the parts of all its packets are.
    pub layout: Layout,
    /// The first packet's payload: no other has more, and one that has less is the last.
    pub size: usize,
    /// What follows, for TCP.
    sequence: u32,
    /// Nothing follows the last packet.
    pub closed: bool,
}

impl Flow {
    /// The flow of a packet that others may be joined to.
    pub fn begun_by(packet: &[u8], joining: Joining) -> Option<Self> {
        let layout = Layout::parse(packet).filter(|layout| joining.includes(layout.transport))?;
        let size = packet.len() - layout.payload_at;
        if size == 0 || !is_plain(packet, &layout) || !has_right_checksum(packet, &layout) {
            return None;
        }
        let mut flow = Self { layout, size, sequence: sequence(packet, &layout), closed: false };
        flow.advance(packet, size);
        Some(flow)
    }

    /// Whether a packet's data is to be passed on at once.
    pub fn pushes(&self, packet: &[u8]) -> bool {
        match self.layout.transport {
            Transport::Tcp => packet[self.layout.transport_at + 13] & flags::PSH != 0,
            Transport::Udp => false,
        }
    }

    /// A packet of it was joined.
    pub fn advance(&mut self, packet: &[u8], payload_len: usize) {
        self.closed = self.pushes(packet) || payload_len < self.size;
        // A packet has fewer than 2^32 bytes.
        let len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(len);
    }

    /// Whether a packet is the one after so many that make up the superpacket.
    pub fn continues_with(&self, packet: &[u8], superpacket: &[u8], packets: usize) -> bool {
        let layout = &self.layout;
        !self.closed
            && Layout::parse(packet).as_ref() == Some(layout)
            && (1..=self.size).contains(&(packet.len() - layout.payload_at))
            && ip_continues(packet, superpacket, layout, packets)
            && self.transport_continues(packet, superpacket)
            // The dearest comes last.
            && has_right_checksum(packet, layout)
    }

    fn transport_continues(&self, packet: &[u8], superpacket: &[u8]) -> bool {
        let header = &packet[self.layout.transport_at..self.layout.payload_at];
        let first = &superpacket[self.layout.transport_at..self.layout.payload_at];
        let same_ports = header[..4] == first[..4];
        same_ports
            && match self.layout.transport {
                Transport::Udp => true,
                Transport::Tcp => {
                    sequence(packet, &self.layout) == self.sequence
                        && header[8..13] == first[8..13]
                        && (header[13] ^ first[13]) & !flags::PSH == 0
                        && header[14..16] == first[14..16]
                        && header[18..] == first[18..]
                }
            }
    }
}

/// All but lengths, checksum and id must be the same, and the id the next unless it means nothing.
fn ip_continues(packet: &[u8], first: &[u8], layout: &Layout, packets: usize) -> bool {
    match layout.version {
        Version::V4 => {
            let id = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
            let next = usize::from(id(packet).wrapping_sub(id(first))) == packets;
            let atomic = packet[6] & DO_NOT_FRAGMENT != 0;
            packet[..2] == first[..2]
                && (next || atomic)
                && packet[6..10] == first[6..10]
                && packet[12..20] == first[12..20]
        }
        Version::V6 => packet[..4] == first[..4] && packet[6..40] == first[6..40],
    }
}

/// Whether a packet says nothing that only a packet alone can say.
fn is_plain(packet: &[u8], layout: &Layout) -> bool {
    match layout.transport {
        Transport::Tcp => packet[layout.transport_at + 13] & !flags::PSH == flags::ACK,
        Transport::Udp => true,
    }
}

/// The kernel will give the packets new checksums: a wrong one must not become right by that.
fn has_right_checksum(packet: &[u8], layout: &Layout) -> bool {
    let at = layout.checksum_at();
    let is_absent = layout.transport == Transport::Udp && packet[at..at + 2] == [0, 0];
    let header_is_right = match layout.version {
        Version::V4 => Sum::default().with(&packet[..layout.transport_at]).is_right(),
        Version::V6 => true,
    };
    !is_absent
        && header_is_right
        && layout.pseudo_header(packet).with(&packet[layout.transport_at..]).is_right()
}

/// TCP's sequence number; of UDP's bytes there is no use.
fn sequence(packet: &[u8], layout: &Layout) -> u32 {
    let header = &packet[layout.transport_at..];
    u32::from_be_bytes([header[4], header[5], header[6], header[7]])
}
