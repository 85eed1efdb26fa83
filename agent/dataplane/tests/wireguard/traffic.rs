//! What the box and the far end say to each other.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use egress_linux::netns::Netns;

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until it is so, for 10 s.
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    assert!(within(PATIENCE, is_so).is_some(), "not within {PATIENCE:?}: {what}");
}

/// How long it took until it was so; `None` when it was not within the time.
pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > time {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some(start.elapsed())
}

/// Whether a ping of that payload is answered.
pub fn ping(from: &str, to: IpAddr, payload: u16) -> bool {
    let mut ping = Command::new("ip");
    ping.args(["netns", "exec", from, "ping", "-c1", "-W2", "-s", &payload.to_string()]);
    ping.arg(to.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    ping.status().unwrap().success()
}

/// A UDP service that says everything back, until the test ends.
pub fn udp_echo(netns: &Netns, at: SocketAddr) {
    let socket = netns.run(|| UdpSocket::bind(at)).unwrap().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
    });
}

/// A TCP service that says everything back, until the test ends.
pub fn tcp_echo(netns: &Netns, at: SocketAddr) {
    let listener = netns.run(|| TcpListener::bind(at)).unwrap().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut reader, &mut writer);
            });
        }
    });
}

/// A UDP socket in a namespace that waits at most so long for a datagram.
pub fn udp(netns: &Netns, at: IpAddr, timeout: Duration) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind((at, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(timeout)).unwrap();
    socket
}

/// Whether a datagram comes back; others that come before it are late and do not matter.
pub fn says_back(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> bool {
    let mut buffer = vec![0; 65_536];
    let mut hear = || socket.recv_from(&mut buffer).map(|(len, _)| buffer[..len] == *datagram);
    socket.send_to(datagram, to).is_ok()
        && std::iter::from_fn(|| hear().ok()).any(|is_the_same| is_the_same)
}

/// A TCP connection from a namespace.
pub fn tcp(netns: &Netns, to: SocketAddr) -> TcpStream {
    let stream = netns.run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap().unwrap();
    stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
    stream
}

/// Sends so many random bytes through an echo and asserts that the same come back.
pub fn send_through(stream: &TcpStream, len: usize) {
    let bytes: Vec<u8> = (0..len).map(|_| fastrand::u8(..)).collect();
    let mut back = vec![0; len];
    thread::scope(|scope| {
        scope.spawn(|| (&*stream).write_all(&bytes).unwrap());
        (&*stream).read_exact(&mut back).unwrap();
    });
    assert!(bytes == back, "what came back is not what was sent");
}
