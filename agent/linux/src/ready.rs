//! Waiting for a descriptor in the async runtime.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor whose readiness the runtime tells. It should be non-blocking. Call it in a runtime.
pub fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor from its making to its end, and the AsyncFd
    // owns it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
