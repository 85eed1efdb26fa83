//! Who lives in a namespace, and whether a name leads there.

use std::{
    collections::BTreeSet,
    fs::remove_file,
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use egress_linux::netns::{MountChanges, Netns, inhabitant, inhabitants, leads_to};
use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::host::{mount_over, name, netns, on_a_host};

const LIMIT: Duration = Duration::from_secs(5);

fn roots() -> Vec<PathBuf> {
    vec!["/run/netns".into()]
}

fn living(netns: &Netns) -> Vec<u32> {
    let inode = netns.inode().unwrap();
    inhabitants(&BTreeSet::from([inode])).unwrap().remove(&inode).unwrap_or_default()
}

fn sleeper(netns: &Netns) -> Child {
    netns.run(|| Command::new("sleep").arg("60").process_group(0).spawn()).unwrap().unwrap()
}

#[test]
fn a_process_is_found_where_it_lives_for_as_long_as_it_does() {
    on_a_host(|| {
        let (home, other) = (netns(), netns());
        assert_eq!(living(&home), [0; 0]);
        let mut child = sleeper(&home);
        assert_eq!(living(&home), [child.id()]);
        assert_eq!(living(&other), [0; 0]);
        assert!(inhabitant(child.id(), home.inode().unwrap()).is_some());
        assert!(inhabitant(child.id(), other.inode().unwrap()).is_none());
        child.kill().unwrap();
        let end = Instant::now() + LIMIT;
        // Not waited for yet: a zombie lives nowhere.
        while !living(&home).is_empty() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(living(&home), [0; 0]);
        assert!(inhabitant(child.id(), home.inode().unwrap()).is_none());
        child.wait().unwrap();
    });
}

#[test]
fn a_process_goes_on_when_its_first_thread_has_ended() {
    on_a_host(|| {
        let home = netns();
        let fd = home.as_fd();
        // SAFETY: the child uses nothing that another thread may have held a lock of but the
        // allocator, which the C library makes whole in the child.
        let child = match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let entered = move_into_link_name_space(fd, Some(LinkNameSpaceType::Network));
                thread::spawn(|| thread::sleep(Duration::from_mins(1)));
                assert!(entered.is_ok());
                // SAFETY: it ends this thread, which holds nothing.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
                unreachable!()
            }
        };
        let pid = u32::try_from(child.as_raw()).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let end = Instant::now() + LIMIT;
        while !stat().contains(") Z") && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let found = (stat().contains(") Z"), living(&home));
        let alive = inhabitant(pid, home.inode().unwrap()).is_some();
        kill_process(Pid::from_raw(child.as_raw()).unwrap(), Signal::KILL).unwrap();
        waitpid(child, None).unwrap();
        assert_eq!((found, alive), ((true, vec![pid]), true));
    });
}

#[test]
fn a_name_leads_to_a_namespace_until_it_is_taken_away_or_over() {
    on_a_host(|| {
        let (home, other) = (netns(), netns());
        let inode = home.inode().unwrap();
        let path = name(&home, "web");
        assert!(leads_to(&path, &roots(), inode));
        assert!(!leads_to(&path, &roots(), other.inode().unwrap()));
        assert!(!leads_to(&path, &["/run/docker".into()], inode));
        mount_over(&other, &path);
        assert!(!leads_to(&path, &roots(), inode));
        unmount(&path, UnmountFlags::DETACH).unwrap();
        assert!(leads_to(&path, &roots(), inode));
        unmount(&path, UnmountFlags::DETACH).unwrap();
        assert!(!leads_to(&path, &roots(), inode), "a plain file");
        remove_file(&path).unwrap();
        assert!(!leads_to(&path, &roots(), inode));
    });
}

#[test]
fn a_change_of_mounts_is_told_once() {
    on_a_host(|| {
        let path = name(netns(), "web");
        let changes = MountChanges::open().unwrap();
        assert!(!told(&changes));
        unmount(&path, UnmountFlags::DETACH).unwrap();
        assert!(told(&changes));
        assert!(!told(&changes));
    });
}

fn told(changes: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&changes, PollFlags::PRI)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}
