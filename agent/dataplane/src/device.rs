//! A TUN device: one inner packet a read, one a write.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{self, Errno};

/// The device's end on our side. The namespace that it lives in may die at any time.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
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
    /// Takes a TUN's descriptor (no packet information, no vnet header) and makes it non-blocking.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Reads one packet; `None` when there is none.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Gone> {
        match io::retry_on_intr(|| io::read(&self.fd, &mut *buffer)) {
            Ok(0) => Err(Gone),
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN) => Ok(None),
            // A device that is down has nothing to read; it does not fail. So whatever else it
            // says, it will say again for ever.
            Err(_) => Err(Gone),
        }
    }

    /// Writes one packet.
    pub fn write(&self, packet: &[u8]) -> Result<Written, Gone> {
        match io::retry_on_intr(|| io::write(&self.fd, packet)) {
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
