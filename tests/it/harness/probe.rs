//! What a container tries to send: one packet or one connection each, carrying a canary.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::dns;
use super::internet::{ECHO, WHO};
use super::lab::{RESOLVER_V4, SERVER_V4, SERVER_V6};
use super::verdict::Canary;

const ICMP_ECHO: u8 = 8;
const ICMPV6_ECHO: u8 = 128;

/// A kind of packet that a container may try to get out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A connection whose first data is the canary.
    Tcp(IpAddr),
    /// The same to a resolver, plain (53) or encrypted (853).
    DnsOverTcp(IpAddr, u16),
    /// A datagram.
    Udp(IpAddr),
    /// An echo request.
    Icmp(IpAddr),
    /// A question for a name that holds the canary, to this resolver.
    Dns(IpAddr),
    /// A datagram to a multicast group.
    Multicast(IpAddr),
    /// An IPv4 packet with a source address of the attacker's own making.
    Spoofed(Ipv4Addr),
    /// A datagram from a socket bound to a device.
    BoundTo(&'static str, IpAddr),
}

impl Probe {
    /// One of each kind in each family.
    pub fn all() -> Vec<Self> {
        let (v4, v6) = (IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6));
        vec![
            Self::Tcp(v4),
            Self::Tcp(v6),
            Self::DnsOverTcp(v4, 53),
            Self::DnsOverTcp(v6, 53),
            Self::DnsOverTcp(v4, 853),
            Self::DnsOverTcp(v6, 853),
            Self::Udp(v4),
            Self::Udp(v6),
            Self::Icmp(v4),
            Self::Icmp(v6),
            Self::Dns(RESOLVER_V4.into()),
            Self::Dns(v4),
            Self::Dns(v6),
            Self::Multicast(Ipv4Addr::new(224, 0, 0, 251).into()),
            Self::Multicast(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb).into()),
            Self::Spoofed(SERVER_V4),
        ]
    }

    /// Tries, from the calling thread's namespace. An error is the kernel's refusal; success says
    /// that the packet has left the system call, not that anybody got it.
    pub fn send(self, canary: &Canary) -> io::Result<()> {
        match self {
            Self::Tcp(to) => tcp(SocketAddr::new(to, ECHO), canary),
            Self::DnsOverTcp(to, port) => tcp(SocketAddr::new(to, port), canary),
            Self::Udp(to) => udp(SocketAddr::new(to, ECHO), canary.bytes()),
            Self::Icmp(to) => icmp(to, canary.bytes()),
            Self::Dns(to) => udp(SocketAddr::new(to, 53), &dns::question(canary.as_str())),
            Self::Multicast(to) => udp(SocketAddr::new(to, 5353), canary.bytes()),
            Self::Spoofed(to) => spoofed(to, canary.bytes()),
            Self::BoundTo(device, to) => bound(device, SocketAddr::new(to, ECHO), canary.bytes()),
        }
    }
}

/// A TCP connection with a time limit on the connection and on each read and write.
pub fn connect(to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What the gateway's web server answers: the caller's address and the gateway's name.
pub fn who_am_i(server: IpAddr, limit: Duration) -> io::Result<String> {
    let mut stream = connect(SocketAddr::new(server, WHO), limit)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: who\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned());
    body.ok_or_else(|| io::Error::other(format!("no body in {reply:?}")))
}

/// Sends a datagram to an echo server and waits for it to come back.
pub fn udp_echo(to: IpAddr, payload: &[u8], limit: Duration) -> io::Result<Duration> {
    let socket = UdpSocket::bind(any_like(to))?;
    socket.connect(SocketAddr::new(to, ECHO))?;
    socket.set_read_timeout(Some(limit))?;
    let start = Instant::now();
    socket.send(payload)?;
    let mut reply = vec![0; 65536];
    let length = socket.recv(&mut reply)?;
    if &reply[..length] != payload {
        return Err(io::Error::other("the echo differs"));
    }
    Ok(start.elapsed())
}

/// Sends an echo request and waits for the reply.
pub fn ping(to: IpAddr, limit: Duration) -> io::Result<Duration> {
    let socket = icmp_socket(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let stamp = super::keys::random_bytes::<16>();
    let start = Instant::now();
    socket.send_to(&echo_request(to, &stamp), &SockAddr::from(SocketAddr::new(to, 0)))?;
    let expected = if to.is_ipv4() { 0 } else { 129 };
    while start.elapsed() < limit {
        let Some(packet) = receive(&socket)? else { continue };
        // Raw IPv4 sockets hand over the IP header too.
        let message = if to.is_ipv4() { packet.get(20..).unwrap_or(&[]) } else { &packet };
        if message.first() == Some(&expected) && message.ends_with(&stamp) {
            return Ok(start.elapsed());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Asks a resolver for a name's IPv4 address and gives back the answer's last four bytes.
pub fn resolve(resolver: IpAddr, name: &str, limit: Duration) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind(any_like(resolver))?;
    socket.connect(SocketAddr::new(resolver, 53))?;
    socket.set_read_timeout(Some(limit))?;
    socket.send(&dns::question(name))?;
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply)?;
    let address = reply[..length].last_chunk::<4>();
    address.map(|bytes| (*bytes).into()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn tcp(to: SocketAddr, canary: &Canary) -> io::Result<()> {
    let mut stream = match connect(to, Duration::from_millis(300)) {
        // The first packet has left; nobody answered.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
        other => other?,
    };
    stream.write_all(canary.bytes())
}

fn udp(to: SocketAddr, payload: &[u8]) -> io::Result<()> {
    UdpSocket::bind(any_like(to.ip()))?.send_to(payload, to).map(|_| ())
}

fn icmp(to: IpAddr, payload: &[u8]) -> io::Result<()> {
    let target = SockAddr::from(SocketAddr::new(to, 0));
    icmp_socket(to)?.send_to(&echo_request(to, payload), &target).map(|_| ())
}

fn bound(device: &str, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.send_to(payload, &SockAddr::from(to)).map(|_| ())
}

fn spoofed(to: Ipv4Addr, payload: &[u8]) -> io::Result<()> {
    let from = Ipv4Addr::new(203, 0, 113, 250);
    let builder = etherparse::PacketBuilder::ipv4(from.octets(), to.octets(), 64).udp(9, ECHO);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).map_err(io::Error::other)?;
    // IPPROTO_RAW: the caller writes the IP header.
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
    socket.send_to(&packet, &SockAddr::from(SocketAddr::new(to.into(), 0))).map(|_| ())
}

fn any_like(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn icmp_socket(to: IpAddr) -> io::Result<Socket> {
    let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    Socket::new(Domain::for_address(SocketAddr::new(to, 0)), Type::RAW, Some(protocol))
}

/// The kernel fills in the checksum of `ICMPv6`.
fn echo_request(to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let kind = if to.is_ipv4() { ICMP_ECHO } else { ICMPV6_ECHO };
    let mut packet = vec![kind, 0, 0, 0, 0x0e, 0x0e, 0, 1];
    packet.extend(payload);
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice")
}

fn receive(socket: &Socket) -> io::Result<Option<Vec<u8>>> {
    let mut reader = socket;
    let mut bytes = vec![0; 2048];
    match reader.read(&mut bytes) {
        Ok(length) => {
            bytes.truncate(length);
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
