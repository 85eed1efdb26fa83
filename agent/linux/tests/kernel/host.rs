//! A host of each test's own, so that nothing touches the machine's.

use std::{
    os::fd::AsFd,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use egress_linux::netns::Netns;
use nix::sched::{CloneFlags, unshare};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
};

/// Runs the test on a thread with a network namespace of its own and an empty /run.
pub fn on_a_host<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).unwrap();
            std::fs::create_dir("/run/netns").unwrap();
            test()
        });
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Mounts a namespace at /run/netns/`name`.
pub fn name(namespace: impl AsFd, name: &str) -> PathBuf {
    let path = Path::new("/run/netns").join(name);
    std::fs::write(&path, "").unwrap();
    mount_over(namespace, &path);
    path
}

pub fn mount_over(namespace: impl AsFd, path: &Path) {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&namespace.as_fd());
    mount_bind(format!("/proc/self/fd/{fd}"), path).unwrap();
}

pub fn netns() -> Netns {
    Netns::create().unwrap()
}

/// Whether there is something to read (or an error) within the time.
pub fn readable(fd: impl AsFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(within).unwrap())).unwrap() == 1
}
