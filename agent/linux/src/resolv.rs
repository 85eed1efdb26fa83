//! A resolv.conf that only one process and its children see.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Exists everywhere; covered for an instant, in our own mount namespace.
const SCRATCH: &str = "/run";

/// Why there are no private mounts.
#[derive(Debug, thiserror::Error)]
pub enum ResolvError {
    /// No `CAP_SYS_ADMIN`, most likely.
    #[error("leave the host's mount namespace")]
    Unshare(#[source] io::Error),
    /// It is missing, or a link to nothing.
    #[error("find {RESOLV_CONF}")]
    Missing(#[source] io::Error),
    /// A mount failed.
    #[error("{operation} {}", path.display())]
    Mount {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Gives the calling thread, and what it starts, mounts of its own in which /etc/resolv.conf
/// reads `text`. Other threads are not affected. After an error the thread is of no more use.
pub fn in_private_mounts_with_resolv_conf(text: &str) -> Result<(), ResolvError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| ResolvError::Unshare(errno.into()))?;
    let root = Path::new("/");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(root, private).map_err(failed("make private", root))?;

    // Opened before anything covers it: it may be a link into /run.
    let target = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(RESOLV_CONF)
        .map_err(ResolvError::Missing)?;
    let scratch = Path::new(SCRATCH);
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", scratch, "tmpfs", flags, c"mode=0755,size=64k")
        .map_err(failed("mount a tmpfs on", scratch))?;
    let result = cover(&target, &scratch.join("resolv.conf"), text);
    unmount(scratch, UnmountFlags::DETACH).map_err(failed("unmount the tmpfs from", scratch))?;
    result
}

/// Writes `text` to `file` and shows that in the place of `target`.
fn cover(target: &File, file: &Path, text: &str) -> Result<(), ResolvError> {
    let write = fs::write(file, text);
    write.map_err(|source| ResolvError::Mount { operation: "write", path: file.into(), source })?;
    let place = PathBuf::from(format!("/proc/self/fd/{}", target.as_raw_fd()));
    mount_bind(file, &place).map_err(failed("mount over", Path::new(RESOLV_CONF)))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> ResolvError {
    let path = path.to_owned();
    move |errno| ResolvError::Mount { operation, path, source: errno.into() }
}
