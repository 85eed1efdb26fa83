//! A host of a test's own, with an uplink, a router and gateways behind it.
//!
//! ```text
//! containers   host ── uplink ── wan ── gw0, gw1, …   each: 198.51.100.10, 2001:db8:100::10
//!              192.0.2.2          │      203.0.113.(16n+1)
//!              2001:db8:2::2      └─ the sniffer's ear     2001:db8:203:n::1
//! ```

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace::{NETNS_DIR, Namespace, host_ip, sysctl};
use super::probe::ping;
use super::sniffer::Sniffer;
use super::wait;

/// The host's address on its uplink.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// What the host's address may be changed to.
pub const HOST_V4_LATER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);
/// The host's other address on its uplink.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
/// The router that the host's default route leads to.
pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The router's other address.
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
/// The router's end of the host's uplink, where the sniffer listens.
pub const OUTSIDE: &str = "tohost";
/// A server on the internet.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// A server on the internet.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10);
/// The resolver that tunnels name.
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);

/// Addresses are usable at once.
const ACCEPT_DAD: &str = "ipv6/conf/default/accept_dad";
const SOON: Duration = Duration::from_secs(10);

/// One test's host and the world around it. All of it vanishes with the test's thread.
pub struct Lab {
    /// The router that the host's uplink ends at.
    pub wan: Namespace,
    mount_inode: u64,
}

/// Runs a test on a thread that is a host of its own.
pub fn in_lab(test: impl FnOnce(&Lab) + Send) {
    thread::scope(|scope| {
        let host = scope.spawn(|| test(&Lab::new()));
        if let Err(panic) = host.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl Lab {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .expect("these tests need root: unshare network and mount namespaces");
        make_private_files();
        sysctl(ACCEPT_DAD, "0");
        let wan = router_or_gateway("wan");
        join_host_and_router(&wan);
        let mount_inode = namespace_inode("thread-self", "mnt").expect("a thread has a namespace");
        Self { wan, mount_inode }
    }

    /// Makes gateway number `number` (0 to 14) with its servers' addresses. What the host would
    /// send in clear to the servers goes to gateway 0.
    pub fn gateway(&self, number: u8) -> Gateway {
        let gateway = Gateway { namespace: router_or_gateway(&format!("gw{number}")), number };
        gateway.connect_to(&self.wan);
        gateway
    }

    /// Listens on the outside of the host's uplink.
    pub fn sniff(&self) -> Sniffer {
        Sniffer::start(&self.wan, OUTSIDE)
    }

    /// Processes that run in this lab, the test itself not counted.
    pub fn processes(&self) -> Vec<i32> {
        let own = i32::try_from(std::process::id()).expect("process ids fit");
        let entries = fs::read_dir("/proc").expect("read /proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| *pid != own)
            .filter(|pid| namespace_inode(&pid.to_string(), "mnt") == Some(self.mount_inode))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for pid in self.processes() {
            // An error means that it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The inode of a process's namespace, `None` when it has ended.
pub fn namespace_inode(process: &str, kind: &str) -> Option<u64> {
    let path = Path::new("/proc").join(process).join("ns").join(kind);
    fs::metadata(path).ok().map(|metadata| metadata.st_ino())
}

fn make_private_files() {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("make mounts private");
    mount(Some("lab"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .expect("mount a private /run");
    fs::create_dir(NETNS_DIR).expect("make /run/netns");
    replace_file("/etc/hosts", "127.0.0.1 localhost\n");
    replace_file("/etc/resolv.conf", &format!("nameserver {ROUTER_V4}\noptions timeout:1\n"));
}

/// Shows a text in the place of a file below `/etc`, for this lab alone.
fn replace_file(path: &str, text: &str) {
    if !Path::new(path).exists() {
        copy_etc();
        return fs::write(path, text).expect("write a file of the lab");
    }
    let name = Path::new(path).file_name().expect("a file has a name");
    let own = Path::new("/run").join(name);
    fs::write(&own, text).expect("write a file of the lab");
    mount(Some(&own), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .unwrap_or_else(|error| panic!("replace {path}: {error}"));
}

/// Gives the lab an `/etc` that it may write to: a file can be mounted only where there is one.
fn copy_etc() {
    let copied = Command::new("cp").args(["-a", "/etc", "/run/etc"]).status();
    assert!(copied.is_ok_and(|status| status.success()), "copy /etc");
    mount(Some("/run/etc"), "/etc", None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .expect("mount a copy of /etc");
}

fn router_or_gateway(name: &str) -> Namespace {
    let namespace = Namespace::add(name);
    namespace.sysctl(ACCEPT_DAD, "0");
    namespace
}

/// A link takes a moment until it carries IPv6.
fn wait_for(neighbour: Ipv6Addr) {
    wait::until("a link carries IPv6", SOON, || {
        ping(neighbour.into(), Duration::from_millis(100)).is_ok()
    });
}

fn join_host_and_router(wan: &Namespace) {
    wan.sysctl("ipv4/ip_forward", "1");
    wan.sysctl("ipv6/conf/all/forwarding", "1");
    host_ip(&format!(
        "link set lo up
         link add uplink type veth peer name {OUTSIDE} netns wan
         addr add {HOST_V4}/24 dev uplink
         addr add {HOST_V6}/64 dev uplink nodad
         link set uplink up
         route add default via {ROUTER_V4}
         route add default via {ROUTER_V6}
        "
    ));
    wan.ip(&format!(
        "addr add {ROUTER_V4}/24 dev {OUTSIDE}
         addr add {ROUTER_V6}/64 dev {OUTSIDE} nodad
         link set {OUTSIDE} up
        "
    ));
    wait_for(ROUTER_V6);
}

/// A namespace beyond the router: a VPN gateway and the internet behind it.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where its programs run.
    pub namespace: Namespace,
    number: u8,
}

impl Gateway {
    /// The `index`th (1 to 13) of its addresses towards the host; it starts with the first.
    pub fn v4(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, 16 * self.number + index)
    }

    /// The `index`th of its other addresses towards the host.
    pub fn v6(&self, index: u8) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0x203, u16::from(self.number), 0, 0, 0, u16::from(index))
    }

    /// Its number in the lab.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Leaves the `from`th addresses for the `to`th.
    pub fn move_address(&self, from: u8, to: u8) {
        let (old_v4, old_v6, v4, v6) = (self.v4(from), self.v6(from), self.v4(to), self.v6(to));
        self.namespace.ip(&format!(
            "addr del {old_v4}/28 dev wan
             addr del {old_v6}/64 dev wan
             addr add {v4}/28 dev wan
             addr add {v6}/64 dev wan nodad
            "
        ));
        // The old addresses took the routes with them.
        self.add_default_routes();
    }

    /// Cuts or restores its link to the router.
    pub fn set_connected(&self, connected: bool) {
        let state = if connected { "up" } else { "down" };
        self.namespace.ip(&format!("link set wan {state}"));
        if connected {
            self.namespace.ip(&format!("addr replace {}/64 dev wan nodad", self.v6(1)));
            self.add_default_routes();
        }
    }

    fn connect_to(&self, wan: &Namespace) {
        let (number, v4, v6) = (self.number, self.v4(1), self.v6(1));
        let (router_v4, router_v6) = (self.v4(14), self.v6(14));
        wan.ip(&format!(
            "link add togw{number} type veth peer name wan netns gw{number}
             addr add {router_v4}/28 dev togw{number}
             addr add {router_v6}/64 dev togw{number} nodad
             link set togw{number} up
            "
        ));
        self.namespace.ip(&format!(
            "addr add {v4}/28 dev wan
             addr add {v6}/64 dev wan nodad
             link set wan up
             addr add {SERVER_V4}/32 dev lo
             addr add {SERVER_V6}/128 dev lo nodad
             addr add {RESOLVER_V4}/32 dev lo
            "
        ));
        self.add_default_routes();
        self.namespace.run(|| wait_for(router_v6));
        if number == 0 {
            wan.ip(&format!(
                "route add 198.51.100.0/24 via {v4}
                 route add 2001:db8:100::/48 via {v6}
                "
            ));
        }
    }

    fn add_default_routes(&self) {
        let (v4, v6) = (self.v4(14), self.v6(14));
        self.namespace
            .ip(&format!("route replace default via {v4}\nroute replace default via {v6}\n"));
    }
}
