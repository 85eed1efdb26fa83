//! A TUN device: one frame a read, one a write.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{self, Errno};

use crate::packet::LARGEST;
use crate::protocol::Uncut;
use crate::vnet::HEADER_LEN;

/// The most bytes of a frame: a vnet header and a packet.
pub const FRAME_MAX: usize = HEADER_LEN + LARGEST;

/// The device's end on our side. The namespace that it lives in may die at any time.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    /// Where its frames begin in ours: behind the header, when it has none.
    at: usize,
}

/// The device is dead (EBADFD): its namespace is gone or somebody deleted it.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// How a packet fared.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// The device took it.
    Taken,
    /// The device did not: it is down, or its queue is full.
    Refused,
}

impl Device {
    /// Takes a TUN's descriptor (no packet information; a vnet header unless it leaves nothing
    /// uncut) and makes it non-blocking.
    pub fn new(fd: OwnedFd, uncut: Uncut) -> io::Result<Self> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        let at = match uncut {
            Uncut::Nothing => HEADER_LEN,
            Uncut::Tcp | Uncut::TcpAndUdp => 0,
        };
        Ok(Self { fd, at })
    }

    /// Reads one frame, a vnet header and a packet, into a buffer of at least [`FRAME_MAX`] bytes
    /// and gives its length; `None` when there is none.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Gone> {
        let buffer = &mut buffer[..FRAME_MAX];
        buffer[..self.at].fill(0);
        match io::retry_on_intr(|| io::read(&self.fd, &mut buffer[self.at..])) {
            Ok(0) => Err(Gone),
            Ok(len) => Ok(Some(self.at + len)),
            Err(Errno::AGAIN) => Ok(None),
            // A device that is down has nothing to read; it does not fail. So whatever else it
            // says, it will say again for ever.
            Err(_) => Err(Gone),
        }
    }

    /// Writes one frame. What is in its header only reaches a device that has one.
    pub fn write(&self, frame: &[u8]) -> Result<Written, Gone> {
        match io::retry_on_intr(|| io::write(&self.fd, &frame[self.at..])) {
            Ok(_) => Ok(Written::Taken),
            Err(Errno::BADFD) => Err(Gone),
            Err(_) => Ok(Written::Refused),
        }
    }

    /// A duplicate of the descriptor.
    pub fn duplicate(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
