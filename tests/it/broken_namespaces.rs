//! Hostile and mistaken namespace references: each gets its code, and nothing changes.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use egress_core::api::{Code, NetnsRef};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::namespace::{Namespace, host_ip};
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

fn path(text: &str) -> NetnsRef {
    NetnsRef::Path(text.into())
}

fn bind(from: &str, to: &str) {
    File::create(to).expect("make a file to mount on");
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("bind");
}

/// Makes what the cases name.
fn prepare(container: &Container) {
    fs::write("/run/netns/file", "text").unwrap();
    fs::create_dir("/run/netns/dir").unwrap();
    nix::unistd::mkfifo("/run/netns/fifo", Mode::S_IRWXU).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind("/run/netns/socket").unwrap();
    bind("/proc/thread-self/ns/net", "/run/netns/host");
    for kind in ["uts", "ipc", "pid", "user", "cgroup"] {
        bind(&format!("/proc/thread-self/ns/{kind}"), &format!("/run/netns/{kind}"));
    }
    let inside = container.namespace().path();
    symlink(&inside, "/run/netns/link").unwrap();
    symlink("/run/netns", "/run/netns/dir/up").unwrap();
    fs::create_dir("/run/elsewhere").unwrap();
    bind(inside.to_str().unwrap(), "/run/elsewhere/ns");
    symlink("/run/elsewhere", "/run/netns/out").unwrap();
}

/// Paths that lead to no container, and what each must be refused with.
const PATHS: [(&str, Code); 26] = [
    ("/run/netns/none", Code::NetnsGone),
    ("/run/netns/file", Code::NetnsInvalid),
    ("/run/netns/dir", Code::NetnsInvalid),
    ("/run/netns/fifo", Code::NetnsInvalid),
    ("/run/netns/socket", Code::NetnsInvalid),
    ("/run/netns/host", Code::NetnsIsHost),
    ("/run/netns/uts", Code::NetnsInvalid),
    ("/run/netns/ipc", Code::NetnsInvalid),
    ("/run/netns/pid", Code::NetnsInvalid),
    ("/run/netns/user", Code::NetnsInvalid),
    ("/run/netns/cgroup", Code::NetnsInvalid),
    ("/run/netns/link", Code::NetnsInvalid),
    ("/run/netns/out/ns", Code::NetnsInvalid),
    ("/run/netns/dir/up/good", Code::NetnsInvalid),
    ("/run/netns/../elsewhere/ns", Code::NetnsInvalid),
    ("/run/elsewhere/ns", Code::NetnsInvalid),
    ("/run/netns", Code::NetnsInvalid),
    ("/run/netns/", Code::NetnsInvalid),
    ("run/netns/good", Code::InvalidRequest),
    ("good", Code::InvalidRequest),
    ("", Code::InvalidRequest),
    ("/", Code::NetnsInvalid),
    ("/proc/self/ns/net", Code::NetnsInvalid),
    ("/proc/1/root/run/netns/good", Code::NetnsInvalid),
    ("/dev/zero", Code::NetnsInvalid),
    ("/run/netns/good\0", Code::NetnsInvalid),
];

/// Every reference and the code it must get.
fn cases(world: &World<'_>, taken: &Container, dead: i32) -> Vec<(NetnsRef, Code)> {
    let long = format!("/run/netns/{}", "x".repeat(5000));
    let mut cases = vec![
        (path(&long), Code::NetnsInvalid),
        (taken.by_path(), Code::NetnsInUse),
        (taken.by_pid(), Code::NetnsInUse),
        (NetnsRef::Pid(dead), Code::NetnsGone),
        (NetnsRef::Pid(i32::MAX), Code::NetnsGone),
        (NetnsRef::Pid(0), Code::InvalidRequest),
        (NetnsRef::Pid(-1), Code::InvalidRequest),
        (NetnsRef::Pid(world.agent.pid()), Code::NetnsIsHost),
    ];
    cases.extend(PATHS.map(|(text, code)| (path(text), code)));
    cases
}

/// The number of a process that has ended.
fn dead_process(container: &Container) -> i32 {
    let mut process = Process::start(&mut container.namespace().command("true"));
    process.wait(Duration::from_secs(5));
    process.pid()
}

#[test]
fn every_reference_that_is_no_containers_gets_its_code() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let container = Container::with_process("good");
        prepare(&container);
        let (taken, _) = world.attached("taken");
        let mut wrong = Vec::new();
        for (reference, code) in cases(&world, &taken, dead_process(&container)) {
            match world.agent.attach(&request("s", reference.clone(), 0)) {
                Ok(_) => wrong.push(format!("{reference:?}: attached")),
                Err(problem) if problem.code != code => {
                    wrong.push(format!("{reference:?}: wanted {code:?}, got {problem:?}"));
                }
                Err(_) => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(world.agent.sessions().len(), 1, "refused sessions are gone");
        assert_eq!(container.devices(), ["lo"]);
        assert_eq!(world.agent.live_connections(), 1);
        world.agent.attach(&request("s", container.by_path(), 0)).unwrap();
    });
}

#[test]
fn a_refused_path_says_where_namespaces_may_be_and_which_setting_says_so() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let problem = world.agent.attach(&request("s", path("/run/elsewhere/ns"), 0)).unwrap_err();
        for word in ["/run/netns", "/run/docker/netns", "sessions.netns_roots"] {
            assert!(problem.detail.contains(word), "no {word} in {}", problem.detail);
        }
    });
}

/// Devices that are not loopback: how each is made in a container, or on the host, and how it is
/// told.
const DEVICES: [(&str, &str, &str); 8] = [
    ("link add eth0 type veth peer name out\nlink set eth0 up", "", "eth0 (veth, up)"),
    ("link add eth0 type veth peer name out", "", "out (veth, down), eth0 (veth, down)"),
    ("link add eth0 type ifb\naddr add 192.0.2.9/24 dev eth0", "", "eth0 (ifb, down)"),
    ("", "link add eth0 link uplink netns c-1 type macvlan", "eth0 (macvlan, down)"),
    ("", "link add eth0 type veth peer name eth0 netns c-1", "eth0 (veth, down)"),
    ("link add tunl0 type veth peer name out", "", "tunl0 (veth, down)"),
    ("link add eg0 type veth peer name out\nlink set eg0 up", "", "eg0 (veth, up)"),
    ("tuntap add eg0 mode tun", "", "eg0 (tun, down)"),
];

#[test]
fn a_namespace_with_a_device_of_its_own_is_not_attached_whatever_it_is() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        for (inside, outside, told) in DEVICES {
            let container = Container::with_process("c-1");
            container.namespace().ip(&format!("{inside}\n"));
            host_ip(&format!("{outside}\n"));
            let problem = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap_err();
            assert_eq!((problem.code, problem.status), (Code::NetnsNotEmpty, 409), "{told}");
            assert!(problem.detail.contains(told), "{told}: {}", problem.detail);
            world.agent.wait_until_idle();
            for device in container.devices().iter().filter(|device| *device != "lo") {
                // One end of a pair takes the other along.
                let mut ip = container.namespace().command("ip");
                let _ = ip.args(["link", "del", device.as_str()]).stderr(Stdio::null()).status();
            }
            world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
            world.agent.detach(&session_id("c-1"), false);
            container.destroy();
        }
    });
}

#[test]
fn a_link_swapped_during_the_call_never_leads_elsewhere() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (mine, victim) = (Namespace::add("mine"), Container::named("victim"));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The name is now a namespace, now a link to another's.
                while !stop.load(Ordering::Relaxed) {
                    let _ = fs::remove_file("/run/netns/swap.new");
                    symlink(victim.namespace().path(), "/run/netns/swap.new").unwrap();
                    let _ = fs::rename("/run/netns/swap.new", "/run/netns/swap");
                    let _ = fs::remove_file("/run/netns/swap.new");
                    fs::write("/run/netns/swap.new", "").unwrap();
                    let _ = fs::rename("/run/netns/swap.new", "/run/netns/swap");
                }
            });
            for _ in 0..200 {
                let problem = world.agent.attach(&request("s", path("/run/netns/swap"), 0));
                let code = problem.expect_err("never a namespace").code;
                assert!(matches!(code, Code::NetnsInvalid | Code::NetnsGone), "{code:?}");
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(victim.devices(), ["lo"]);
        assert!(Path::new("/run/netns/mine").exists());
        drop(mine);
        world.agent.wait_until_idle();
    });
}

#[test]
fn a_namespace_that_ends_during_the_attach_is_told_and_leaves_no_lease() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        world.peer.stop();
        let container = Container::with_process("c-1");
        let asked = request("c-1", container.by_path(), 0);
        thread::scope(|scope| {
            let attach = scope.spawn(|| world.agent.attach(&asked));
            wait::until("the lease is held", Duration::from_secs(20), || {
                world.agent.live_connections() == 1
            });
            container.destroy();
            let problem = attach.join().unwrap().expect_err("its namespace is gone");
            assert!(
                matches!(problem.code, Code::NetnsGone | Code::HandshakeTimeout),
                "{problem:?}"
            );
        });
        assert_eq!(world.agent.live_connections(), 0);
    });
}
