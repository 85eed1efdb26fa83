//! The UDP sockets that a tunnel's outer packets go through.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
};

use nix::sys::socket::{setsockopt, sockopt::Mark};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketFlags, SocketType, bind, connect, connect_unspec, getsockname,
        socket_with,
        sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover,
            set_ipv6_mtu_discover, set_ipv6_v6only, set_socket_recv_buffer_size,
            set_socket_recv_buffer_size_force, set_socket_send_buffer_size,
            set_socket_send_buffer_size_force, socket_domain,
        },
    },
};

/// To get a port, when others get theirs at the same time.
const ATTEMPTS: u32 = 16;

/// How a socket is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What the host's routing rules may know its packets by.
    pub mark: Option<u32>,
    /// Bytes to receive into and as many to send from, as far as the system lets.
    pub buffer: usize,
}

/// A non-blocking socket that talks to `peer` and hears nobody else, in the calling thread's
/// namespace. Its packets carry no DF: a path that is too narrow fragments them.
pub fn connected(peer: SocketAddr, options: &Options) -> io::Result<OwnedFd> {
    let family = match peer {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::DGRAM, flags, None)?;
    if let Some(mark) = options.mark {
        setsockopt(&fd, Mark, &mark)?;
    }
    set_buffers(&fd, options.buffer)?;
    match peer {
        SocketAddr::V4(_) => set_ip_mtu_discover(&fd, Ipv4PathMtuDiscovery::DONT)?,
        SocketAddr::V6(_) => {
            set_ipv6_mtu_discover(&fd, Ipv6PathMtuDiscovery::DONT)?;
            set_ipv6_v6only(&fd, true)?;
        }
    }
    own_port(&fd, peer)?;
    connect(&fd, &peer)?;
    Ok(fd)
}

/// The size in bytes, IP header included, that the path to the peer takes as far as is known.
pub fn path_mtu(fd: impl AsFd) -> io::Result<u16> {
    let mtu = match socket_domain(&fd)? {
        AddressFamily::INET6 => ipv6_mtu(&fd)?,
        _ => ip_mtu(&fd)?,
    };
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// Hears everybody from now on, on the same port.
pub fn disconnect(fd: impl AsFd) -> io::Result<()> {
    Ok(connect_unspec(&fd)?)
}

/// Talks to `peer` alone from now on: from the same port, with the source address that leads
/// there now. A peer of the other address family needs another socket.
pub fn reconnect(fd: impl AsFd, peer: SocketAddr) -> io::Result<()> {
    // The source address of a connection stays until it is undone.
    connect_unspec(&fd)?;
    Ok(connect(&fd, &peer)?)
}

/// Beyond the system's maximum where `CAP_NET_ADMIN` allows it.
fn set_buffers(fd: &OwnedFd, bytes: usize) -> io::Result<()> {
    set_socket_recv_buffer_size_force(fd, bytes)
        .or_else(|_| set_socket_recv_buffer_size(fd, bytes))?;
    set_socket_send_buffer_size_force(fd, bytes)
        .or_else(|_| set_socket_send_buffer_size(fd, bytes))?;
    Ok(())
}

/// Binds to a free port so that it stays. One that the kernel chose itself it takes back when the
/// socket is disconnected; asked for by number it remains. In between another may take it.
fn own_port(fd: &OwnedFd, peer: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut attempts = 0;
    loop {
        bind(fd, &SocketAddr::new(any, 0))?;
        let chosen = SocketAddr::try_from(getsockname(fd)?)?;
        connect_unspec(fd)?;
        attempts += 1;
        match bind(fd, &chosen) {
            Err(Errno::ADDRINUSE) if attempts < ATTEMPTS => {}
            result => return Ok(result?),
        }
    }
}
