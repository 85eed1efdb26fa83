//! A peer's UDP socket: one datagram a call, connected or listening to any source.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use egress_linux::udp;
use rustix::io::{self, Errno};
use rustix::net::{self, RecvFlags, SendFlags, SocketType, sockopt};

/// The socket and where its datagrams go.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    remote: SocketAddr,
    reach: Reach,
}

/// Whom the kernel lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The remote only.
    Connected,
    /// Everybody.
    Listening,
}

impl Socket {
    /// Takes a UDP socket that is connected to `remote`. Fails for any other kind of descriptor.
    pub fn new(fd: OwnedFd, remote: SocketAddr) -> io::Result<Self> {
        if sockopt::socket_type(&fd)? != SocketType::DGRAM {
            return Err(Errno::PROTOTYPE);
        }
        Ok(Self { fd, remote, reach: Reach::Connected })
    }

    /// Where datagrams go.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Receives one datagram and its source; `None` when there is none. An error is the fate of an
    /// earlier datagram (ICMP) and does not come again.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        let received = io::retry_on_intr(|| self.try_receive(buffer));
        match received {
            Ok(received) => Ok(Some(received)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.reach {
            Reach::Connected => {
                let (len, _) = net::recv(&self.fd, buffer, RecvFlags::DONTWAIT)?;
                Ok((len, self.remote))
            }
            Reach::Listening => {
                let (len, _, from) = net::recvfrom(&self.fd, buffer, RecvFlags::DONTWAIT)?;
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                Ok((len, from.unwrap_or(self.remote)))
            }
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
        match self.reach {
            Reach::Connected => {
                io::retry_on_intr(|| net::send(&self.fd, datagram, FLAGS)).map(drop)
            }
            Reach::Listening => self.send_to(datagram, self.remote),
        }
    }

    /// Sends one datagram back to where one came from, without settling on it.
    pub fn reply(&self, datagram: &[u8], from: SocketAddr) -> io::Result<()> {
        match self.reach {
            Reach::Connected => self.send(datagram),
            Reach::Listening => self.send_to(datagram, from),
        }
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        io::retry_on_intr(|| net::sendto(&self.fd, datagram, FLAGS, &to)).map(drop)
    }

    /// Lets any source's datagrams through, on the same port.
    pub fn listen(&mut self) -> std::io::Result<()> {
        if self.reach == Reach::Listening {
            return Ok(());
        }
        udp::disconnect(&self.fd)?;
        self.reach = Reach::Listening;
        Ok(())
    }

    /// An authentic datagram came from there: hear nobody else from now on. True when the remote
    /// is another one than before. Does nothing when the socket is connected.
    pub fn settle(&mut self, from: SocketAddr) -> std::io::Result<bool> {
        if self.reach == Reach::Connected {
            return Ok(false);
        }
        udp::reconnect(&self.fd, from)?;
        self.reach = Reach::Connected;
        let moved = from != self.remote;
        self.remote = from;
        Ok(moved)
    }

    /// A duplicate of the descriptor.
    pub fn duplicate(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use super::*;

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    }

    /// A socket whose port the kernel chose, connected to `remote`.
    fn connected(remote: &UdpSocket) -> (Socket, SocketAddr) {
        let remote = remote.local_addr().unwrap();
        let local = bound(if remote.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        local.connect(remote).unwrap();
        let address = local.local_addr().unwrap();
        (Socket::new(local.into(), remote).unwrap(), address)
    }

    fn hear(socket: &Socket) -> Option<SocketAddr> {
        std::thread::sleep(Duration::from_millis(20));
        socket.receive(&mut [0; 16]).unwrap().map(|(_, from)| from)
    }

    fn a_listening_socket_hears_all_and_a_settled_one_its_remote(any: &str) {
        let (first, second) = (bound(any), bound(any));
        let (mut socket, address) = connected(&first);
        second.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), None);

        socket.listen().unwrap();
        second.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), Some(second.local_addr().unwrap()));
        socket.send(b"still to the first").unwrap();
        assert_eq!(first.recv_from(&mut [0; 32]).unwrap().1.port(), address.port());

        assert!(socket.settle(second.local_addr().unwrap()).unwrap());
        first.send_to(b"x", address).unwrap();
        assert_eq!(hear(&socket), None);
        socket.send(b"now to the second").unwrap();
        assert_eq!(second.recv_from(&mut [0; 32]).unwrap().1, address);
    }

    #[test]
    fn a_listening_socket_keeps_its_port_hears_all_and_settles() {
        a_listening_socket_hears_all_and_a_settled_one_its_remote("127.0.0.1:0");
        a_listening_socket_hears_all_and_a_settled_one_its_remote("[::1]:0");
    }

    #[test]
    fn a_port_that_nobody_serves_is_an_error_once_and_the_next_datagram_is_sent() {
        let remote = bound("127.0.0.1:0");
        let (socket, _) = connected(&remote);
        let port = remote.local_addr().unwrap();
        drop(remote);
        socket.send(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let remote = UdpSocket::bind(port).unwrap();
        remote.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.send(b"y").unwrap();
        assert_eq!(remote.recv(&mut [0; 4]).unwrap(), 1);
        assert_eq!(socket.receive(&mut [0; 4]).unwrap(), None);
    }

    #[test]
    fn only_a_datagram_socket_is_taken() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        assert!(Socket::new(file.into(), remote).is_err());
    }
}
