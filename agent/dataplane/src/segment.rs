//! Cuts what the kernel left to us (TSO, USO, checksums) into packets that are ready to be sent.

use crate::checksum::Sum;
use crate::packet::PADDING;
use crate::transport::{Layout, Transport, V6_HEADER, Version, flags};
use crate::vnet::{ChecksumPlace, HEADER_LEN, Kind, SegmentsOf, VnetHeader};

/// The most segments of one packet: what the smallest MSS that Linux takes makes of 64 KiB.
const SEGMENTS_MAX: usize = 2048;
const UDP_CHECKSUM_OFFSET: usize = 6;

/// A frame's header promises what its packet does not keep.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The packets that a frame stands for, one after the other.
///
/// Each is made in the frame's own memory: its headers are written over the end of the payload
/// before, which has gone out by then.
#[derive(Debug)]
pub struct Segments<'a> {
    /// The packet, then [`PADDING`] bytes.
    bytes: &'a mut [u8],
    work: Work,
    lent: Lent,
}

/// A packet that is ready to be sent.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The packet, then [`PADDING`] bytes.
    bytes: &'a mut [u8],
}

#[derive(Debug)]
enum Work {
    Whole { checksum: Option<ChecksumPlace> },
    Cut(Cut),
    Done,
}

/// How far a superpacket is cut.
#[derive(Debug)]
struct Cut {
    layout: Layout,
    size: usize,
    /// TCP's flags as they were.
    flags: u8,
    /// Where the next segment's headers begin. Its payload stands behind them already.
    at: usize,
}

/// The bytes behind a segment, which are the next one's and may be written to meanwhile.
#[derive(Debug)]
struct Lent {
    at: usize,
    bytes: [u8; PADDING],
}

impl<'a> Segments<'a> {
    /// Of a frame of `len` bytes as a device with vnet headers gives it. It begins the buffer and
    /// has [`PADDING`] bytes behind it.
    pub fn of(buffer: &'a mut [u8], len: usize) -> Result<Self, Malformed> {
        let bytes = buffer.get_mut(..len + PADDING).ok_or(Malformed)?;
        let (header, packet) = VnetHeader::split(&bytes[..len]).ok_or(Malformed)?;
        let work = match (header.segments, header.checksum) {
            (None, checksum) => Work::Whole { checksum: check(packet, checksum)? },
            (Some(segments), Some(place)) => Work::Cut(Cut::new(packet, segments, place)?),
            // Segments without checksums cannot be.
            (Some(_), None) => return Err(Malformed),
        };
        let bytes = &mut bytes[HEADER_LEN..];
        let lent = Lent::of(bytes, len - HEADER_LEN);
        Ok(Self { bytes, work, lent })
    }

    /// The packet as long as nothing is cut of it. Its addresses are those of all segments.
    pub fn packet(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - PADDING]
    }

    /// The next packet; `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Option<Segment<'_>> {
        self.lent.give_back(self.bytes);
        let len = self.packet().len();
        let packet = &mut self.bytes[..len];
        let (start, end) = match &mut self.work {
            Work::Done => return None,
            Work::Whole { checksum } => {
                if let Some(place) = checksum {
                    complete(packet, *place);
                }
                (0, len)
            }
            Work::Cut(cut) => cut.next(packet),
        };
        if end == len {
            self.work = Work::Done;
        }
        self.lent = Lent::of(self.bytes, end);
        Some(Segment { bytes: &mut self.bytes[start..end + PADDING] })
    }
}

impl Segment<'_> {
    /// The packet.
    pub fn packet(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - PADDING]
    }

    /// The packet and zeros behind it, `len` bytes together: at most [`PADDING`] more than it has.
    pub fn padded_to(&mut self, len: usize) -> &[u8] {
        let packet_len = self.packet().len();
        self.bytes[packet_len..len].fill(0);
        &self.bytes[..len]
    }
}

impl Lent {
    /// What stands there.
    fn of(bytes: &[u8], at: usize) -> Self {
        let mut lent = [0; PADDING];
        lent.copy_from_slice(&bytes[at..at + PADDING]);
        Self { at, bytes: lent }
    }

    fn give_back(&self, bytes: &mut [u8]) {
        bytes[self.at..self.at + PADDING].copy_from_slice(&self.bytes);
    }
}

fn check(packet: &[u8], place: Option<ChecksumPlace>) -> Result<Option<ChecksumPlace>, Malformed> {
    let end = |place: ChecksumPlace| usize::from(place.start) + usize::from(place.offset) + 2;
    match place {
        Some(place) if end(place) > packet.len() => Err(Malformed),
        place => Ok(place),
    }
}

/// Completes a checksum whose field holds the sum of the pseudo-header.
fn complete(packet: &mut [u8], place: ChecksumPlace) {
    let (start, offset) = (usize::from(place.start), usize::from(place.offset));
    let at = start + offset;
    let checksum = match (offset, Sum::default().with(&packet[start..]).checksum()) {
        // For UDP zero would mean that there is none.
        (UDP_CHECKSUM_OFFSET, [0, 0]) => [0xff; 2],
        (_, checksum) => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum);
}

impl Cut {
    fn new(packet: &[u8], segments: SegmentsOf, place: ChecksumPlace) -> Result<Self, Malformed> {
        let (transport, version) = match segments.kind {
            Kind::TcpV4 => (Transport::Tcp, Some(Version::V4)),
            Kind::TcpV6 => (Transport::Tcp, Some(Version::V6)),
            Kind::Udp => (Transport::Udp, None),
        };
        let layout = Layout::at(packet, transport, place.start.into()).ok_or(Malformed)?;
        let (size, payload) = (usize::from(segments.size), packet.len() - layout.payload_at);
        let is_true = version.is_none_or(|version| version == layout.version)
            && (1..=SEGMENTS_MAX).contains(&payload.div_ceil(size.max(1)))
            && size > 0
            && packet.len() <= usize::from(u16::MAX) + V6_HEADER;
        let flags = match transport {
            Transport::Tcp => packet[layout.transport_at + 13],
            Transport::Udp => 0,
        };
        is_true.then_some(Self { layout, size, flags, at: 0 }).ok_or(Malformed)
    }

    /// Completes the next segment and gives where it begins and ends.
    fn next(&mut self, packet: &mut [u8]) -> (usize, usize) {
        let start = self.at;
        let end = packet.len().min(start + self.layout.payload_at + self.size);
        if start > 0 {
            let before = start - self.size;
            packet.copy_within(before..before + self.layout.payload_at, start);
            self.advance(&mut packet[start..end]);
        }
        if self.layout.transport == Transport::Tcp {
            let not_first = if start > 0 { flags::CWR } else { 0 };
            let not_last = if end < packet.len() { flags::PSH | flags::FIN } else { 0 };
            packet[start + self.layout.transport_at + 13] = self.flags & !not_first & !not_last;
        }
        self.layout.complete(&mut packet[start..end]);
        self.at = start + self.size;
        (start, end)
    }

    /// Makes the headers of the segment before those of this one: id and sequence number.
    fn advance(&self, segment: &mut [u8]) {
        if self.layout.version == Version::V4 {
            let id = u16::from_be_bytes([segment[4], segment[5]]);
            segment[4..6].copy_from_slice(&id.wrapping_add(1).to_be_bytes());
        }
        if self.layout.transport == Transport::Tcp {
            let header = &mut segment[self.layout.transport_at..];
            let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            // A packet has fewer than 2^32 bytes.
            let size = u32::try_from(self.size).unwrap_or(u32::MAX);
            header[4..8].copy_from_slice(&sequence.wrapping_add(size).to_be_bytes());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vnet::HEADER_LEN;

    /// A flow's next packet: everything that a superpacket of it needs.
    #[derive(Debug, Clone)]
    pub struct Flow {
        pub version: Version,
        pub transport: Transport,
        /// All header bytes that are free: addresses, ports, id, sequence, acknowledgement, ...
        pub seed: [u8; 64],
        pub options: usize,
        pub flags: u8,
    }

    impl Flow {
        /// Its packet with that payload and true lengths and checksums.
        pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
            let mut packet = self.headers();
            packet.extend(payload);
            self.layout(&packet).complete(&mut packet);
            packet
        }

        pub fn layout(&self, packet: &[u8]) -> Layout {
            let at = if self.version == Version::V4 { 20 } else { 40 };
            Layout::at(packet, self.transport, at).unwrap()
        }

        fn headers(&self) -> Vec<u8> {
            let (ip, number) = match self.version {
                Version::V4 => (20, 9),
                Version::V6 => (40, 6),
            };
            let transport = match self.transport {
                Transport::Tcp => 20 + 4 * self.options,
                Transport::Udp => 8,
            };
            let mut bytes: Vec<u8> =
                self.seed.iter().copied().cycle().take(ip + transport).collect();
            match self.version {
                Version::V4 => {
                    bytes[0] = 0x45;
                    bytes[6] &= 0x40;
                    bytes[7] = 0;
                }
                Version::V6 => bytes[0] = 0x60 | bytes[0] & 0x0f,
            }
            bytes[number] = self.transport.number();
            if self.transport == Transport::Tcp {
                bytes[ip + 12] = u8::try_from(transport / 4).unwrap() << 4;
                bytes[ip + 13] = self.flags;
            }
            bytes
        }

        /// The frame that a kernel would give for that payload.
        pub fn frame(&self, payload: &[u8], size: u16) -> Vec<u8> {
            let packet = self.packet(payload);
            let layout = self.layout(&packet);
            let start = u16::try_from(layout.transport_at).unwrap();
            let offset = u16::try_from(self.transport.checksum_offset()).unwrap();
            let kind = match (self.transport, self.version) {
                (Transport::Udp, _) => Kind::Udp,
                (Transport::Tcp, Version::V4) => Kind::TcpV4,
                (Transport::Tcp, Version::V6) => Kind::TcpV6,
            };
            let header = VnetHeader {
                checksum: Some(ChecksumPlace { start, offset }),
                segments: Some(SegmentsOf { kind, size }),
                headers_len: 0,
            };
            header.to_bytes().into_iter().chain(packet).collect()
        }
    }

    pub fn flow() -> impl Strategy<Value = Flow> {
        let version = prop_oneof![Just(Version::V4), Just(Version::V6)];
        let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
        let seed = prop::collection::vec(any::<u8>(), 64).prop_map(|seed| seed.try_into().unwrap());
        let push = prop_oneof![Just(flags::ACK), Just(flags::ACK | flags::PSH)];
        (version, transport, seed, 0usize..=10, push).prop_map(
            |(version, transport, seed, options, flags)| Flow {
                version,
                transport,
                seed,
                options,
                flags,
            },
        )
    }

    pub fn payload() -> impl Strategy<Value = Vec<u8>> {
        (1usize..20_000, any::<u8>())
            .prop_map(|(len, seed)| (0..len).map(|at| (at % 251).to_le_bytes()[0] ^ seed).collect())
    }

    /// A frame with room behind it.
    fn buffer(frame: &[u8]) -> Vec<u8> {
        [frame, &[0x5a; PADDING]].concat()
    }

    /// All packets of a frame, each of them padded before the next is cut.
    pub fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
        let mut buffer = buffer(frame);
        let mut segments = Segments::of(&mut buffer, frame.len()).unwrap();
        let mut packets = Vec::new();
        while let Some(mut segment) = segments.next() {
            let packet = segment.packet().to_vec();
            let padded = segment.padded_to(packet.len() + PADDING);
            assert_eq!(padded, [&packet[..], &[0; PADDING]].concat());
            packets.push(packet);
        }
        packets
    }

    proptest! {
        #[test]
        fn segments_are_true_packets_with_all_of_the_payload_in_order(
            flow in flow(), payload in payload(), size in 16u16..1500, all_flags: u8,
        ) {
            let flow = Flow { flags: all_flags, ..flow };
            let segments = cut(&flow.frame(&payload, size));
            prop_assert_eq!(segments.len(), payload.len().div_ceil(size.into()));
            let mut whole: Vec<u8> = Vec::new();
            for (number, segment) in segments.iter().enumerate() {
                let layout = Layout::parse(segment).unwrap();
                let sum = layout.pseudo_header(segment).with(&segment[layout.transport_at..]);
                prop_assert!(sum.is_right());
                let is_last = number + 1 == segments.len();
                let len = segment.len() - layout.payload_at;
                prop_assert!(len == usize::from(size) || is_last && len < usize::from(size));
                if flow.transport == Transport::Tcp {
                    let header = &segment[layout.transport_at..];
                    let mut wanted = all_flags;
                    if !is_last { wanted &= !(flags::PSH | flags::FIN) }
                    if number > 0 { wanted &= !flags::CWR }
                    prop_assert_eq!(header[13], wanted);
                    let first = flow.packet(&payload)[layout.transport_at + 4..][..4].to_vec();
                    let first = u32::from_be_bytes(first.try_into().unwrap());
                    let sequence = u32::from_be_bytes(header[4..8].try_into().unwrap());
                    let before = u32::try_from(whole.len()).unwrap();
                    prop_assert_eq!(sequence, first.wrapping_add(before));
                }
                whole.extend(&segment[layout.payload_at..]);
            }
            prop_assert_eq!(whole, payload);
        }

        #[test]
        fn a_single_packet_gets_its_checksum_alone(flow in flow(), payload in payload()) {
            let wanted = flow.packet(&payload);
            let layout = flow.layout(&wanted);
            let mut packet = wanted.clone();
            let at = layout.checksum_at();
            packet[at..at + 2].copy_from_slice(&layout.pseudo_header(&wanted).partial());
            let start = u16::try_from(layout.transport_at).unwrap();
            let offset = u16::try_from(flow.transport.checksum_offset()).unwrap();
            let checksum = Some(ChecksumPlace { start, offset });
            let header = VnetHeader { checksum, ..VnetHeader::default() };
            let frame: Vec<u8> = header.to_bytes().into_iter().chain(packet).collect();
            prop_assert_eq!(cut(&frame), [wanted]);
        }

        #[test]
        fn a_packet_that_needs_nothing_stays_as_it_is(packet: Vec<u8>) {
            let frame: Vec<u8> = [0; HEADER_LEN].into_iter().chain(packet.clone()).collect();
            prop_assert_eq!(cut(&frame), [packet]);
        }

        #[test]
        fn no_frame_whatever_makes_more_than_it_should_or_panics(
            flow in flow(), payload in payload(),
            changes in prop::collection::vec((0usize..80, any::<u8>()), 0..6),
            size: u16,
        ) {
            let mut frame = flow.frame(&payload, size);
            for (at, byte) in changes {
                if let Some(changed) = frame.get_mut(at) {
                    *changed = byte;
                }
            }
            if let Ok(mut segments) = Segments::of(&mut buffer(&frame), frame.len()) {
                let mut count = 0;
                while let Some(segment) = segments.next() {
                    prop_assert!(segment.packet().len() <= frame.len());
                    count += 1;
                }
                prop_assert!(count <= SEGMENTS_MAX);
            }
        }

        #[test]
        fn no_bytes_whatever_panic(frame: Vec<u8>) {
            if let Ok(mut segments) = Segments::of(&mut buffer(&frame), frame.len()) {
                while segments.next().is_some() {}
            }
        }
    }
}
