//! A peer's UDP socket: datagrams to the remote, and from it or, while it listens, from anybody.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use egress_linux::udp;
use egress_linux::udp_batch::{self, Batch, Message};
use rustix::io::{self, Errno};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// The connected socket and where its datagrams go.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    remote: SocketAddr,
    /// Not while there is no way to the remote.
    connected: bool,
    /// Hears everybody else on the same port. An IPv6 socket that was connected once never hears
    /// others again, disconnected or not: the kernel keeps the remote's address.
    ear: Option<OwnedFd>,
}

impl Socket {
    /// Takes a UDP socket that is connected to `remote`. Fails for any other kind of descriptor.
    pub fn new(fd: OwnedFd, remote: SocketAddr) -> io::Result<Self> {
        if sockopt::socket_type(&fd)? != SocketType::DGRAM {
            return Err(Errno::PROTOTYPE);
        }
        Ok(Self { fd, remote, connected: true, ear: None })
    }

    /// Where datagrams go.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// What has to be watched besides the socket itself while it listens. It closes when that ends.
    pub fn ear(&self) -> Option<BorrowedFd<'_>> {
        self.ear.as_ref().map(AsFd::as_fd)
    }

    /// Lets the kernel join what the remote sends, if it can.
    pub fn receive_joined(&self) {
        // Without it each datagram comes alone, which is only slower.
        let _ = udp_batch::enable_gro(&self.fd);
    }

    /// Receives datagrams and their source; `None` when there are none. An error is the fate of an
    /// earlier datagram (ICMP) and does not come again.
    pub fn receive(&self, batch: &mut Batch) -> std::io::Result<Option<SocketAddr>> {
        match (udp_batch::receive(&self.fd, batch), &self.ear) {
            (Ok(()), _) => Ok(Some(self.remote)),
            (Err(error), ear) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ear.as_ref().map_or(Ok(None), |ear| receive_from(ear, batch))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Sends messages to the remote, as many as it can, and gives their number, at least 1. An
    /// error is the first one's.
    pub fn send_batch<'a>(
        &self,
        messages: impl Iterator<Item = Message<'a>> + Clone,
    ) -> std::io::Result<usize> {
        match udp_batch::send(&self.fd, messages.clone()) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(error),
            // The kernel tells an earlier datagram's fate once, instead of sending this one.
            Err(_) => udp_batch::send(&self.fd, messages),
        }
    }

    /// Sends one datagram to the remote.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.try_send(datagram) {
            Ok(()) => Ok(()),
            Err(Errno::AGAIN) => Err(Errno::AGAIN),
            // The kernel tells an earlier datagram's fate once, instead of sending this one.
            Err(_) => self.try_send(datagram),
        }
    }

    fn try_send(&self, datagram: &[u8]) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        io::retry_on_intr(|| net::send(&self.fd, datagram, flags)).map(drop)
    }

    /// Hears anybody from now on, on the port it has; and sends from the address that leads to the
    /// remote now, since the host may have another one than before.
    pub fn listen(&mut self) -> io::Result<()> {
        // Where no way leads now one may lead the next time.
        self.connected = udp::reconnect(&self.fd, self.remote).is_ok();
        if self.ear.is_none() {
            self.ear = Some(self.open_ear()?);
        }
        Ok(())
    }

    fn open_ear(&self) -> io::Result<OwnedFd> {
        let port = SocketAddr::try_from(net::getsockname(&self.fd)?)?.port();
        let (family, any) = match self.remote {
            SocketAddr::V4(_) => (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let ear = net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        if self.remote.is_ipv6() {
            sockopt::set_ipv6_v6only(&ear, true)?;
        }
        // Both have to agree to share the port. The remote's datagrams still come to the one that
        // is connected to it.
        sockopt::set_socket_reuseaddr(&self.fd, true)?;
        sockopt::set_socket_reuseaddr(&ear, true)?;
        let bound = net::bind(&ear, &SocketAddr::new(any, port));
        sockopt::set_socket_reuseaddr(&self.fd, false)?;
        bound.map(|()| ear)
    }

    /// An authentic datagram came from there: hears nobody else from now on. True when the remote
    /// is another one than before. Does nothing when it does not listen, and goes on listening when
    /// no way leads there.
    pub fn settle(&mut self, from: SocketAddr) -> std::io::Result<bool> {
        if self.ear.is_none() {
            return Ok(false);
        }
        let moved = from != self.remote;
        if moved || !self.connected {
            if let Err(error) = udp::reconnect(&self.fd, from) {
                self.connected = udp::reconnect(&self.fd, self.remote).is_ok();
                return Err(error);
            }
            (self.connected, self.remote) = (true, from);
        }
        self.ear = None;
        Ok(moved)
    }

    /// A duplicate of the descriptor.
    pub fn duplicate(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

fn receive_from(ear: &OwnedFd, batch: &mut Batch) -> std::io::Result<Option<SocketAddr>> {
    let mut source = None;
    let filled = batch.fill_with(|buffer| {
        let received = io::retry_on_intr(|| net::recvfrom(ear, &mut *buffer, RecvFlags::DONTWAIT));
        let (len, _, from) = received?;
        source = from;
        Ok(len)
    });
    match filled {
        Ok(()) => Ok(source.map(SocketAddr::try_from).transpose()?),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    }

    fn connected(remote: &UdpSocket) -> (Socket, SocketAddr) {
        let remote = remote.local_addr().unwrap();
        let options = udp::Options { mark: None, buffer: 4096 };
        let socket = Socket::new(udp::connected(remote, &options).unwrap(), remote).unwrap();
        let local = SocketAddr::try_from(net::getsockname(&socket).unwrap()).unwrap();
        (socket, local)
    }

    fn hear(socket: &Socket) -> Option<SocketAddr> {
        std::thread::sleep(Duration::from_millis(20));
        socket.receive(&mut Batch::new()).unwrap()
    }

    fn it_hears_all_while_it_listens_then_one(any: &str, other: &str) {
        let (first, second) = (bound(any), bound(other));
        let (mut socket, address) = connected(&first);
        let (at_first, at_second) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        second.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), None);

        socket.listen().unwrap();
        second.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), Some(at_second));
        first.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), Some(at_first));
        socket.send(b"still to the first").unwrap();
        assert_eq!(first.recv_from(&mut [0; 32]).unwrap().1, address);

        assert!(socket.settle(at_second).unwrap());
        first.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), None);
        socket.send(b"now to the second").unwrap();
        assert_eq!(second.recv_from(&mut [0; 32]).unwrap().1.port(), address.port());
        second.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), Some(at_second));
    }

    #[test]
    fn a_socket_hears_all_while_it_listens_then_the_one_it_settles_on() {
        it_hears_all_while_it_listens_then_one("127.0.0.1:0", "127.0.0.2:0");
        it_hears_all_while_it_listens_then_one("[::1]:0", "[::1]:0");
    }

    #[test]
    fn a_source_to_which_no_way_leads_changes_nothing() {
        let remote = bound("127.0.0.1:0");
        let (mut socket, address) = connected(&remote);
        socket.listen().unwrap();
        // A broadcast address is none that a socket connects to unasked.
        assert!(socket.settle((Ipv4Addr::BROADCAST, 9).into()).is_err());
        assert!(socket.ear().is_some());
        socket.send(b"still there").unwrap();
        assert_eq!(remote.recv_from(&mut [0; 32]).unwrap().1, address);
        let at_remote = remote.local_addr().unwrap();
        assert!(!socket.settle(at_remote).unwrap());
        assert!(socket.ear().is_none());
    }

    #[test]
    fn a_port_that_nobody_serves_is_an_error_once_and_the_next_datagram_is_sent() {
        let remote = bound("127.0.0.1:0");
        let (socket, _) = connected(&remote);
        let port = remote.local_addr().unwrap();
        drop(remote);
        socket.send(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let remote = bound(&port.to_string());
        socket.send(b"y").unwrap();
        assert_eq!(remote.recv(&mut [0; 4]).unwrap(), 1);
        assert_eq!(socket.receive(&mut Batch::new()).unwrap(), None);
    }

    #[test]
    fn only_a_datagram_socket_is_taken() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        assert!(Socket::new(file.into(), remote).is_err());
    }
}
