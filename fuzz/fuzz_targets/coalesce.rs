//! Packets that are joined come apart again as they were, whatever they are.
#![no_main]

use egress_dataplane::coalesce::{Coalescer, Filled, Joining};
use egress_dataplane::packet::PADDING;
use egress_dataplane::segment::Segments;
use egress_dataplane::transport::Layout;
use libfuzzer_sys::fuzz_target;

const DO_NOT_FRAGMENT: u8 = 0x40;

fuzz_target!(|input: &[u8]| {
    let Some((joining, packets)) = read(input) else { return };
    let mut coalescer = Coalescer::new();
    let (mut count, mut apart) = (0, Vec::new());
    for packet in &packets {
        let write = |room: &mut [u8]| {
            room[..packet.len()].copy_from_slice(packet);
            // What decryption leaves behind a packet: padding and a tag.
            room[packet.len()..packet.len() + 32].fill(0xee);
            Some(packet.len())
        };
        if coalescer.fill(joining, write) == Filled::Waits {
            count += cut(&mut coalescer, &mut apart);
            coalescer.take_waiting(joining);
        }
    }
    count += cut(&mut coalescer, &mut apart);
    assert_eq!(count, packets.len());
    let comparable = |packets: Vec<Vec<u8>>| -> Vec<_> {
        packets.into_iter().map(without_meaningless_id).collect()
    };
    assert_eq!(comparable(apart), comparable(packets));
});

/// One byte says what is joined. Then come packets, each behind two bytes: its length, and whether
/// its lengths and checksums are made true; a fuzzer does not find those.
fn read(input: &[u8]) -> Option<(Joining, Vec<Vec<u8>>)> {
    let (first, mut rest) = input.split_first()?;
    let joining = [Joining::Nothing, Joining::Tcp, Joining::TcpAndUdp][usize::from(first % 3)];
    let mut packets = Vec::new();
    while let Some((header, bytes)) = rest.split_first_chunk::<2>() {
        let header = u16::from_le_bytes(*header);
        let (packet, others) = bytes.split_at(bytes.len().min(usize::from(header >> 1)));
        let mut packet = packet.to_vec();
        if header & 1 == 1 {
            make_true(&mut packet);
        }
        packets.push(packet);
        rest = others;
    }
    Some((joining, packets))
}

fn make_true(packet: &mut [u8]) {
    // The lengths first: a layout is that of a whole packet.
    let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let lengths: &[(usize, u16)] = match packet.first().map(|first| first >> 4) {
        Some(4) => &[(2, len), (24, len.saturating_sub(20))],
        Some(6) => &[(4, len.saturating_sub(40)), (44, len.saturating_sub(40))],
        _ => &[],
    };
    let transport_number = match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9),
        _ => packet.get(6),
    };
    let is_udp = transport_number == Some(&17);
    for (at, value) in lengths.iter().take(if is_udp { 2 } else { 1 }) {
        if let Some(field) = packet.get_mut(*at..at + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
    if let Some(layout) = Layout::parse(packet) {
        layout.complete(packet);
    }
}

/// Adds what the kernel makes of the next frame, and gives the number of packets it stands for.
fn cut(coalescer: &mut Coalescer, apart: &mut Vec<Vec<u8>>) -> usize {
    let Some((frame, carried)) = coalescer.finish() else { return 0 };
    let mut buffer = [frame, &[0; PADDING]].concat();
    let mut segments = Segments::of(&mut buffer, frame.len()).expect("our own frames are true");
    while let Some(segment) = segments.next() {
        apart.push(segment.packet().to_vec());
    }
    carried.packets
}

/// The id of a packet that must not be fragmented means nothing (RFC 6864).
fn without_meaningless_id(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.len() >= 20 && packet[0] == 0x45 && packet[6] & DO_NOT_FRAGMENT != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}
