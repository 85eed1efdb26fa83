//! What a worker lends to the tunnel whose turn it is.

use std::time::Instant;

use egress_linux::udp_batch::Batch;

use crate::coalesce::Coalescer;
use crate::outbox::Outbox;
use crate::packet::ROOM;
use crate::protocol::Event;

/// Time, memory and an ear.
#[derive(Debug)]
pub struct Turn {
    /// When the turn began.
    pub now: Instant,
    /// A datagram of boringtun's own.
    pub outer: Box<[u8]>,
    /// Datagrams for one peer.
    pub outbox: Outbox,
    /// How many handshake messages may still be taken in this event.
    pub handshakes: usize,
    /// What control should hear.
    pub news: Vec<Event>,
}

impl Turn {
    /// Allocates the buffers. They are larger than anything that comes in, because boringtun
    /// panics where its output does not fit.
    pub fn new(now: Instant) -> Self {
        let outer = vec![0; ROOM].into_boxed_slice();
        Self { now, outer, outbox: Outbox::new(), handshakes: 0, news: Vec::new() }
    }
}

/// What holds packets on their way down.
pub struct Hands {
    /// As they came from a socket.
    pub batch: Batch,
    /// As they go to the device. Between two batches it is empty.
    pub coalescer: Coalescer,
}

impl Hands {
    /// Empty ones.
    pub fn new() -> Self {
        Self { batch: Batch::new(), coalescer: Coalescer::new() }
    }
}
