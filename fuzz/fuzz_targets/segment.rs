//! A frame of the kernel's, whatever it says, becomes true packets or is refused.
#![no_main]

use egress_dataplane::packet::PADDING;
use egress_dataplane::segment::Segments;
use egress_dataplane::transport::{Layout, Transport};
use egress_dataplane::vnet::{Kind, VnetHeader};
use libfuzzer_sys::fuzz_target;

/// As many as the smallest MSS that Linux takes makes of 64 KiB.
const SEGMENTS_MAX: usize = 2048;

fuzz_target!(|frame: &[u8]| {
    let mut buffer = [frame, &[0; PADDING]].concat();
    let Ok(mut segments) = Segments::of(&mut buffer, frame.len()) else { return };
    let (header, packet) = VnetHeader::split(frame).expect("it was taken");
    let (mut count, mut bytes) = (0, 0);
    while let Some(mut segment) = segments.next() {
        count += 1;
        let packet = segment.packet();
        bytes += match layout(&header, packet) {
            Some(layout) => check(&layout, &header, packet),
            None => packet.len(),
        };
        segment.padded_to(segment.packet().len() + PADDING);
    }
    assert!((1..=SEGMENTS_MAX).contains(&count));
    let headers = layout(&header, packet).map_or(0, |layout| layout.payload_at);
    assert_eq!(bytes, packet.len() - headers, "no byte of payload is lost or doubled");
});

/// Where the parts are of what was cut, or is to be.
fn layout(header: &VnetHeader, packet: &[u8]) -> Option<Layout> {
    let transport = match header.segments?.kind {
        Kind::TcpV4 | Kind::TcpV6 => Transport::Tcp,
        Kind::Udp => Transport::Udp,
    };
    Layout::at(packet, transport, header.checksum?.start.into())
}

/// A segment is complete; gives the length of its payload.
fn check(layout: &Layout, header: &VnetHeader, segment: &[u8]) -> usize {
    let sum = layout.pseudo_header(segment).with(&segment[layout.transport_at..]);
    assert!(sum.is_right());
    let len = segment.len() - layout.payload_at;
    assert!(header.segments.is_some_and(|cut| len <= usize::from(cut.size)));
    len
}
