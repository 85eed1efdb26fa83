//! Headers are read within their bytes, whatever those are: vnet's, IP's, TCP's, UDP's, WireGuard's.
#![no_main]

use egress_dataplane::message::Message;
use egress_dataplane::packet::Header;
use egress_dataplane::transport::{Layout, Transport};
use egress_dataplane::vnet::VnetHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((header, packet)) = VnetHeader::split(bytes) {
        let written: Vec<u8> =
            header.to_bytes().into_iter().chain(packet.iter().copied()).collect();
        assert_eq!(VnetHeader::split(&written), Some((header, packet)));
        read(packet, usize::from(header.headers_len));
    }
    read(bytes, 20);
    if let Some(Message::Data { len, .. }) = Message::parse(bytes) {
        assert!(len + 32 == bytes.len());
    }
});

fn read(packet: &[u8], transport_at: usize) {
    if let Some(header) = Header::parse(packet) {
        assert!((20..=packet.len()).contains(&header.len));
    }
    let layouts = [
        Layout::parse(packet),
        Layout::at(packet, Transport::Tcp, transport_at),
        Layout::at(packet, Transport::Udp, transport_at),
    ];
    for layout in layouts.into_iter().flatten() {
        assert!(layout.checksum_at() + 2 <= layout.payload_at);
        assert!(layout.payload_at <= packet.len());
        layout.complete(&mut packet.to_vec());
    }
}
