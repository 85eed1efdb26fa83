//! Paths and process ids that must not be opened. Each test is over in no time: opening some of
//! these would block.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::symlink,
    },
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use egress_linux::netns::{Netns, OpenError};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with},
    mount::mount_bind,
};

use crate::host::{mount_over, name, netns, on_a_host};

fn refusal(path: impl AsRef<Path>) -> OpenError {
    Netns::open_path(path.as_ref(), &["/run/netns".into()]).expect_err("a hostile path was opened")
}

fn own() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

#[test]
fn a_regular_file_is_not_a_namespace() {
    on_a_host(|| {
        fs::write("/run/netns/x", "hello").unwrap();
        assert!(matches!(refusal("/run/netns/x"), OpenError::NotNamespace { .. }));
    });
}

#[test]
fn a_fifo_is_not_a_namespace_and_does_not_hang() {
    on_a_host(|| {
        mknodat(CWD, "/run/netns/x", FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(refusal("/run/netns/x"), OpenError::NotNamespace { .. }));
    });
}

#[test]
fn a_directory_is_not_a_namespace() {
    on_a_host(|| {
        fs::create_dir("/run/netns/x").unwrap();
        assert!(matches!(refusal("/run/netns/x"), OpenError::NotNamespace { .. }));
    });
}

#[test]
fn a_device_is_not_a_namespace() {
    on_a_host(|| {
        fs::write("/run/netns/x", "").unwrap();
        mount_over(File::open("/dev/null").unwrap(), Path::new("/run/netns/x"));
        assert!(matches!(refusal("/run/netns/x"), OpenError::NotNamespace { .. }));
        assert!(matches!(refusal("/dev/null"), OpenError::Outside { .. }));
    });
}

#[test]
fn the_hosts_own_namespace_is_refused_by_whatever_mount() {
    on_a_host(|| {
        let path = name(own(), "x");
        assert!(matches!(refusal(path), OpenError::IsHost { .. }));
    });
}

#[test]
fn the_namespace_that_the_agents_process_started_in_is_refused_from_every_thread() {
    on_a_host(|| {
        let path = name(File::open("/proc/self/ns/net").unwrap(), "x");
        assert!(matches!(refusal(path), OpenError::IsHost { .. }));
    });
}

#[test]
fn a_mount_namespace_is_of_the_wrong_type() {
    on_a_host(|| {
        fs::write("/run/netns/x", "").unwrap();
        // The kernel mounts only those with a higher number than the one they are mounted in,
        // and deals numbers out by the processor.
        let mounted = (0..1000).any(|_| {
            let other = mount_namespace();
            mount_bind(format!("/proc/self/fd/{}", other.as_raw_fd()), "/run/netns/x").is_ok()
        });
        assert!(mounted);
        assert!(matches!(refusal("/run/netns/x"), OpenError::WrongType { found: "mnt", .. }));
    });
}

fn mount_namespace() -> OwnedFd {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        OwnedFd::from(File::open("/proc/thread-self/ns/mnt").unwrap())
    });
    made.join().unwrap()
}

#[test]
fn a_link_to_a_namespace_is_not_followed() {
    on_a_host(|| {
        name(netns(), "real");
        symlink("real", "/run/netns/x").unwrap();
        assert!(matches!(refusal("/run/netns/x"), OpenError::Symlink { .. }));
    });
}

#[test]
fn a_link_to_a_process_is_not_followed() {
    on_a_host(|| {
        symlink("/proc/1/ns/net", "/run/netns/x").unwrap();
        assert!(matches!(refusal("/run/netns/x"), OpenError::Symlink { .. }));
    });
}

#[test]
fn a_link_in_the_middle_of_the_path_is_not_followed() {
    on_a_host(|| {
        fs::create_dir("/run/netns/deep").unwrap();
        name(netns(), "deep/real");
        symlink("deep", "/run/netns/x").unwrap();
        assert!(matches!(refusal("/run/netns/x/real"), OpenError::Symlink { .. }));
    });
}

#[test]
fn the_way_up_leads_outside() {
    on_a_host(|| {
        name(netns(), "real");
        for path in ["/run/netns/../netns/real", "/run/netns/..", "/run/netns/a/../../../proc/1"] {
            assert!(matches!(refusal(path), OpenError::Outside { .. }), "{path}");
        }
    });
}

#[test]
fn a_path_under_no_root_is_outside() {
    on_a_host(|| {
        fs::write("/run/x", "").unwrap();
        mount_over(netns(), Path::new("/run/x"));
        for path in ["/run/x", "/run/netns", "/run/netnsx/y", "run/netns/x", "/proc/1/ns/net", ""] {
            assert!(matches!(refusal(path), OpenError::Outside { .. }), "{path}");
        }
    });
}

#[test]
fn what_does_not_exist_is_gone() {
    on_a_host(|| {
        fs::write("/run/netns/file", "").unwrap();
        for path in ["/run/netns/x", "/run/netns/x/y", "/run/netns/file/y"] {
            assert!(matches!(refusal(path), OpenError::Gone { .. }), "{path}");
        }
    });
}

#[test]
fn a_link_swapped_in_during_the_call_is_never_followed() {
    on_a_host(|| {
        fs::write("/run/netns/x", "").unwrap();
        name(own(), "host");
        symlink("host", "/run/netns/y").unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (x, y) = ("/run/netns/x", "/run/netns/y");
                    renameat_with(CWD, x, CWD, y, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let end = Instant::now() + Duration::from_millis(200);
            let (mut links, mut files) = (0, 0);
            while Instant::now() < end {
                match refusal("/run/netns/x") {
                    OpenError::Symlink { .. } => links += 1,
                    OpenError::NotNamespace { .. } => files += 1,
                    other => panic!("{other}"),
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(links > 0 && files > 0, "swapped {links} and {files} times");
        });
    });
}

#[test]
fn a_dead_process_and_a_zombie_are_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = egress_linux::process::PidFd::open(child.id()).unwrap();
    assert!(crate::host::readable(&process, Duration::from_secs(5)));
    let refused = |pid| Netns::open_pid(pid).expect_err("a dead process was opened");
    assert!(matches!(refused(child.id()), OpenError::Gone { .. }), "zombie");
    child.wait().unwrap();
    for pid in [child.id(), 0, u32::MAX] {
        assert!(matches!(refused(pid), OpenError::Gone { .. }), "{pid}");
    }
}

#[test]
fn a_process_of_the_host_is_refused() {
    for pid in [std::process::id(), 1] {
        let refused = Netns::open_pid(pid).expect_err("the host was opened");
        assert!(matches!(refused, OpenError::IsHost { .. }), "{refused}");
    }
}

#[test]
fn a_kernel_thread_is_refused() {
    on_a_host(|| {
        let pid = kernel_thread().expect("kernel threads are seen from the first pid namespace");
        let refused = Netns::open_pid(pid).expect_err("a kernel thread was opened");
        assert!(matches!(refused, OpenError::IsHost { .. }), "{refused}");
    });
}

/// A process without a program.
fn kernel_thread() -> Option<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let flags = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(6)?.parse().ok());
        flags.is_some_and(|flags: u32| flags & 0x0020_0000 != 0)
    })
}
