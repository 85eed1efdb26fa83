//! The header between us and a TUN device (`virtio_net_hdr`, Linux's `virtio_net.h`).

/// Its bytes, before every packet.
pub const HEADER_LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const NO_SEGMENTS: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// The first segment alone carries CWR. Ours always do it so.
const ECN: u8 = 0x80;

/// What the packet behind it still needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// A checksum is to be completed.
    pub checksum: Option<ChecksumPlace>,
    /// It is to be cut.
    pub segments: Option<SegmentsOf>,
    /// Bytes of all its headers; a hint, with segments only.
    pub headers_len: u16,
}

/// Where a checksum is missing. Its field holds the sum of the pseudo-header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksumPlace {
    /// The first byte that it covers, to the packet's end.
    pub start: u16,
    /// Where it is to stand, from there.
    pub offset: u16,
}

/// How a packet is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentsOf {
    /// Of what it is made.
    pub kind: Kind,
    /// Bytes of payload in each segment; the last one may have fewer.
    pub size: u16,
}

/// What can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either.
    Udp,
}

impl VnetHeader {
    /// Reads a frame's header and gives the packet behind it. `None` when it is cut short or of a
    /// kind that was not asked for.
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (header, packet) = frame.split_first_chunk::<HEADER_LEN>()?;
        let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let place = ChecksumPlace { start: word(6), offset: word(8) };
        let kind = match header[1] & !ECN {
            NO_SEGMENTS => None,
            TCP_V4 => Some(Kind::TcpV4),
            TCP_V6 => Some(Kind::TcpV6),
            UDP => Some(Kind::Udp),
            _ => return None,
        };
        let header = Self {
            checksum: (header[0] & NEEDS_CHECKSUM != 0).then_some(place),
            segments: kind.map(|kind| SegmentsOf { kind, size: word(4) }),
            headers_len: word(2),
        };
        Some((header, packet))
    }

    /// As it stands before a packet.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, word: u16| bytes[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        put(2, self.headers_len);
        if let Some(segments) = self.segments {
            put(4, segments.size);
        }
        if let Some(place) = self.checksum {
            put(6, place.start);
            put(8, place.offset);
        }
        bytes[0] = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        bytes[1] = match self.segments.map(|segments| segments.kind) {
            None => NO_SEGMENTS,
            Some(Kind::TcpV4) => TCP_V4,
            Some(Kind::TcpV6) => TCP_V6,
            Some(Kind::Udp) => UDP,
        };
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = VnetHeader> {
        let kind = prop_oneof![Just(Kind::TcpV4), Just(Kind::TcpV6), Just(Kind::Udp)];
        let segments = (kind, any::<u16>()).prop_map(|(kind, size)| SegmentsOf { kind, size });
        let place = any::<(u16, u16)>().prop_map(|(start, offset)| ChecksumPlace { start, offset });
        (prop::option::of(place), prop::option::of(segments), any::<u16>()).prop_map(
            |(checksum, segments, headers_len)| VnetHeader { checksum, segments, headers_len },
        )
    }

    #[test]
    fn a_packet_that_needs_nothing_has_a_header_of_zeros() {
        assert_eq!(VnetHeader::default().to_bytes(), [0; HEADER_LEN]);
    }

    #[test]
    fn one_that_is_cut_short_or_of_an_unknown_kind_is_none() {
        assert_eq!(VnetHeader::split(&[0; HEADER_LEN - 1]), None);
        for kind in [2, 3, 6, 0x7f] {
            let mut frame = [0; HEADER_LEN + 20];
            frame[1] = kind;
            assert_eq!(VnetHeader::split(&frame), None, "kind {kind}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(header in header(), packet: Vec<u8>) {
            let frame: Vec<u8> = header.to_bytes().into_iter().chain(packet.clone()).collect();
            prop_assert_eq!(VnetHeader::split(&frame), Some((header, &packet[..])));
        }
    }
}
