//! The header of an inner IP packet, as far as routing and padding need it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest packet that a device or socket can hand over.
pub const LARGEST: usize = 65_535;
/// That, with its padding and what `WireGuard` adds.
pub const ROOM: usize = LARGEST + 64;
/// Padding makes a packet's length a multiple of this, and so adds fewer bytes.
pub const PADDING: usize = 16;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;

/// Where an IP packet comes from, where it goes, how long it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
    /// Bytes of the whole packet: at least its header, at most what was given.
    pub len: usize,
}

impl Header {
    /// Reads a packet's header. `None` when it is no IP packet or is cut short; what follows the
    /// packet (padding) is fine.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<V4_HEADER>()?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < V4_HEADER || len < header_len || len > packet.len() {
            return None;
        }
        let address = |at: usize| -> IpAddr {
            Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]).into()
        };
        Some(Self { source: address(12), destination: address(16), len })
    }

    fn parse_v6(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<V6_HEADER>()?;
        let len = V6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if len > packet.len() {
            return None;
        }
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        };
        Some(Self { source: address(8)?, destination: address(24)?, len })
    }
}

/// The length a packet of `len` bytes is padded to: a multiple of 16, but never beyond the
/// device's `mtu` (`WireGuard` paper, section 5.4.6); a packet longer than that stays as it is.
pub fn padded_len(len: usize, mtu: usize) -> usize {
    len.next_multiple_of(PADDING).min(mtu.max(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(len: u16, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; usize::from(len).max(V4_HEADER)];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[12..16].copy_from_slice(&source);
        packet[16..20].copy_from_slice(&destination);
        packet
    }

    fn v6(payload: u16, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut packet = vec![0; V6_HEADER + usize::from(payload)];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&payload.to_be_bytes());
        packet[8..24].copy_from_slice(&source.octets());
        packet[24..40].copy_from_slice(&destination.octets());
        packet
    }

    #[test]
    fn a_length_below_the_header_or_beyond_the_packet_is_refused() {
        for len in [0, 5, 19] {
            assert_eq!(Header::parse(&v4(len, [10, 0, 0, 1], [10, 0, 0, 2])), None, "{len}");
        }
        let mut long = v4(60, [10, 0, 0, 1], [10, 0, 0, 2]);
        long.truncate(59);
        assert_eq!(Header::parse(&long), None);
        let mut short_header = v4(60, [10, 0, 0, 1], [10, 0, 0, 2]);
        short_header[0] = 0x44;
        assert_eq!(Header::parse(&short_header), None);
        let mut short = v6(8, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        short.truncate(47);
        assert_eq!(Header::parse(&short), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_padding_follows(
            source: [u8; 4], destination: [u8; 4], len in 20u16..2000, padding in 0usize..16,
        ) {
            let mut packet = v4(len, source, destination);
            packet.resize(packet.len() + padding, 0);
            let wanted = Header {
                source: source.into(), destination: destination.into(), len: usize::from(len),
            };
            prop_assert_eq!(Header::parse(&packet), Some(wanted));
        }

        #[test]
        fn what_was_written_is_read_of_v6_too(
            source: u128, destination: u128, payload in 0u16..2000, padding in 0usize..16,
        ) {
            let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
            let mut packet = v6(payload, source, destination);
            packet.resize(packet.len() + padding, 0);
            let wanted = Header {
                source: source.into(), destination: destination.into(), len: 40 + usize::from(payload),
            };
            prop_assert_eq!(Header::parse(&packet), Some(wanted));
        }

        #[test]
        fn any_bytes_are_a_packet_within_them_or_none(bytes: Vec<u8>) {
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!((20..=bytes.len()).contains(&header.len));
            }
        }

        #[test]
        fn padding_is_less_than_sixteen_bytes_and_within_the_mtu(len in 0usize..65_536, mtu in 0usize..65_536) {
            let padded = padded_len(len, mtu);
            prop_assert!(padded >= len && padded < len + 16);
            prop_assert!(padded <= mtu || padded == len);
            prop_assert!(padded.is_multiple_of(16) || padded == mtu || padded == len);
        }
    }
}
