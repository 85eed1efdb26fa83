//! What a worker lends to the tunnel whose turn it is.

use std::time::Instant;

use crate::protocol::Event;

/// The largest packet that a device or socket can hand over.
const LARGEST: usize = 65_535;
/// Room for padding and for what `WireGuard` adds.
const MARGIN: usize = 64;

/// Time, memory and an ear.
#[derive(Debug)]
pub struct Turn {
    /// When the turn began.
    pub now: Instant,
    /// An inner packet, and whatever boringtun makes of a datagram.
    pub inner: Box<[u8]>,
    /// A datagram.
    pub outer: Box<[u8]>,
    /// What control should hear.
    pub news: Vec<Event>,
}

impl Turn {
    /// Allocates the buffers. They are larger than anything that comes in, because boringtun
    /// panics where its output does not fit.
    pub fn new(now: Instant) -> Self {
        let buffer = || vec![0; LARGEST + MARGIN].into_boxed_slice();
        Self { now, inner: buffer(), outer: buffer(), news: Vec::new() }
    }
}
