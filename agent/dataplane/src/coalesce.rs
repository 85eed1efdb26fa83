//! Joins consecutive packets of one flow into a superpacket for the kernel (GRO).

use crate::checksum::Sum;
use crate::packet::ROOM;
use crate::transport::{Layout, Transport, Version, flags};
use crate::vnet::{ChecksumPlace, HEADER_LEN, Kind, SegmentsOf, VnetHeader};

/// The most bytes of a superpacket.
const LEN_MAX: usize = 65_535;
/// The most packets in one.
const PACKETS_MAX: usize = 128;
/// The most bytes of a packet's headers: IPv6's, and TCP's with all its options.
const HEADERS_MAX: usize = 40 + 60;
const DO_NOT_FRAGMENT: u8 = 0x40;

/// What may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Every packet stays alone.
    Nothing,
    /// TCP.
    Tcp,
    /// TCP and UDP.
    TcpAndUdp,
}

impl Joining {
    fn includes(self, transport: Transport) -> bool {
        match (self, transport) {
            (Self::Nothing, _) | (Self::Tcp, Transport::Udp) => false,
            (Self::Tcp | Self::TcpAndUdp, Transport::Tcp) | (Self::TcpAndUdp, Transport::Udp) => {
                true
            }
        }
    }
}

/// Packets on their way to a device, to the last of which others may still be joined.
///
/// They are written where they are to stay: behind the payload of those before. What is taken
/// comes out with the next [`Coalescer::finish`]: nothing is reordered or lost. What the kernel
/// makes of a frame is what was taken, but for the ids of packets that must not be fragmented,
/// which mean nothing (RFC 6864).
#[derive(Debug)]
pub struct Coalescer {
    /// A vnet header, the packets of the run, and room for the next.
    frame: Box<[u8]>,
    run: Option<Run>,
    /// A packet that continues none of the run's.
    waiting: Vec<u8>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It is in the frame.
    Taken,
    /// There was none.
    Nothing,
    /// It does not continue those in the frame. They have to be finished before
    /// [`Coalescer::take_waiting`]; else it is lost.
    Waits,
}

/// How many packets a frame stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Their number.
    pub packets: usize,
    /// Their bytes, each packet's headers included.
    pub bytes: usize,
}

/// What stands in the frame behind its header.
#[derive(Debug)]
struct Run {
    len: usize,
    carried: Carried,
    /// `None` when it is a packet that nothing can be joined to.
    flow: Option<Flow>,
    /// The last packet's data is to be passed on at once, and so all of it.
    pushed: bool,
}

/// What the next packet has to be.
#[derive(Debug, Clone, Copy)]
struct Flow {
    layout: Layout,
    /// The first packet's payload: no other has more, and one that has less is the last.
    size: usize,
    /// What follows, for TCP.
    sequence: u32,
    closed: bool,
}

impl Coalescer {
    /// An empty one with a buffer of its own.
    pub fn new() -> Self {
        let frame = vec![0; HEADER_LEN + LEN_MAX + ROOM].into_boxed_slice();
        Self { frame, run: None, waiting: Vec::new() }
    }

    /// Whether a packet of up to `len` bytes may still be joined, or there is none yet.
    pub fn is_open(&self, len: usize) -> bool {
        self.run.as_ref().is_none_or(|run| run.is_open() && run.len + len <= LEN_MAX)
    }

    /// Lets a packet be written, which has at most 65,535 bytes, and takes it. The room has
    /// [`ROOM`] bytes at least, all of which may be written to; `write` gives the packet's length.
    pub fn fill(
        &mut self,
        joining: Joining,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Filled {
        let (at, end) = (self.place(), self.end());
        // The packet's header comes to stand where the last payload ends.
        let mut kept = [0; HEADERS_MAX];
        let kept = &mut kept[..end - at];
        kept.copy_from_slice(&self.frame[at..end]);
        let written = write(&mut self.frame[at..]);
        let filled = written.map_or(Filled::Nothing, |len| self.take(at, len, joining));
        self.frame[at..end].copy_from_slice(kept);
        filled
    }

    /// Takes the packet that waits. What was in the frame is finished.
    pub fn take_waiting(&mut self, joining: Joining) {
        let waiting = std::mem::take(&mut self.waiting);
        self.fill(joining, |room| {
            room[..waiting.len()].copy_from_slice(&waiting);
            Some(waiting.len())
        });
        self.waiting = waiting;
    }

    /// The frame to write, and what it stands for. `None` when nothing was taken since the last.
    pub fn finish(&mut self) -> Option<(&[u8], Carried)> {
        let run = self.run.take()?;
        let (header, space) = self.frame.split_first_chunk_mut::<HEADER_LEN>()?;
        *header = run.complete(&mut space[..run.len]).to_bytes();
        Some((&self.frame[..HEADER_LEN + run.len], run.carried))
    }

    /// Where the frame ends so far.
    fn end(&self) -> usize {
        HEADER_LEN + self.run.as_ref().map_or(0, |run| run.len)
    }

    /// Where the next packet is to be written, so that its payload stands at the end. Never over
    /// the first packet's headers.
    fn place(&self) -> usize {
        let headers = self.run.as_ref().map_or(0, Run::headers);
        let fits = self.end() >= HEADER_LEN + 2 * headers;
        if fits { self.end() - headers } else { self.end() }
    }

    fn take(&mut self, at: usize, len: usize, joining: Joining) -> Filled {
        let end = self.end();
        let packet = &self.frame[at..at + len];
        let Some(run) = &mut self.run else {
            self.run = Some(Run::begin(packet, joining));
            return Filled::Taken;
        };
        let Some(payload_at) = run.join(packet, &self.frame[HEADER_LEN..end]) else {
            self.waiting.clear();
            self.waiting.extend_from_slice(packet);
            return Filled::Waits;
        };
        if at + payload_at != end {
            self.frame.copy_within(at + payload_at..at + len, end);
        }
        Filled::Taken
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    fn begin(packet: &[u8], joining: Joining) -> Self {
        let carried = Carried { packets: 1, bytes: packet.len() };
        let flow = Flow::begun_by(packet, joining);
        Self { len: packet.len(), carried, flow, pushed: false }
    }

    fn is_open(&self) -> bool {
        self.flow.is_some_and(|flow| !flow.closed) && self.carried.packets < PACKETS_MAX
    }

    /// Bytes of headers before each packet's payload.
    fn headers(&self) -> usize {
        self.flow.map_or(0, |flow| flow.layout.payload_at)
    }

    /// Adds a packet's payload to the superpacket, if it is the next of its flow. Gives where it
    /// begins in the packet, to be put behind the superpacket.
    fn join(&mut self, packet: &[u8], superpacket: &[u8]) -> Option<usize> {
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
    fn complete(&self, superpacket: &mut [u8]) -> VnetHeader {
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

impl Flow {
    /// The flow of a packet that others may be joined to.
    fn begun_by(packet: &[u8], joining: Joining) -> Option<Self> {
        let layout = Layout::parse(packet).filter(|layout| joining.includes(layout.transport))?;
        let size = packet.len() - layout.payload_at;
        if size == 0 || !is_plain(packet, &layout) || !has_right_checksum(packet, &layout) {
            return None;
        }
        let mut flow = Self { layout, size, sequence: sequence(packet, &layout), closed: false };
        flow.advance(packet, size);
        Some(flow)
    }

    fn pushes(&self, packet: &[u8]) -> bool {
        match self.layout.transport {
            Transport::Tcp => packet[self.layout.transport_at + 13] & flags::PSH != 0,
            Transport::Udp => false,
        }
    }

    fn advance(&mut self, packet: &[u8], payload_len: usize) {
        self.closed = self.pushes(packet) || payload_len < self.size;
        // A packet has fewer than 2^32 bytes.
        let len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(len);
    }

    /// Whether a packet is the one after so many that make up the superpacket.
    fn continues_with(&self, packet: &[u8], superpacket: &[u8], packets: usize) -> bool {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::tests::{Flow as Sent, cut, flow, payload};

    /// The frames that a batch of packets becomes.
    fn coalesce(packets: &[Vec<u8>], joining: Joining) -> Vec<(Vec<u8>, Carried)> {
        let mut coalescer = Coalescer::new();
        let mut frames = Vec::new();
        for packet in packets {
            let write = |room: &mut [u8]| {
                assert!(room.len() >= ROOM);
                room[..packet.len()].copy_from_slice(packet);
                // What boringtun leaves behind a packet: padding and a tag.
                room[packet.len()..packet.len() + 32].fill(0xee);
                Some(packet.len())
            };
            if coalescer.fill(joining, write) == Filled::Waits {
                frames.extend(coalescer.finish().map(|(frame, n)| (frame.to_vec(), n)));
                coalescer.take_waiting(joining);
            }
            // What is no packet leaves no trace.
            let nothing = coalescer.fill(joining, |room| {
                room[..1500].fill(0xdd);
                None
            });
            assert_eq!(nothing, Filled::Nothing);
        }
        frames.extend(coalescer.finish().map(|(frame, n)| (frame.to_vec(), n)));
        assert_eq!(coalescer.finish(), None);
        frames
    }

    fn cut_all(frames: &[(Vec<u8>, Carried)]) -> Vec<Vec<u8>> {
        frames.iter().flat_map(|(frame, _)| cut(frame)).collect()
    }

    fn count(packets: &[Vec<u8>]) -> usize {
        coalesce(packets, Joining::TcpAndUdp).len()
    }

    /// Two packets of a TCP flow that can be joined.
    fn pair() -> (Sent, [Vec<u8>; 2]) {
        let seed = std::array::from_fn(|at| at.to_le_bytes()[0]);
        let (version, transport) = (Version::V4, Transport::Tcp);
        let flow = Sent { version, transport, seed, options: 3, flags: flags::ACK };
        let packets = cut(&flow.frame(&[7; 2000], 1000));
        (flow, packets.try_into().unwrap())
    }

    #[test]
    fn a_change_of_any_field_that_a_superpacket_has_once_begins_another() {
        let (flow, [first, second]) = pair();
        assert_eq!(count(&[first.clone(), second.clone()]), 1);
        // TOS, TTL, addresses, ports, sequence, acknowledgement, reserved bits, flags but PSH,
        // window, urgent pointer, options.
        let flags = [(33, 0x01), (33, 0x02), (33, 0x04), (33, 0x20), (33, 0x40), (33, 0x80)];
        let bytes = [1, 8, 12, 19, 20, 23, 24, 27, 28, 31, 34, 35, 38, 39, 40, 51];
        let bytes = bytes.into_iter().map(|at| (at, 1));
        for (at, bit) in flags.into_iter().chain(bytes).chain([(32, 1), (6, 0x40)]) {
            let mut changed = second.clone();
            changed[at] ^= bit;
            flow.layout(&changed).complete(&mut changed);
            assert_eq!(count(&[first.clone(), changed]), 2, "byte {at}, {bit:#x}");
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let (_, [first, second]) = pair();
        for broken in [0, 1] {
            let mut packets = [first.clone(), second.clone()];
            packets[broken][100] ^= 1;
            let frames = coalesce(&packets, Joining::TcpAndUdp);
            assert_eq!(cut_all(&frames), packets);
            assert_eq!(frames.len(), 2);
        }
    }

    #[test]
    fn datagrams_without_a_checksum_get_none() {
        let (flow, _) = pair();
        let flow = Sent { transport: Transport::Udp, ..flow };
        let mut packets = cut(&flow.frame(&[7; 2000], 1000));
        for packet in &mut packets {
            packet[26..28].fill(0);
        }
        let frames = coalesce(&packets, Joining::TcpAndUdp);
        assert_eq!((cut_all(&frames), frames.len()), (packets, 2));
    }

    #[test]
    fn an_id_counts_only_where_packets_may_be_fragmented() {
        let (flow, _) = pair();
        for (flag, wanted) in [(0, 2), (DO_NOT_FRAGMENT, 1)] {
            let mut seed = flow.seed;
            seed[6] = flag;
            let mut packets = cut(&Sent { seed, ..flow.clone() }.frame(&[7; 2000], 1000));
            packets[1][4..6].fill(0);
            flow.layout(&packets[1]).complete(&mut packets[1]);
            assert_eq!(count(&packets), wanted);
        }
    }

    #[test]
    fn only_what_the_device_can_cut_is_joined() {
        let (flow, tcp) = pair();
        let udp = cut(&Sent { transport: Transport::Udp, ..flow }.frame(&[7; 2000], 1000));
        let counts = |joining| [coalesce(&tcp, joining).len(), coalesce(&udp, joining).len()];
        assert_eq!(counts(Joining::Nothing), [2, 2]);
        assert_eq!(counts(Joining::Tcp), [1, 2]);
        assert_eq!(counts(Joining::TcpAndUdp), [1, 1]);
    }

    proptest! {
        #[test]
        fn what_was_cut_becomes_whole_again(
            flow in flow(), payload in payload(), size in 200u16..1500,
        ) {
            let packets = cut(&flow.frame(&payload, size));
            let frames = coalesce(&packets, Joining::TcpAndUdp);
            prop_assert_eq!(frames.len(), 1);
            let bytes = packets.iter().map(Vec::len).sum();
            prop_assert_eq!(frames[0].1, Carried { packets: packets.len(), bytes });
            if packets.len() > 1 {
                prop_assert_eq!(&frames[0].0[HEADER_LEN..].len(), &flow.packet(&payload).len());
            }
            prop_assert_eq!(cut_all(&frames), packets);
        }

        #[test]
        fn nothing_is_lost_reordered_or_changed_whatever_comes(
            runs in prop::collection::vec((flow(), payload(), 100u16..1500), 1..5),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..60, any::<u8>()), 0..10),
            joining in prop::sample::select(vec![Joining::Nothing, Joining::Tcp, Joining::TcpAndUdp]),
        ) {
            let mut packets: Vec<_> = runs.iter()
                .flat_map(|(flow, payload, size)| cut(&flow.frame(payload, *size)))
                .collect();
            for pair in order.chunks_exact(2) {
                let (a, b) = (pair[0].index(packets.len()), pair[1].index(packets.len()));
                packets.swap(a, b);
            }
            for (which, at, byte) in changes {
                let index = which.index(packets.len());
                if let Some(changed) = packets[index].get_mut(at) {
                    *changed = byte;
                }
            }
            let frames = coalesce(&packets, joining);
            let carried: usize = frames.iter().map(|(_, carried)| carried.packets).sum();
            prop_assert_eq!(carried, packets.len());
            let without_ids = |packets: Vec<Vec<u8>>| -> Vec<_> {
                packets.into_iter().map(without_atomic_id).collect()
            };
            prop_assert_eq!(without_ids(cut_all(&frames)), without_ids(packets));
        }

        #[test]
        fn no_bytes_whatever_panic(packets: Vec<Vec<u8>>) {
            let frames = coalesce(&packets, Joining::TcpAndUdp);
            prop_assert_eq!(cut_all(&frames), packets);
        }
    }

    fn without_atomic_id(mut packet: Vec<u8>) -> Vec<u8> {
        if packet.len() >= 20 && packet[0] == 0x45 && packet[6] & DO_NOT_FRAGMENT != 0 {
            packet[4..6].fill(0);
            packet[10..12].fill(0);
        }
        packet
    }
}
