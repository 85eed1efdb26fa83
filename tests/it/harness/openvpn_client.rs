//! The agent's OpenVPN tunnels without the rest of the agent: one host, one device a tunnel.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egress_agent::config;
use egress_agent::tunnel::openvpn::{Openvpn, Order, Running};
use egress_core::api::{Code, Reason};
use egress_core::catalog::OnHooks;
use egress_core::openvpn::machine::{Farewell, News};
use egress_core::openvpn::{Login, Pushed, parse};
use egress_core::secret::Secret;
use egress_linux::tun::{self, Offload};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};

use super::openvpn_server::{PASSWORD, USERNAME};

/// How long a test waits for news.
const PATIENCE: Duration = Duration::from_secs(40);
/// Where tunnels have their directories.
pub const RUN_DIR: &str = "/run/egress";

/// Starts tunnels on the calling test's host.
pub struct Client {
    runtime: Runtime,
    openvpn: Openvpn,
    next: u64,
    kept: Vec<(Running, mpsc::Receiver<News>, OwnedFd)>,
}

/// A tunnel, and what is heard of it.
pub struct Tunnel<'a> {
    runtime: &'a Runtime,
    running: Running,
    news: mpsc::Receiver<News>,
    /// Its device, which is called so.
    pub device: String,
    /// Keeps the device.
    pub fd: OwnedFd,
}

/// Who a tunnel's user is.
#[derive(Debug, Clone)]
pub struct Who {
    /// A password, or none at all.
    pub password: Option<String>,
    /// The answer to a challenge.
    pub challenge: Option<String>,
    /// As the provider has it.
    pub split: bool,
}

impl Default for Who {
    fn default() -> Self {
        Self { password: Some(PASSWORD.to_owned()), challenge: None, split: false }
    }
}

/// A range of users that no other test of this process has.
fn settings(binary: &Path) -> config::Openvpn {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = 1_910_000_000 + (std::process::id() % 4096) * 4096;
    let uid_first = first + NEXT.fetch_add(1, Ordering::Relaxed) * 64;
    config::Openvpn { binary: binary.to_owned(), uid_first, uid_count: 64 }
}

impl Client {
    /// On a host of its own.
    pub fn new() -> Self {
        Self::of("/usr/sbin/openvpn").expect("get ready for OpenVPN")
    }

    /// With another program.
    pub fn of(binary: &str) -> Result<Self, String> {
        // One thread, so that all others are made on the test's host too.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start a runtime");
        std::fs::create_dir_all(RUN_DIR).expect("make a run directory");
        let opened = Openvpn::open(settings(Path::new(binary)), PathBuf::from(RUN_DIR));
        let openvpn = runtime.block_on(opened).map_err(|error| error.to_string())?;
        Ok(Self { runtime, openvpn, next: 1, kept: Vec::new() })
    }

    /// Starts a tunnel with a device of its own, which is down and has no address.
    pub fn start(&mut self, profile: &str, who: &Who) -> Tunnel<'_> {
        self.try_start(profile, who).expect("start a tunnel")
    }

    /// Starts a tunnel that runs for as long as this does, and waits until it is connected.
    pub fn start_kept(&mut self, profile: &str, who: &Who) {
        let Tunnel { running, news, fd, .. } = {
            let mut tunnel = self.start(profile, who);
            tunnel.connected();
            tunnel
        };
        self.kept.push((running, news, fd));
    }

    /// The same, which may be refused.
    pub fn try_start(&mut self, profile: &str, who: &Who) -> Result<Tunnel<'_>, Reason> {
        let number = self.next;
        self.next += 1;
        let device = tun::create(&format!("ego{number}"), 1400, Offload::Off).expect("make a tun");
        let (config, _) = parse(profile, OnHooks::Refuse).expect("a profile that is taken");
        let login = who.password.as_ref().map(|password| Login {
            username: USERNAME.to_owned(),
            password: Secret::new(password.clone()),
        });
        let order = Order {
            tunnel: number,
            config,
            login,
            challenge: who.challenge.clone().map(Secret::new),
            split: who.split,
            device: device.fd.try_clone().expect("duplicate a descriptor"),
            device_name: device.name.clone(),
        };
        let (news_tx, news) = mpsc::channel(16);
        let running = self.runtime.block_on(self.openvpn.start(order, news_tx));
        Ok(Tunnel {
            running: running.map_err(|error| error.reason())?,
            runtime: &self.runtime,
            news,
            device: device.name,
            fd: device.fd,
        })
    }
}

#[expect(clippy::print_stdout, reason = "a failed test is told why")]
impl Tunnel<'_> {
    /// The next news.
    pub fn news(&mut self) -> News {
        self.news_until(Instant::now() + PATIENCE)
    }

    fn news_until(&mut self, deadline: Instant) -> News {
        let next = async { timeout_at(deadline.into(), self.news.recv()).await };
        let next = self.runtime.block_on(next);
        next.expect("news come in time").expect("a tunnel that runs tells news")
    }

    /// Waits until it is connected; what it says meanwhile does not count.
    pub fn connected(&mut self) -> Pushed {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.news_until(deadline) {
                News::Connected { pushed, .. } => return pushed,
                News::Trouble(reason) | News::Down(reason) => println!("{reason:?}"),
                News::Refused(reason) => panic!("refused: {reason:?}"),
                News::DeviceGone => panic!("the device is gone"),
            }
        }
    }

    /// Waits until it is not connected any more.
    pub fn down(&mut self) -> Reason {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.news_until(deadline) {
                News::Down(reason) => return reason,
                News::Trouble(reason) => println!("{reason:?}"),
                news @ (News::Connected { .. } | News::Refused(_) | News::DeviceGone) => {
                    panic!("not down: {news:?}")
                }
            }
        }
    }

    /// The first reason for not being connected, and whether trying is over.
    pub fn trouble(&mut self) -> (Code, String, bool) {
        match self.news() {
            News::Trouble(reason) | News::Down(reason) => (reason.code, reason.detail, false),
            News::Refused(reason) => (reason.code, reason.detail, true),
            news @ (News::Connected { .. } | News::DeviceGone) => panic!("no trouble: {news:?}"),
        }
    }

    /// Whether something else is told within so long.
    pub fn tells_more_within(&mut self, time: Duration) -> bool {
        self.runtime
            .block_on(async { timeout(time, self.news.recv()).await })
            .is_ok_and(|news| news.is_some())
    }

    /// Lets it work until something holds.
    pub fn until(&self, what: &str, limit: Duration, holds: impl Fn(&Running) -> bool) {
        let begun = Instant::now();
        while !holds(&self.running) {
            assert!(begun.elapsed() < limit, "waited {limit:?} in vain: {what}");
            self.pass(Duration::from_millis(5));
        }
    }

    /// Lets it work for a while.
    pub fn pass(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Ends it.
    pub fn stop(self) -> Farewell {
        self.runtime.block_on(self.running.stop())
    }

    /// The device's number.
    pub fn index(&self) -> u32 {
        nix::net::if_::if_nametoindex(self.device.as_str()).expect("the device is there")
    }

    /// Gives the device what the server gave.
    pub fn configure(&self, pushed: &Pushed) {
        let mut lines = format!("addr flush dev {}\n", self.device);
        for address in &pushed.addresses {
            let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
            let _ = writeln!(lines, "addr replace {address} dev {}{nodad}", self.device);
        }
        let _ = writeln!(lines, "link set {} up", self.device);
        super::namespace::host_ip(&lines);
    }
}
