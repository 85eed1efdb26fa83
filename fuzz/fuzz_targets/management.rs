//! What openvpn says is read the same however it is cut into pieces.
#![no_main]

use egress_core::openvpn::management::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = Parser::new().feed(bytes);
    let mut parser = Parser::new();
    let pieces = bytes.chunks(usize::from(*size).max(1));
    let apart: Vec<_> = pieces.flat_map(|piece| parser.feed(piece)).collect();
    assert_eq!(apart, whole);
});
