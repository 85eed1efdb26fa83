//! Joins consecutive packets of one flow into a superpacket for the kernel (GRO).

mod flow;
mod run;

use self::run::{LEN_MAX, Run};
use crate::packet::ROOM;
use crate::transport::Transport;
use crate::vnet::HEADER_LEN;

/// The most bytes of a packet's headers: IPv6's, and TCP's with all its options.
const HEADERS_MAX: usize = 40 + 60;

/// What may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Every packet stays alone.
    Nothing,
    /// TCP.
    Tcp,
    /// TCP and UDP.
    TcpAndUdp,
}

impl Joining {
    fn includes(self, transport: Transport) -> bool {
        match (self, transport) {
            (Self::Nothing, _) | (Self::Tcp, Transport::Udp) => false,
            (Self::Tcp | Self::TcpAndUdp, Transport::Tcp) | (Self::TcpAndUdp, Transport::Udp) => {
                true
            }
        }
    }
}

/// Packets on their way to a device, to the last of which others may still be joined.
///
/// They are written where they are to stay: behind the payload of those before. What is taken
/// comes out with the next [`Coalescer::finish`]: nothing is reordered or lost. What the kernel
/// makes of a frame is what was taken, but for the ids of packets that must not be fragmented,
/// which mean nothing (RFC 6864).
#[derive(Debug)]
pub struct Coalescer {
    /// A vnet header, the packets of the run, and room for the next.
    frame: Box<[u8]>,
    run: Option<Run>,
    /// A packet that continues none of the run's.
    waiting: Vec<u8>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It is in the frame.
    Taken,
    /// There was none.
    Nothing,
    /// It does not continue those in the frame. They have to be finished before
    /// [`Coalescer::take_waiting`]; else it is lost.
    Waits,
}

/// How many packets a frame stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Their number.
    pub packets: usize,
    /// Their bytes, each packet's headers included.
    pub bytes: usize,
}

impl Coalescer {
    /// An empty one with a buffer of its own.
    pub fn new() -> Self {
        let frame = vec![0; HEADER_LEN + LEN_MAX + ROOM].into_boxed_slice();
        Self { frame, run: None, waiting: Vec::new() }
    }

    /// Whether a packet of up to `len` bytes may still be joined, or there is none yet.
    pub fn is_open(&self, len: usize) -> bool {
        self.run.as_ref().is_none_or(|run| run.is_open() && run.len + len <= LEN_MAX)
    }

    /// Lets a packet be written, which has at most 65,535 bytes, and takes it. The room has
    /// [`ROOM`] bytes at least, all of which may be written to; `write` gives the packet's length.
    pub fn fill(
        &mut self,
        joining: Joining,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Filled {
        let (at, end) = (self.place(), self.end());
        // The packet's header comes to stand where the last payload ends.
        let mut kept = [0; HEADERS_MAX];
        let kept = &mut kept[..end - at];
        kept.copy_from_slice(&self.frame[at..end]);
        let written = write(&mut self.frame[at..]);
        let filled = written.map_or(Filled::Nothing, |len| self.take(at, len, joining));
        self.frame[at..end].copy_from_slice(kept);
        filled
    }

    /// Takes the packet that waits. What was in the frame is finished.
    pub fn take_waiting(&mut self, joining: Joining) {
        let waiting = std::mem::take(&mut self.waiting);
        self.fill(joining, |room| {
            room[..waiting.len()].copy_from_slice(&waiting);
            Some(waiting.len())
        });
        self.waiting = waiting;
    }

    /// The frame to write, and what it stands for. `None` when nothing was taken since the last.
    pub fn finish(&mut self) -> Option<(&[u8], Carried)> {
        let run = self.run.take()?;
        let (header, space) = self.frame.split_first_chunk_mut::<HEADER_LEN>()?;
        *header = run.complete(&mut space[..run.len]).to_bytes();
        Some((&self.frame[..HEADER_LEN + run.len], run.carried))
    }

    /// Where the frame ends so far.
    fn end(&self) -> usize {
        HEADER_LEN + self.run.as_ref().map_or(0, |run| run.len)
    }

    /// Where the next packet is to be written, so that its payload stands at the end. Never over
    /// the first packet's headers.
    fn place(&self) -> usize {
        let headers = self.run.as_ref().map_or(0, Run::headers);
        let fits = self.end() >= HEADER_LEN + 2 * headers;
        if fits { self.end() - headers } else { self.end() }
    }

    fn take(&mut self, at: usize, len: usize, joining: Joining) -> Filled {
        let end = self.end();
        let packet = &self.frame[at..at + len];
        let Some(run) = &mut self.run else {
            self.run = Some(Run::begin(packet, joining));
            return Filled::Taken;
        };
        let Some(payload_at) = run.join(packet, &self.frame[HEADER_LEN..end]) else {
            self.waiting.clear();
            self.waiting.extend_from_slice(packet);
            return Filled::Waits;
        };
        if at + payload_at != end {
            self.frame.copy_within(at + payload_at..at + len, end);
        }
        Filled::Taken
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
