//! A host, a far end and a box of their own for each test.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use egress_linux::link::{self, Interface};
use egress_linux::netns::Netns;
use egress_linux::tun::{self, Offload};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::os::fd::OwnedFd;

pub const MTU: u16 = 1420;

thread_local! {
    static OFFLOAD: Cell<Offload> = const { Cell::new(Offload::Off) };
}

/// Devices that this thread makes are of that kind from now on.
pub fn set_offload(offload: Offload) {
    OFFLOAD.set(offload);
}

/// What devices of this thread are.
pub fn offload() -> Offload {
    OFFLOAD.get()
}

static NEXT: AtomicU8 = AtomicU8::new(1);

/// Leaves the machine's namespaces, for this process and all that it starts.
pub fn enter_a_host_of_our_own() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    std::fs::create_dir_all("/run/netns").unwrap();
    ip("link set lo up");
}

/// A number of its own for a test, and the names and addresses that follow from it.
///
/// The host has `.1` of the outer networks, far ends have `.2` and `.3`. Inside the tunnel the far
/// end has `.1` and the box has `.2`.
pub struct Lab {
    pub number: u8,
}

impl Lab {
    /// A host with a link to a far end's namespace, and a box without any.
    pub fn new() -> Self {
        let lab = Self { number: NEXT.fetch_add(1, Ordering::Relaxed) };
        let (n, far, inner) = (lab.number, lab.far_name(), lab.box_name());
        ip(&format!("netns add {far}"));
        ip(&format!("netns add {inner}"));
        ip(&format!("link add h{n} type veth peer name f{n} netns {far}"));
        for address in [lab.outer(1, false), lab.outer(1, true)] {
            ip(&format!("address add {address}/{} dev h{n} nodad", outer_prefix(address)));
        }
        ip(&format!("link set h{n} up"));
        ip(&format!("-n {far} link set f{n} up"));
        ip(&format!("-n {far} link set lo up"));
        lab.give_far(2);
        lab
    }

    /// Gives the far end's namespace the addresses of that number.
    pub fn give_far(&self, host: u8) {
        self.far_address("add", host);
    }

    /// Takes them away.
    pub fn take_far(&self, host: u8) {
        self.far_address("del", host);
    }

    fn far_address(&self, operation: &str, host: u8) {
        for address in [self.outer(host, false), self.outer(host, true)] {
            let prefix = outer_prefix(address);
            let nodad = if operation == "add" { "nodad" } else { "" };
            let (far, n) = (self.far_name(), self.number);
            ip(&format!("-n {far} address {operation} {address}/{prefix} dev f{n} {nodad}"));
        }
    }

    /// An outer address.
    pub fn outer(&self, host: u8, v6: bool) -> IpAddr {
        if v6 {
            Ipv6Addr::new(0xfd30, self.number.into(), 0, 0, 0, 0, 0, host.into()).into()
        } else {
            Ipv4Addr::new(172, 30, self.number, host).into()
        }
    }

    /// An address in the tunnel.
    pub fn inner(&self, host: u8, v6: bool) -> IpAddr {
        if v6 {
            Ipv6Addr::new(0xfd09, self.number.into(), 0, 0, 0, 0, 0, host.into()).into()
        } else {
            Ipv4Addr::new(10, 9, self.number, host).into()
        }
    }

    pub fn far_name(&self) -> String {
        format!("far{}", self.number)
    }

    pub fn box_name(&self) -> String {
        format!("box{}", self.number)
    }

    /// The far end's namespace.
    pub fn far(&self) -> Netns {
        open(&self.far_name())
    }

    /// The box's namespace. Whoever holds it keeps it alive.
    pub fn inside(&self) -> Netns {
        open(&self.box_name())
    }

    /// A device made on the host, moved into the box, with addresses and all routes.
    pub fn device(&self) -> OwnedFd {
        let name = format!("t{}", self.number);
        let device = tun::create(&name, MTU, offload()).unwrap();
        let inside = self.inside();
        tun::move_into(device.index, &inside, "eg0").unwrap();
        let addresses = [(false, 24), (true, 64)]
            .map(|(v6, prefix)| format!("{}/{prefix}", self.inner(2, v6)).parse().unwrap());
        let routes = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        let wanted = Interface { addresses: addresses.into(), mtu: MTU, routes: routes.into() };
        let configure = || link::configure(tun::index(&device.fd).unwrap(), &wanted);
        inside.run(configure).unwrap().unwrap();
        device.fd
    }
}

fn outer_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

fn open(name: &str) -> Netns {
    let root = PathBuf::from("/run/netns");
    Netns::open_path(&Path::new("/run/netns").join(name), &[root]).unwrap()
}

/// Runs `ip`, which has to succeed.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
