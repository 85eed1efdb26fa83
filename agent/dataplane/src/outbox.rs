//! Sealed datagrams on their way to one peer.

use egress_linux::udp_batch::{self, SEND_MAX};

use crate::packet::ROOM;

/// Room for what one event moves; what is beyond leaves with a second call.
const CAPACITY: usize = 576 * 1024;
/// The most bytes of a UDP datagram over IPv4, and so of those that are sent as one.
pub const MESSAGE_MAX: usize = 65_507;

/// Datagrams one behind the other, in messages that leave together. Between two turns it is empty.
#[derive(Debug)]
pub struct Outbox {
    buffer: Box<[u8]>,
    len: usize,
    messages: Vec<Message>,
}

/// Datagrams of one length, but for the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    at: usize,
    len: usize,
    segment: usize,
    closed: bool,
    /// How many datagrams.
    pub packets: usize,
    /// Bytes of the packets in them, without padding.
    pub bytes: usize,
}

impl Outbox {
    /// An empty one with a buffer of its own.
    pub fn new() -> Self {
        let messages = Vec::with_capacity(SEND_MAX);
        Self { buffer: vec![0; CAPACITY].into_boxed_slice(), len: 0, messages }
    }

    /// Where the next datagram is to be written: room for the largest, unless it is full.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.len..]
    }

    /// Takes in the datagram of `len` bytes that was written to the room, in which is a packet of
    /// `packet_len`. At most `burst` datagrams make one message.
    pub fn push(&mut self, len: usize, packet_len: usize, burst: usize) {
        let at = self.len;
        self.len += len;
        let last = self.messages.last_mut();
        if let Some(message) = last.filter(|message| message.takes(len, burst)) {
            message.len += len;
            message.packets += 1;
            message.bytes += packet_len;
            message.closed = len < message.segment;
            return;
        }
        let (segment, bytes) = (len, packet_len);
        self.messages.push(Message { at, len, segment, closed: false, packets: 1, bytes });
    }

    /// Whether it must be sent before the next datagram.
    pub fn is_full(&self) -> bool {
        self.buffer.len() - self.len < ROOM || self.messages.len() == SEND_MAX
    }

    /// What leaves together, in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// A message as the socket takes it.
    pub fn wire(&self, message: &Message) -> udp_batch::Message<'_> {
        let bytes = &self.buffer[message.at..][..message.len];
        // A datagram has at most 65,507 bytes.
        let segment = u16::try_from(message.segment).ok().filter(|_| message.packets > 1);
        udp_batch::Message { bytes, segment }
    }

    /// A message's datagrams.
    pub fn datagrams(&self, message: &Message) -> impl Iterator<Item = &[u8]> {
        self.buffer[message.at..][..message.len].chunks(message.segment.max(1))
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.len = 0;
        self.messages.clear();
    }
}

impl Message {
    fn takes(&self, len: usize, burst: usize) -> bool {
        !self.closed && self.packets < burst && len <= self.segment && self.len + len <= MESSAGE_MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_datagram_comes_out_as_it_went_in(
            lens in prop::collection::vec(prop::sample::select(vec![1usize, 32, 48, 1452, 9000]), 0..200),
            burst in 1usize..70,
        ) {
            let mut outbox = Outbox::new();
            let mut wanted = Vec::new();
            for (number, len) in lens.into_iter().enumerate() {
                if outbox.is_full() {
                    break;
                }
                outbox.room()[..len].fill(number.to_le_bytes()[0]);
                outbox.push(len, len - 1, burst);
                wanted.push(vec![number.to_le_bytes()[0]; len]);
            }
            let mut found = Vec::new();
            for message in outbox.messages() {
                prop_assert!(message.packets <= burst && message.len <= MESSAGE_MAX);
                let datagrams: Vec<_> = outbox.datagrams(message).map(<[u8]>::to_vec).collect();
                prop_assert_eq!(message.packets, datagrams.len());
                prop_assert_eq!(message.bytes + message.packets, outbox.wire(message).bytes.len());
                let (last, others) = datagrams.split_last().unwrap();
                prop_assert!(others.iter().all(|datagram| datagram.len() == message.segment));
                prop_assert!(last.len() <= message.segment);
                found.extend(datagrams);
            }
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn it_says_that_it_is_full_while_there_is_room_for_the_largest() {
        let mut outbox = Outbox::new();
        while !outbox.is_full() {
            assert!(outbox.room().len() >= ROOM);
            outbox.push(1452, 1420, 32);
        }
        assert!(outbox.messages().iter().map(|message| message.packets).sum::<usize>() > 120);
        outbox.clear();
        assert!(!outbox.is_full() && outbox.messages().is_empty());
    }
}
