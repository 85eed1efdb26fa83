//! Control's side of the protocol, and the data plane as a process.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use egress_dataplane::protocol::{
    Command as Ask, Event, Message, PACKET_MAX, Reply, Request, TunnelConfig, TunnelId, TunnelStats,
};
use egress_dataplane::{Options, run};
use egress_linux::{handover, process, seqpacket, udp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::traffic::within;

/// The argument that makes this binary the data plane.
pub const DATA_PLANE: &str = "be-the-data-plane";
/// More than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// A user without any privilege.
pub const NOBODY: u32 = 65_534;

pub fn be_the_data_plane() -> ExitCode {
    let control = handover::take_stdin().unwrap();
    run(control, Options { workers: 2 }).unwrap();
    ExitCode::SUCCESS
}

/// A data-plane process without privileges; dropped, it is killed.
pub struct DataPlane {
    pub process: Child,
    pub path: PathBuf,
}

impl DataPlane {
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/run/data-plane-{number}"));
        let (ours, theirs) = seqpacket::pair().unwrap();
        // The binary may stand where nobody else may look.
        let mut command = Command::new("/proc/self/exe");
        command.arg(DATA_PLANE).stdin(Stdio::from(theirs));
        let process = process::spawn_as(command, NOBODY, NOBODY).unwrap();
        Control::new(ours).order(Ask::Serve, &[&seqpacket::bind(&path).unwrap()]);
        Self { process, path }
    }

    /// A new connection, which is control from now on.
    pub fn control(&self) -> Control {
        Control::new(seqpacket::connect(&self.path).unwrap())
    }

    /// How it ended, when it has within the time.
    pub fn ended(&mut self, time: Duration) -> Option<bool> {
        within(time, || self.process.try_wait().unwrap().is_some())?;
        Some(self.process.wait().unwrap().success())
    }

    /// CPU time it has used, in clock ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection to it.
pub struct Control {
    pub fd: OwnedFd,
    number: u64,
    news: VecDeque<Event>,
}

impl Control {
    fn new(fd: OwnedFd) -> Self {
        Self { fd, number: 0, news: VecDeque::new() }
    }

    /// Sends a request with descriptors and waits for its first answer.
    pub fn ask(&mut self, command: Ask, fds: &[&OwnedFd]) -> (Reply, Vec<OwnedFd>) {
        self.number += 1;
        let request = Request { number: self.number, command };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        seqpacket::send(&self.fd, &postcard::to_stdvec(&request).unwrap(), &fds).unwrap();
        self.answer()
    }

    /// Sends requests until the data plane takes no more, and says how many.
    pub fn ask_without_reading(&mut self, command: impl Fn() -> Ask) -> u64 {
        rustix::io::ioctl_fionbio(&self.fd, true).unwrap();
        let first = self.number;
        loop {
            let request = Request { number: self.number + 1, command: command() };
            let bytes = postcard::to_stdvec(&request).unwrap();
            let sent = within(Duration::from_millis(300), || {
                seqpacket::send(&self.fd, &bytes, &[]).is_ok()
            });
            if sent.is_none() {
                break;
            }
            self.number += 1;
        }
        rustix::io::ioctl_fionbio(&self.fd, false).unwrap();
        self.number - first
    }

    /// How many of so many answers come, in order and with descriptors.
    pub fn answers(&mut self, expected: u64) -> u64 {
        let first = self.number - expected;
        let mut count = 0;
        while count < expected {
            match self.hear(PATIENCE).expect("an answer in time") {
                (Message::Event(event), _) => self.news.push_back(event),
                (Message::Reply { number, .. }, fds) => {
                    count += 1;
                    assert_eq!((number, fds.len()), (first + count, 2));
                }
            }
        }
        count
    }

    /// The next answer to the last request.
    fn answer(&mut self) -> (Reply, Vec<OwnedFd>) {
        loop {
            match self.hear(PATIENCE).expect("an answer in time") {
                (Message::Event(event), _) => self.news.push_back(event),
                (Message::Reply { number, reply }, fds) => {
                    assert_eq!(number, self.number);
                    return (reply, fds);
                }
            }
        }
    }

    /// Asks for what has to be done.
    pub fn order(&mut self, command: Ask, fds: &[&OwnedFd]) {
        assert_eq!(self.ask(command, fds).0, Reply::Done);
    }

    /// Says hello and gives the tunnels that are carried.
    pub fn hello(&mut self) -> Vec<TunnelId> {
        let reply = self.ask(Ask::Hello, &[]).0;
        let Reply::Hello { tunnels, .. } = reply else { panic!("{reply:?}") };
        tunnels
    }

    /// Says hello and gives the devices that are kept.
    pub fn kept(&mut self) -> Vec<TunnelId> {
        let reply = self.ask(Ask::Hello, &[]).0;
        let Reply::Hello { kept, .. } = reply else { panic!("{reply:?}") };
        kept
    }

    /// Adds a tunnel with its device and sockets.
    pub fn add(&mut self, config: TunnelConfig, fds: &[&OwnedFd]) {
        self.order(Ask::Add(config), fds);
    }

    /// Why a request is refused.
    pub fn refusal(&mut self, command: Ask, fds: &[&OwnedFd]) -> String {
        let reply = self.ask(command, fds).0;
        let Reply::Failed { reason } = reply else { panic!("{reply:?}") };
        reason
    }

    /// The counts of the first tunnel.
    pub fn stats(&mut self) -> TunnelStats {
        let reply = self.ask(Ask::Stats, &[]).0;
        let Reply::Stats { mut tunnels, more: false } = reply else { panic!("{reply:?}") };
        tunnels.remove(0)
    }

    /// The time until there is news of that kind; news before it is forgotten.
    pub fn await_news(&mut self, time: Duration, wanted: impl Fn(&Event) -> bool) -> Duration {
        let start = Instant::now();
        while start.elapsed() < time {
            let left = time.saturating_sub(start.elapsed());
            let event = self.news.pop_front().or_else(|| match self.hear(left)? {
                (Message::Event(event), _) => Some(event),
                (Message::Reply { .. }, _) => panic!("an answer that nobody asked for"),
            });
            if event.is_some_and(|event| wanted(&event)) {
                return start.elapsed();
            }
        }
        panic!("no such news within {time:?}");
    }

    /// Whether the other side closes the connection within 5 s.
    pub fn is_closed(&mut self) -> bool {
        self.hear(Duration::from_secs(5)).is_none() && readable(&self.fd, Duration::ZERO)
    }

    fn hear(&mut self, within: Duration) -> Option<(Message, Vec<OwnedFd>)> {
        if !readable(&self.fd, within) {
            return None;
        }
        let mut buffer = vec![0; PACKET_MAX];
        let (len, fds) = seqpacket::recv(&self.fd, &mut buffer).ok()??;
        Some((postcard::from_bytes(&buffer[..len]).unwrap(), fds))
    }
}

fn readable(fd: &OwnedFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(within).unwrap())).unwrap() == 1
}

/// A socket on the host, connected to a far end.
pub fn socket(to: SocketAddr) -> OwnedFd {
    udp::connected(to, &udp::Options { mark: None, buffer: 1 << 20 }).unwrap()
}
