//! Two forwarders that copy where a data plane would encrypt, and one TCP stream through them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use egress_dataplane::coalesce::{Coalescer, Filled, Joining};
use egress_dataplane::packet::{PADDING, padded_len};
use egress_dataplane::protocol::message_packets;
use egress_dataplane::segment::{Segment, Segments};
use egress_linux::link::{Interface, configure};
use egress_linux::netns::Netns;
use egress_linux::tun::{self, Offload};
use egress_linux::udp_batch::{self, Batch, Message, SEND_MAX};
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

const MTU: u16 = 1420;
const PORT: u16 = 9;
const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
/// As the daemon's default.
const BUFFER: usize = 16 << 20;
const CHUNK: usize = 128 << 10;
/// `WireGuard`'s header and tag.
const AROUND: usize = 16;
/// As a turn of the data plane.
const BUDGET: usize = 512 << 10;
/// Datagrams in one message at most, as the daemon's default.
const BURST: u16 = 64;
const FRAME_MAX: usize = 10 + 65_535 + PADDING;

/// Prints what a gigabyte costs on either side.
pub fn measure() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(|a, b| f64::total_cmp(&(a[0] + a[1]), &(b[0] + b[1])));
    let [up, down, rate] = rounds[ROUNDS / 2];
    println!("forwarder without crypto: up {up:.2}, down {down:.2} CPU-s/GB; {rate:.2} Gbit/s");
}

/// CPU seconds a gigabyte of the sender's forwarder and of the receiver's, and Gbit/s.
fn round() -> [f64; 3] {
    let addresses = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2)];
    let boxes = addresses.map(|address| (Netns::create().unwrap(), address));
    let sockets = sockets();
    let ends = boxes.each_ref().map(|(netns, address)| device(netns, *address));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut forwarders = Vec::new();
        for (device, socket) in ends.iter().zip(&sockets) {
            forwarders.push(scope.spawn(|| Forwarder::new(device, socket).run(&stop)));
        }
        let (bytes, seconds) = stream(&boxes[0].0, &boxes[1].0, addresses[1]);
        stop.store(true, Ordering::Relaxed);
        let mut costs = forwarders.into_iter().map(|one| one.join().unwrap() / bytes * 1e9);
        [costs.next().unwrap(), costs.next().unwrap(), bytes * 8.0 / 1e9 / seconds]
    })
}

fn sockets() -> [UdpSocket; 2] {
    let sockets = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    for (socket, other) in [(&sockets[0], &sockets[1]), (&sockets[1], &sockets[0])] {
        socket.connect(other.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        sockopt::set_socket_recv_buffer_size_force(socket, BUFFER).unwrap();
        sockopt::set_socket_send_buffer_size_force(socket, BUFFER).unwrap();
        udp_batch::enable_gro(socket).unwrap();
    }
    sockets
}

/// Datagrams of full size in one message.
fn burst() -> u16 {
    message_packets(MTU, BURST)
}

fn device(netns: &Netns, address: Ipv4Addr) -> OwnedFd {
    let make = || {
        let device = tun::create("eg0", MTU, Offload::VnetHeader { segments: burst() }).unwrap();
        let addresses = vec![format!("{address}/24").parse().unwrap()];
        let wanted = Interface { addresses, mtu: MTU, routes: vec![] };
        configure(device.index, &wanted).unwrap();
        device.fd
    };
    netns.run(make).unwrap()
}

/// Sends for a while; gives the bytes that arrived and the seconds it took.
fn stream(from: &Netns, to: &Netns, address: Ipv4Addr) -> (f64, f64) {
    let to_address = SocketAddr::from((address, PORT));
    let listener = to.run(|| TcpListener::bind(to_address).unwrap()).unwrap();
    thread::scope(|scope| {
        let receiving = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut buffer, mut bytes) = (vec![0; CHUNK], 0.0);
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                bytes += f64::from(u32::try_from(length).unwrap());
            }
            bytes
        });
        let connect = || TcpStream::connect_timeout(&to_address, TIME).unwrap();
        let mut stream = from.run(connect).unwrap();
        sockopt::set_tcp_congestion(&stream, "cubic").unwrap();
        let (start, chunk) = (Instant::now(), vec![0x5a; CHUNK]);
        while start.elapsed() < TIME {
            stream.write_all(&chunk).unwrap();
        }
        drop(stream);
        (receiving.join().unwrap(), start.elapsed().as_secs_f64())
    })
}

/// A device, a socket, and what lies between.
struct Forwarder<'a> {
    device: &'a OwnedFd,
    socket: &'a UdpSocket,
    frame: Vec<u8>,
    out: Vec<u8>,
    /// Where each message ends, how long its datagrams are, and whether it is at its end.
    messages: Vec<(usize, usize, bool)>,
    batch: Batch,
    coalescer: Coalescer,
}

impl<'a> Forwarder<'a> {
    fn new(device: &'a OwnedFd, socket: &'a UdpSocket) -> Self {
        Self {
            device,
            socket,
            frame: vec![0; FRAME_MAX],
            out: Vec::with_capacity(2 * BUDGET),
            messages: Vec::with_capacity(SEND_MAX),
            batch: Batch::new(),
            coalescer: Coalescer::new(),
        }
    }

    /// Forwards until told to stop; gives the CPU seconds of this thread.
    fn run(mut self, stop: &AtomicBool) -> f64 {
        let beat = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !stop.load(Ordering::Relaxed) {
            let fds = [self.device.as_fd(), self.socket.as_fd()];
            let mut ready = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let _ = poll(&mut ready, Some(&beat));
            self.up();
            self.down();
        }
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
    }

    fn up(&mut self) {
        while self.out.len() < BUDGET {
            let Ok(len) = rustix::io::read(self.device, &mut self.frame) else { break };
            let mut frame = std::mem::take(&mut self.frame);
            let mut segments = Segments::of(&mut frame, len).unwrap();
            while let Some(segment) = segments.next() {
                self.push(segment);
            }
            self.frame = frame;
        }
        self.flush();
    }

    fn push(&mut self, mut segment: Segment<'_>) {
        let start = self.out.len();
        let padded = padded_len(segment.packet().len(), usize::from(MTU));
        self.out.extend_from_slice(&[0; AROUND]);
        self.out.extend_from_slice(segment.padded_to(padded));
        self.out.extend_from_slice(&[0; AROUND]);
        let (end, size) = (self.out.len(), self.out.len() - start);
        let before = self.messages.len().checked_sub(2).map_or(0, |index| self.messages[index].0);
        match self.messages.last_mut() {
            Some((last, segment, closed))
                if !*closed
                    && size <= *segment
                    && end - before <= usize::from(burst()) * *segment =>
            {
                *closed = size < *segment;
                *last = end;
            }
            Some(_) | None => self.messages.push((end, size, false)),
        }
        if self.messages.len() == SEND_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut start = 0;
        let messages = self.messages.iter().map(|(end, size, _)| {
            let bytes = &self.out[start..*end];
            start = *end;
            let segment = u16::try_from(*size).ok().filter(|_| bytes.len() > *size);
            Message { bytes, segment }
        });
        let messages: Vec<_> = messages.collect();
        let mut sent = 0;
        while let Some(rest) = messages.get(sent..).filter(|rest| !rest.is_empty()) {
            // What the socket does not take is lost, as it is in a data plane.
            let Ok(count) = udp_batch::send(self.socket, rest.iter().copied()) else { break };
            sent += count;
        }
        self.messages.clear();
        self.out.clear();
    }

    fn down(&mut self) {
        let Self { device, socket, batch, coalescer, .. } = self;
        let joining = Joining::TcpAndUdp;
        while udp_batch::receive(*socket, batch).is_ok() {
            for datagram in batch.datagrams() {
                let packet = &datagram[AROUND..datagram.len() - AROUND];
                // Of IPv4, which is all there is; IPv6's own questions are not forwarded.
                let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                if packet[0] != 0x45 || len > packet.len() {
                    continue;
                }
                if !coalescer.is_open(packet.len()) {
                    hand_over(device, coalescer);
                }
                let write = |room: &mut [u8]| {
                    room[..len].copy_from_slice(&packet[..len]);
                    Some(len)
                };
                if coalescer.fill(joining, write) == Filled::Waits {
                    hand_over(device, coalescer);
                    coalescer.take_waiting(joining);
                }
            }
            hand_over(device, coalescer);
        }
    }
}

fn hand_over(device: &OwnedFd, coalescer: &mut Coalescer) {
    if let Some((frame, _)) = coalescer.finish() {
        // A full queue loses it.
        let _ = rustix::io::write(device, frame);
    }
}
