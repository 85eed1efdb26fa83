//! Packets that became one superpacket.

use super::flow::Flow;
use super::{Carried, Joining};
use crate::transport::{Transport, Version, flags};
use crate::vnet::{ChecksumPlace, Kind, SegmentsOf, VnetHeader};

/// The most bytes of a superpacket.
pub const LEN_MAX: usize = 65_535;
/// The most packets in one.
const PACKETS_MAX: usize = 128;

/// What stands in the frame behind its header.
#[derive(Debug)]
pub struct Run {
    /// Its bytes.
    pub len: usize,
    /// What it stands for.
    pub carried: Carried,
    /// `None` when it is a packet that nothing can be joined to.
    flow: Option<Flow>,
    /// The last packet's data is to be passed on at once, and so all of it.
    pushed: bool,
}

impl Run {
    /// Of one packet.
    pub fn begin(packet: &[u8], joining: Joining) -> Self {
        let carried = Carried { packets: 1, bytes: packet.len() };
        let flow = Flow::begun_by(packet, joining);
        Self { len: packet.len(), carried, flow, pushed: false }
    }

    /// Whether another packet may be joined.
    pub fn is_open(&self) -> bool {
        self.flow.is_some_and(|flow| !flow.closed) && self.carried.packets < PACKETS_MAX
    }

    /// Bytes of headers before each packet's payload.
    pub fn headers(&self) -> usize {
        self.flow.map_or(0, |flow| flow.layout.payload_at)
    }

    /// Adds a packet's payload to the superpacket, if it is the next of its flow. Gives where it
    /// begins in the packet, to be put behind the superpacket.
    pub fn join(&mut self, packet: &[u8], superpacket: &[u8]) -> Option<usize> {
        let flow = self.flow.as_mut().filter(|_| self.carried.packets < PACKETS_MAX)?;
        let payload_at = flow.layout.payload_at;
        let len = packet.len().checked_sub(payload_at)?;
        let has_room = self.len + len <= LEN_MAX;
        if !has_room || !flow.continues_with(packet, superpacket, self.carried.packets) {
            return None;
        }
        self.len += len;
        self.carried.packets += 1;
        self.carried.bytes += packet.len();
        self.pushed |= flow.pushes(packet);
        flow.advance(packet, len);
        Some(payload_at)
    }

    /// Gives a superpacket its lengths and what the kernel needs to cut it.
    pub fn complete(&self, superpacket: &mut [u8]) -> VnetHeader {
        let Some(Flow { layout, size, .. }) = self.flow.filter(|_| self.carried.packets > 1) else {
            return VnetHeader::default();
        };
        if self.pushed {
            superpacket[layout.transport_at + 13] |= flags::PSH;
        }
        layout.set_lengths(superpacket);
        let at = layout.checksum_at();
        let partial = layout.pseudo_header(superpacket).partial();
        superpacket[at..at + 2].copy_from_slice(&partial);
        let kind = match (layout.transport, layout.version) {
            (Transport::Tcp, Version::V4) => Kind::TcpV4,
            (Transport::Tcp, Version::V6) => Kind::TcpV6,
            (Transport::Udp, Version::V4 | Version::V6) => Kind::Udp,
        };
        // All of these are less than LEN_MAX.
        let short = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let offset = short(layout.transport.checksum_offset());
        VnetHeader {
            checksum: Some(ChecksumPlace { start: short(layout.transport_at), offset }),
            segments: Some(SegmentsOf { kind, size: short(size) }),
            headers_len: short(layout.payload_at),
        }
    }
}
