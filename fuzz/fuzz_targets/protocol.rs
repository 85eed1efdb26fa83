//! What control and the data plane say to each other is understood as it was meant, or not at all.
#![no_main]

use egress_dataplane::protocol::{Message, Request};
use libfuzzer_sys::fuzz_target;
use postcard::{from_bytes, to_stdvec};

fuzz_target!(|packet: &[u8]| {
    if let Ok(request) = from_bytes::<Request>(packet) {
        let written = to_stdvec(&request).expect("what was read can be written");
        let again: Request = from_bytes(&written).expect("what was written can be read");
        assert_eq!(to_stdvec(&again).expect("and written"), written);
    }
    if let Ok(message) = from_bytes::<Message>(packet) {
        let written = to_stdvec(&message).expect("what was read can be written");
        let again: Message = from_bytes(&written).expect("what was written can be read");
        assert_eq!(to_stdvec(&again).expect("and written"), written);
    }
});
