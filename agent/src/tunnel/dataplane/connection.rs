//! One connection to a data plane: packets with fds, either way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use egress_dataplane::protocol::{Message, PACKET_MAX, Request};
use egress_linux::process::PidFd;
use egress_linux::{ready, seqpacket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroize;

/// A connection, and the process behind it.
pub struct Connection {
    fd: AsyncFd<OwnedFd>,
    process: PidFd,
    buffer: Vec<u8>,
}

impl Connection {
    /// Takes over a connected socket.
    pub fn new(fd: OwnedFd, process: PidFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let fd = ready::register(fd, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { fd, process, buffer: vec![0; PACKET_MAX] })
    }

    /// The process at the other end.
    pub fn process(&self) -> &PidFd {
        &self.process
    }

    /// Sends a request, waiting while the socket is full. Its bytes, keys among them, are wiped.
    pub async fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut bytes = postcard::to_stdvec(request).map_err(io::Error::other)?;
        let sent = self.send_bytes(&bytes, fds).await;
        bytes.zeroize();
        sent
    }

    async fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            let mut ready = self.fd.writable().await?;
            if let Ok(sent) = ready.try_io(|fd| seqpacket::send(fd.as_fd(), bytes, fds)) {
                return sent;
            }
        }
    }

    /// The next message with its fds; `None` when the data plane has closed. Dropping the future
    /// loses nothing.
    pub async fn receive(&mut self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let Self { fd, buffer, .. } = self;
        let (length, fds) = loop {
            let mut ready = fd.readable().await?;
            match ready.try_io(|fd| seqpacket::recv(fd.as_fd(), buffer)) {
                Ok(Ok(Some(packet))) => break packet,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        };
        let message = postcard::from_bytes(&buffer[..length]).map_err(io::Error::other)?;
        Ok(Some((message, fds)))
    }
}
