//! Finding the namespace that a TUN device is in now.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use super::enter::{EnterError, Netns};

impl Netns {
    /// The namespace that the device of this TUN fd was moved to; an error when it is gone with
    /// its device. The fd alone does not keep the namespace alive, what is returned does.
    pub fn of_device(tun: impl AsFd) -> Result<Netns, EnterError> {
        let fd = device_netns(tun).map_err(EnterError::Enter)?;
        Netns::from_fd(fd)
    }
}

/// The namespace that the device of a TUN fd is in.
pub(crate) fn device_netns(tun: impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: this request takes no argument and writes no memory of ours.
    let result = unsafe { libc::ioctl(tun.as_fd().as_raw_fd(), libc::TUNGETDEVNETNS) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}
