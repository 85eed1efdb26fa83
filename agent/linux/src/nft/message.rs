//! Messages of nftables, and the attributes they are made of.

use std::io;

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlasIterator,
};

// linux/netfilter/nfnetlink.h and linux/netfilter.h.
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFPROTO_INET: u8 = 1;
/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
/// `struct nlattr`: length, type.
const HEADER: usize = 4;
const NLA_F_NESTED: u16 = 1 << 15;

/// A message with its attributes as bytes.
#[derive(Debug)]
pub(super) struct Message {
    kind: u16,
    /// The `nfgenmsg`.
    about: [u8; NFGENMSG],
    bytes: Vec<u8>,
}

impl Message {
    /// One of nftables (`NFT_MSG_*`), in the family `inet`.
    pub(super) fn new(kind: u8, attributes: &[Vec<u8>]) -> Message {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | u16::from(kind);
        Message { kind, about: [NFPROTO_INET, 0, 0, 0], bytes: attributes.concat() }
    }

    /// The beginning or the end of a transaction of nftables.
    pub(super) fn batch(kind: u16) -> Message {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        Message { kind, about: [0, 0, high, low], bytes: Vec::new() }
    }

    pub(super) fn value(&self, kind: u16) -> Option<&[u8]> {
        attribute(&self.bytes, kind)
    }

    pub(super) fn text(&self, kind: u16) -> Option<&str> {
        std::str::from_utf8(self.value(kind)?).ok()?.strip_suffix('\0')
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        NFGENMSG + self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..NFGENMSG].copy_from_slice(&self.about);
        buffer[NFGENMSG..].copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = io::Error;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> io::Result<Message> {
        let (about, bytes) = payload.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Message { kind: header.message_type, about: *about, bytes: bytes.to_vec() })
    }
}

/// An attribute. Its value is at most as long as a rule; a longer one is cut and refused by the
/// kernel.
pub(super) fn put(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// One that holds others.
pub(super) fn put_all(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    put(kind | NLA_F_NESTED, &attributes.concat())
}

/// One that holds a text.
pub(super) fn put_text(kind: u16, text: &str) -> Vec<u8> {
    put(kind, &[text.as_bytes(), b"\0"].concat())
}

/// One that holds a number.
pub(super) fn put_number(kind: u16, number: u32) -> Vec<u8> {
    put(kind, &number.to_be_bytes())
}

/// The value of the first attribute of this kind.
pub(super) fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let attribute = NlasIterator::new(attributes).flatten().find(|nla| nla.kind() == kind)?;
    let value = attribute.into_inner().get(HEADER..attribute.length().into())?;
    Some(value)
}
