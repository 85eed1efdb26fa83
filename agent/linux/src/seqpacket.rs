//! Unix sockets that keep packets whole and carry file descriptors beside them.
//!
//! All of these work on blocking and on non-blocking sockets; a new one blocks.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use rustix::{
    cmsg_space,
    fs::{CWD, Mode, chmod, renameat},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, accept_with, recvmsg, sendmsg, socket_with, socketpair,
    },
};

/// The most fds beside one packet; the kernel's limit is 253.
pub const FDS_MAX: usize = 32;
/// Connections that wait for [`accept`].
const BACKLOG: i32 = 16;

/// A socket at `path` with mode 0600 that takes connections after [`listen`]. A socket file that
/// is there is replaced in one step; any other file is an error.
pub fn bind(path: &Path) -> io::Result<OwnedFd> {
    match path.symlink_metadata() {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let new = beside(path);
    let _ = std::fs::remove_file(&new);
    let fd = new_socket()?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(&new)?)?;
    // Nobody can connect before `listen`, so that it does not matter what mode it was made with.
    chmod(&new, Mode::RUSR | Mode::WUSR)?;
    renameat(CWD, &new, CWD, path)?;
    Ok(fd)
}

/// Takes connections from now on.
pub fn listen(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::listen(fd, BACKLOG)?)
}

/// The next connection.
pub fn accept(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(accept_with(fd, SocketFlags::CLOEXEC)?)
}

/// A connection to the one that listens at `path`. Does not wait while as many wait there already
/// as may, but fails with `WouldBlock`.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let fd = new_socket()?;
    // So that it would not wait for somebody who accepts nothing any more.
    rustix::io::ioctl_fionbio(&fd, true)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
    rustix::io::ioctl_fionbio(&fd, false)?;
    Ok(fd)
}

/// Two sockets connected to each other.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (unix, packets) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socketpair(unix, packets, SocketFlags::CLOEXEC, None)?)
}

/// Sends one packet, whole or not at all, with duplicates of `fds`. An empty packet is refused:
/// it could not be told from the end.
pub fn send(fd: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() || fds.len() > FDS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no bytes, or too many fds"));
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        unreachable!("the buffer has room for FDS_MAX");
    }
    sendmsg(fd, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next packet: its length in `buffer` and the fds beside it, closed on exec. `None` when the
/// other end has closed. A packet longer than `buffer`, or with more fds than [`FDS_MAX`] or than
/// this process may have, is an error and lost.
pub fn recv(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(buffer)];
    let packet = recvmsg(fd, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    // Taken out before anything can fail, so that they are closed then.
    let fds = beside.drain().flat_map(descriptors).collect();
    if packet.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "packet or its fds cut short"));
    }
    Ok((packet.bytes > 0).then_some((packet.bytes, fds)))
}

fn descriptors(message: RecvAncillaryMessage<'_>) -> Vec<OwnedFd> {
    match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let (unix, packets) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(unix, packets, SocketFlags::CLOEXEC, None)?)
}

fn beside(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    new.into()
}
