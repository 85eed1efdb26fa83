//! Callers who take all that they can get of the API.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::set_thread_res_uid;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

const LAUNCHER: u32 = 61_100;
const OPS: u32 = 61_101;
const PLUGIN: u32 = 61_102;
const STRANGER: u32 = 61_103;

/// Who takes what.
const CALLERS: [(u32, Greed); 10] = [
    (LAUNCHER, Greed::Connections),
    (LAUNCHER, Greed::Heads),
    (LAUNCHER, Greed::Bodies),
    (LAUNCHER, Greed::Attaches),
    (LAUNCHER, Greed::Events),
    (OPS, Greed::Replies),
    (OPS, Greed::Events),
    (PLUGIN, Greed::LargeBodies),
    (PLUGIN, Greed::SlowBodies),
    (STRANGER, Greed::Connections),
];

/// More connections than any caller gets.
const HELD: usize = 1_100;
/// How long one may keep us from the next.
const PATIENCE: Duration = Duration::from_millis(100);

/// The roles of greedy callers, as lines of `agent.toml`. Root stays admin.
pub fn config() -> String {
    format!(
        "[api]\ngroup = \"0\"\n[roles.launcher]\nusers = [{LAUNCHER}]\n\
         [roles.ops]\nusers = [{OPS}]\n[[roles.plugin]]\nusers = [{PLUGIN}]\n\
         [log]\nlevel = \"warn\"\n"
    )
}

/// A catalog whose list is worth taking.
pub fn catalog(gateways: usize) -> Value {
    let gateways: Vec<_> = (0..gateways)
        .map(|n| {
            json!({"name": format!("gateway-{n}"), "provider": "p", "country": "Sweden",
                "city": "Stockholm", "config": "[Interface]\n[Peer]\nEndpoint = 192.0.2.1:51820\n\
                PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\nAllowedIPs = 0.0.0.0/0\n"})
        })
        .collect();
    json!({"provider": [{"name": "p", "type": "wireguard"}], "gateway": gateways})
}

/// What somebody takes as much of as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greed {
    /// Connections that say nothing.
    Connections,
    /// Heads that do not end.
    Heads,
    /// Bodies of 1 MiB without their last byte.
    Bodies,
    /// Bodies of 64 MiB, one after the other.
    LargeBodies,
    /// Bodies of 64 MiB that trickle.
    SlowBodies,
    /// Attaches that will be refused, as fast as they go.
    Attaches,
    /// Streams of events that nobody reads.
    Events,
    /// Lists that nobody reads.
    Replies,
}

/// Greedy callers at work, until dropped.
pub struct Greedy {
    stop: Arc<AtomicBool>,
    /// Connections that they were given.
    pub opened: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Greedy {
    /// Starts them all. The agent must have been started with [`config`].
    pub fn start(socket: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let opened = Arc::new(AtomicU64::new(0));
        let callers = CALLERS.map(|(user, greed)| {
            let (socket, stop, opened) = (socket.to_owned(), stop.clone(), opened.clone());
            thread::spawn(move || {
                // The thread alone: the kernel tells the agent whose it is.
                let uid = rustix::thread::Uid::from_raw(user);
                set_thread_res_uid(uid, uid, uid).expect("become another user");
                take_all(greed, &socket, &stop, &opened);
            })
        });
        Self { stop, opened, callers: callers.into() }
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            let ended = caller.join();
            assert!(ended.is_ok() || thread::panicking(), "a greedy caller broke off");
        }
    }
}

fn take_all(greed: Greed, socket: &Path, stop: &AtomicBool, opened: &AtomicU64) {
    let mut held = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(mut stream) = connect(socket) else { continue };
        opened.fetch_add(1, Ordering::Relaxed);
        // What the agent does not take any more, it does not take.
        let _ = greed.say(&mut stream, stop);
        held.push_back(stream);
        if held.len() > HELD {
            held.pop_front();
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn connect(path: &Path) -> Option<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.connect(&SockAddr::unix(path).ok()?).ok()?;
    Some(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

impl Greed {
    fn say(self, stream: &mut UnixStream, stop: &AtomicBool) -> std::io::Result<()> {
        const APPLY: &str =
            "PUT /v1/providers/018f0000-0000-7000-8000-000000000001/managed-gateways";
        match self {
            Self::Connections => Ok(()),
            Self::Heads => {
                let filler = "x".repeat(31 << 10);
                write!(stream, "GET /v1/sessions HTTP/1.1\r\nhost: x\r\nx: {filler}")
            }
            Self::Bodies => {
                head(stream, "POST /v1/sessions", 1 << 20)?;
                stream.write_all(&vec![b' '; (1 << 20) - 1])
            }
            Self::LargeBodies => {
                head(stream, APPLY, 64 << 20)?;
                let piece = vec![b' '; 1 << 20];
                for _ in 0..64 {
                    stream.write_all(&piece)?;
                }
                stream.read_exact(&mut [0])
            }
            Self::SlowBodies => {
                head(stream, APPLY, 64 << 20)?;
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(&vec![b' '; 30_000])?;
                    thread::sleep(PATIENCE);
                }
                Ok(())
            }
            Self::Attaches => {
                for n in 0..20 {
                    let body = format!(
                        r#"{{"session_id": "greedy-{n}", "netns": {{"path": "/run/netns/none"}},
                            "subject": {{"user": "u"}}, "gateway": null}}"#
                    );
                    head(stream, "POST /v1/sessions", body.len())?;
                    stream.write_all(body.as_bytes())?;
                }
                stream.read_exact(&mut [0; 4_096])
            }
            Self::Events => write!(stream, "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n"),
            Self::Replies => {
                let list = "GET /v1/gateways HTTP/1.1\r\nhost: x\r\n\r\n";
                stream.write_all(list.repeat(50).as_bytes())
            }
        }
    }
}

fn head(stream: &mut UnixStream, call: &str, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "{call} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}
