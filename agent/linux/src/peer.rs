//! Who is at the other end of a unix socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The process that connected, as it was when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// 0 when it has no number in our pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its supplementary groups, `gid` not always among them.
    pub groups: Vec<u32>,
}

/// Asks the kernel, which noted it at `connect` (and for the other direction at `listen`).
pub fn credentials(fd: impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&fd, PeerCredentials)?;
    Ok(Peer {
        pid: credentials.pid().unsigned_abs(),
        uid: credentials.uid(),
        gid: credentials.gid(),
        groups: groups(&fd)?,
    })
}

/// The process that began to listen at a stream socket's path, alive or not: whoever has the socket
/// from it, a child that has not executed yet say, is not asked. Fails with `WouldBlock` where more
/// callers wait than may.
pub fn listener(path: &Path) -> io::Result<Peer> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    credentials(fd)
}

fn groups(fd: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 32];
    loop {
        let mut bytes = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
            .expect("a process has at most 65,536 groups");
        // SAFETY: the kernel writes at most `bytes` bytes to `groups`, which has that many, of a
        // type that any bits are valid for, and their number to `bytes`.
        let result = unsafe {
            libc::getsockopt(
                fd.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let error = io::Error::last_os_error();
        let count = bytes as usize / size_of::<u32>();
        match (result, error.raw_os_error()) {
            // Too few places; the kernel has said how many it takes.
            (-1, Some(libc::ERANGE)) if count > groups.len() => groups.resize(count, 0),
            (-1, _) => return Err(error),
            _ => {
                groups.truncate(count);
                return Ok(groups);
            }
        }
    }
}
