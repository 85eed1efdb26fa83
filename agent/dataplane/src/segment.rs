//! Cuts what the kernel left to us (TSO, USO, checksums) into packets that are ready to be sent.

use crate::checksum::Sum;
use crate::transport::{Layout, Transport, V6_HEADER, Version, flags};
use crate::vnet::{ChecksumPlace, Kind, SegmentsOf, VnetHeader};

/// The most segments of one packet: what the smallest MSS that Linux takes makes of 64 KiB.
const SEGMENTS_MAX: usize = 2048;
const UDP_CHECKSUM_OFFSET: usize = 6;

/// A frame's header promises what its packet does not keep.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The packets that a frame stands for.
#[derive(Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    work: Work,
}

#[derive(Debug)]
enum Work {
    Whole { checksum: Option<ChecksumPlace> },
    Cut(Cut),
    Done,
}

/// How far a superpacket is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    layout: Layout,
    size: usize,
    /// The first byte of payload that is still to go out.
    at: usize,
    number: u16,
}

impl<'a> Segments<'a> {
    /// Of a frame as a device with vnet headers gives it.
    pub fn of(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (header, packet) = VnetHeader::split(frame).ok_or(Malformed)?;
        let work = match (header.segments, header.checksum) {
            (None, checksum) => Work::Whole { checksum: check(packet, checksum)? },
            (Some(segments), Some(place)) => Work::Cut(Cut::new(packet, segments, place)?),
            // Segments without checksums cannot be.
            (Some(_), None) => return Err(Malformed),
        };
        Ok(Self { packet, work })
    }

    /// The packet before it was cut. Its addresses are those of all segments.
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Writes the next packet to `out` and gives its length. `None` at the end. Ends early when
    /// `out` has no room, which it has when it is as long as the frame.
    pub fn next(&mut self, out: &mut [u8]) -> Option<usize> {
        match std::mem::replace(&mut self.work, Work::Done) {
            Work::Done => None,
            Work::Whole { checksum } => {
                let out = out.get_mut(..self.packet.len())?;
                out.copy_from_slice(self.packet);
                if let Some(place) = checksum {
                    complete(out, place);
                }
                Some(out.len())
            }
            Work::Cut(cut) => {
                let (len, rest) = cut.write(self.packet, out)?;
                self.work = rest.map_or(Work::Done, Work::Cut);
                Some(len)
            }
        }
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
        is_true.then_some(Self { layout, size, at: layout.payload_at, number: 0 }).ok_or(Malformed)
    }

    /// Writes one segment; gives its length, and what remains to be cut.
    fn write(self, packet: &[u8], out: &mut [u8]) -> Option<(usize, Option<Self>)> {
        let payload = &packet[self.at..packet.len().min(self.at + self.size)];
        let payload_at = self.layout.payload_at;
        let out = out.get_mut(..payload_at + payload.len())?;
        out[..payload_at].copy_from_slice(&packet[..payload_at]);
        out[payload_at..].copy_from_slice(payload);
        let next = self.at + payload.len();
        let is_last = next == packet.len();
        self.number_it(out, is_last);
        self.layout.complete(out);
        let number = self.number.wrapping_add(1);
        Some((out.len(), (!is_last).then_some(Self { at: next, number, ..self })))
    }

    /// Gives a segment its place among the others: id, sequence number, flags.
    fn number_it(&self, segment: &mut [u8], is_last: bool) {
        if self.layout.version == Version::V4 {
            let first = u16::from_be_bytes([segment[4], segment[5]]);
            segment[4..6].copy_from_slice(&first.wrapping_add(self.number).to_be_bytes());
        }
        if self.layout.transport == Transport::Tcp {
            let header = &mut segment[self.layout.transport_at..];
            let first = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            // A packet has fewer than 2^32 bytes.
            let offset = u32::try_from(self.at - self.layout.payload_at).unwrap_or(u32::MAX);
            header[4..8].copy_from_slice(&first.wrapping_add(offset).to_be_bytes());
            if !is_last {
                header[13] &= !(flags::PSH | flags::FIN);
            }
            if self.number > 0 {
                header[13] &= !flags::CWR;
            }
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

    /// All packets of a frame.
    pub fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
        let mut segments = Segments::of(frame).unwrap();
        let mut out = vec![0; frame.len()];
        let next = || segments.next(&mut out).map(|len| out[..len].to_vec());
        std::iter::from_fn(next).collect()
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
            size: u16, room in 0usize..20_100,
        ) {
            let mut frame = flow.frame(&payload, size);
            for (at, byte) in changes {
                if let Some(changed) = frame.get_mut(at) {
                    *changed = byte;
                }
            }
            if let Ok(mut segments) = Segments::of(&frame) {
                let mut out = vec![0; room];
                let mut count = 0;
                while let Some(len) = segments.next(&mut out) {
                    prop_assert!(len <= frame.len());
                    count += 1;
                }
                prop_assert!(count <= SEGMENTS_MAX);
            }
        }

        #[test]
        fn no_bytes_whatever_panic(frame: Vec<u8>) {
            if let Ok(mut segments) = Segments::of(&frame) {
                let mut out = vec![0; frame.len()];
                while segments.next(&mut out).is_some() {}
            }
        }
    }
}
