//! Messages of nftables.

use std::io;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};

use super::{
    attribute::{self, Attribute, written},
    uapi::{NFNL_SUBSYS_NFTABLES, NFPROTO_INET},
};

/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;

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
    pub(super) fn new(kind: u8, attributes: &[Attribute]) -> Message {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | u16::from(kind);
        Message { kind, about: [NFPROTO_INET, 0, 0, 0], bytes: written(attributes) }
    }

    /// The beginning or the end of a transaction of nftables.
    pub(super) fn batch(kind: u16) -> Message {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        Message { kind, about: [0, 0, high, low], bytes: Vec::new() }
    }

    pub(super) fn attributes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn value(&self, kind: u16) -> Option<&[u8]> {
        attribute::value(&self.bytes, kind)
    }

    pub(super) fn text(&self, kind: u16) -> Option<&str> {
        attribute::text(self.value(kind)?)
    }

    pub(super) fn number(&self, kind: u16) -> Option<u32> {
        attribute::number(self.value(kind)?)
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
