//! As much of the domain name system's messages as these tests speak (RFC 1035, section 4).

use std::net::Ipv4Addr;

const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];

/// A question for the IPv4 address of a name.
pub fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x0e, 0x0e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("labels are short"));
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend([TYPE_A, CLASS_IN].concat());
    message
}

/// The answer to a question: this address when it was for an IPv4 address, else nothing of that
/// type. `None` for what is no question.
pub fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let name_end = HEADER + query.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(HEADER..name_end + 5)?;
    let known = question.ends_with(&[TYPE_A, CLASS_IN].concat());
    let mut message = query.get(..2)?.to_vec();
    message.extend([0x81, 0x80, 0, 1, 0, u8::from(known), 0, 0, 0, 0]);
    message.extend(question);
    if known {
        // A pointer to the name, then one second and four bytes.
        message.extend([[0xc0, 0x0c], TYPE_A, CLASS_IN, [0, 0], [0, 1], [0, 4]].concat());
        message.extend(address.octets());
    }
    Some(message)
}
