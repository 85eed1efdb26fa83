//! An eventfd that wakes a thread out of its wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;

/// Rings in one thread, is heard in another. A second ring before the first was heard is the same.
#[derive(Debug, Clone)]
pub struct Bell {
    fd: Arc<OwnedFd>,
}

impl Bell {
    /// A silent bell.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Wakes whoever polls it.
    pub fn ring(&self) {
        // It can only fail when the count is at its limit: then it rings already.
        let _ = io::write(&*self.fd, &1u64.to_ne_bytes());
    }

    /// Makes it silent. Call it before looking at what it announced.
    pub fn hush(&self) {
        // Nothing to read means that it was silent.
        let _ = io::read(&*self.fd, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
