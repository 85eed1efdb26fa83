//! An ear on the outside of the host's uplink.

use std::io::IoSliceMut;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::namespace::Namespace;
use super::verdict::{Allowed, Canary, offence};
use super::wait;

/// `PACKET_OUTGOING`: sent by the namespace that listens.
const OUTGOING: u8 = 4;
const BUFFER_BYTES: usize = 64 << 20;
/// Where markers go: the router's own address, port 9 (discard).
const MARKER_TARGET: (&str, u16) = ("192.0.2.1", 9);

/// One Ethernet frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// From the destination's address on.
    pub bytes: Vec<u8>,
    /// Sent by the host, not to it.
    pub from_host: bool,
}

/// Hears every frame on one interface until it is dropped.
pub struct Sniffer {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Stands in every frame that the sniffer itself had sent.
    marker: Canary,
    markers_sent: AtomicUsize,
}

impl Sniffer {
    /// Listens on `interface` in `namespace` from now on.
    pub fn start(namespace: &Namespace, interface: &str) -> Self {
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let ear = namespace.run(|| Ear::open(interface));
        let thread = thread::spawn({
            let (frames, stop) = (Arc::clone(&frames), Arc::clone(&stop));
            move || ear.listen(&frames, &stop)
        });
        let (marker, markers_sent) = (Canary::random(), AtomicUsize::new(0));
        Self { frames, stop, thread: Some(thread), marker, markers_sent }
    }

    /// All that was heard until now: a marker sent by the calling thread's host has been heard
    /// last, so a deaf sniffer fails the test instead of passing it.
    pub fn heard(&self) -> Vec<Frame> {
        let number = self.markers_sent.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}.", self.marker.as_str()).into_bytes();
        let sender = UdpSocket::bind("0.0.0.0:0").expect("bind on the host");
        sender.send_to(&mark, MARKER_TARGET).expect("send a marker");
        wait::until("the sniffer hears a marker", Duration::from_secs(20), || {
            let alive = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(alive, "the sniffer has lost frames and stopped");
            self.lock().iter().rev().any(|frame| frame.bytes.ends_with(&mark))
        });
        let frames = self.lock();
        frames.iter().filter(|frame| !self.marker.is_in(&frame.bytes)).cloned().collect()
    }

    /// A line for each frame that should not have been on the wire.
    pub fn offences(&self, allowed: &Allowed, canary: &Canary) -> Vec<String> {
        self.heard().iter().filter_map(|frame| offence(frame, allowed, canary)).collect()
    }

    /// Fails the test when anything was on the wire that should not have been.
    #[track_caller]
    pub fn assert_clean(&self, state: &str, allowed: &Allowed, canary: &Canary) {
        let offences = self.offences(allowed, canary);
        let count = offences.len();
        let first = offences.into_iter().take(20).collect::<Vec<_>>().join("\n");
        assert_eq!(count, 0, "{count} packets outside, state {state}:\n{first}");
    }

    /// How many frames the host has sent to this address.
    pub fn sent_to(&self, address: IpAddr) -> usize {
        let heard = self.heard();
        heard.iter().filter(|f| f.from_host && super::verdict::goes_to(f, address)).count()
    }

    /// Forgets what was heard.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Frame>> {
        self.frames.lock().expect("the sniffer does not panic with the lock")
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic was told by the thread and by `heard` already.
            let _ = thread.join();
        }
    }
}

struct Ear {
    socket: OwnedFd,
    interface: usize,
}

impl Ear {
    fn open(interface: &str) -> Self {
        let interface = if_nametoindex(interface).expect("the sniffer's interface exists");
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .expect("open a packet socket");
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).expect("size a packet socket");
        setsockopt(&socket, sockopt::RxqOvfl, &1).expect("count lost frames");
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20))
            .expect("bound the sniffer's wait");
        Self { socket, interface: interface as usize }
    }

    fn listen(&self, frames: &Mutex<Vec<Frame>>, stop: &AtomicBool) {
        let mut buffer = vec![0; 1 << 17];
        while !stop.load(Ordering::Relaxed) {
            if let Some(frame) = self.next(&mut buffer) {
                frames.lock().expect("no reader panics with the lock").push(frame);
            }
        }
    }

    fn next(&self, buffer: &mut [u8]) -> Option<Frame> {
        let mut control = cmsg_space!(u32);
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::empty();
        let message = match recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            Err(error) => panic!("the sniffer cannot hear: {error}"),
        };
        for control in message.cmsgs().expect("the control buffer is large enough") {
            if let ControlMessageOwned::RxqOvfl(lost) = control {
                assert_eq!(lost, 0, "the sniffer has lost frames");
            }
        }
        let address = message.address.expect("a frame has a link address");
        let (length, from_host) = (message.bytes, address.pkttype() != OUTGOING);
        let ours = address.ifindex() == self.interface;
        ours.then(|| Frame { bytes: buffer[..length].to_vec(), from_host })
    }
}
