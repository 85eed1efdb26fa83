//! Opening a namespace by a path or a process id that somebody less trusted chose.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstatfs, open, openat2},
    io::Errno,
};

use super::enter::{EnterError, Netns};
use crate::process::PidFd;

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Why a namespace was not opened. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not below an allowed root, or has `..` in it.
    #[error("open {what}: it is outside the allowed roots")]
    Outside {
        /// The path.
        what: String,
    },
    /// A part of the path below its root is a symbolic link.
    #[error("open {what}: a part of it is a symbolic link")]
    Symlink {
        /// The path.
        what: String,
    },
    /// A file, a directory, a FIFO, …
    #[error("open {what}: it is not a namespace")]
    NotNamespace {
        /// The path.
        what: String,
    },
    /// A namespace of another type.
    #[error("open {what}: it is a {found} namespace")]
    WrongType {
        /// The path.
        what: String,
        /// What it is: `mnt`, `pid`, …
        found: &'static str,
    },
    /// There is no such file, or no such process any more.
    #[error("open {what}: it is gone")]
    Gone {
        /// The path or process.
        what: String,
    },
    /// The agent's own or that of pid 1.
    #[error("open {what}: it is the host's own network namespace")]
    IsHost {
        /// The path or process.
        what: String,
    },
    /// The kernel refused.
    #[error("open {what}")]
    Io {
        /// The path or process.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// It was opened and could not be entered.
    #[error("open {what}")]
    Enter {
        /// The path or process.
        what: String,
        /// Why.
        source: EnterError,
    },
}

impl Netns {
    /// Opens the namespace that is mounted at `path`, an absolute path below one of `roots`.
    ///
    /// No link below the root is followed; a root itself may be one. Whatever lies there, opening
    /// it has no effect on it and does not block.
    pub fn open_path(path: &Path, roots: &[PathBuf]) -> Result<Netns, OpenError> {
        let what = path.display().to_string();
        let Some((root, below)) = split(path, roots) else {
            return Err(OpenError::Outside { what });
        };
        let place = find(root, below).map_err(|errno| refusal(&what, errno))?;
        checked(&place, what)
    }

    /// Opens the namespace of a process; the [`PidFd`] names the same process for as long as it
    /// is held. A zombie is [`OpenError::Gone`], a kernel thread [`OpenError::IsHost`].
    pub fn open_pid(pid: u32) -> Result<(Netns, PidFd), OpenError> {
        let what = format!("the network namespace of process {pid}");
        if pid == 1 {
            // Not every root may look at it.
            return Err(OpenError::IsHost { what });
        }
        let process = PidFd::open(pid).map_err(|source| lost(&what, source))?;
        let place =
            File::open(format!("/proc/{pid}/ns/net")).map_err(|error| lost(&what, error))?;
        // Only now is it certain that /proc/PID was the process of the pidfd.
        if !process.alive() {
            return Err(OpenError::Gone { what });
        }
        Ok((checked(&place.into(), what)?, process))
    }
}

/// The root that `path` is under and what is below it.
pub(super) fn split<'p>(path: &'p Path, roots: &'p [PathBuf]) -> Option<(&'p Path, &'p Path)> {
    let plain = path.components().all(|part| part != Component::ParentDir);
    let mut under =
        roots.iter().filter_map(|root| Some((root.as_path(), path.strip_prefix(root).ok()?)));
    under.find(|(_, below)| plain && !below.as_os_str().is_empty())
}

/// What is at the path, opened for nothing but to look at it: reading a FIFO would block.
pub(super) fn find(root: &Path, below: &Path) -> Result<OwnedFd, Errno> {
    let path_only = OFlags::PATH | OFlags::CLOEXEC;
    let root = open(root, path_only | OFlags::DIRECTORY, Mode::empty())?;
    let strictly = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(&root, below, path_only, Mode::empty(), strictly)
}

fn refusal(what: &str, errno: Errno) -> OpenError {
    let what = what.to_owned();
    match errno {
        Errno::LOOP => OpenError::Symlink { what },
        Errno::XDEV => OpenError::Outside { what },
        Errno::NOENT | Errno::NOTDIR => OpenError::Gone { what },
        errno => OpenError::Io { what, source: errno.into() },
    }
}

fn lost(what: &str, source: io::Error) -> OpenError {
    let what = what.to_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::SRCH | Errno::NOENT) => OpenError::Gone { what },
        _ => OpenError::Io { what, source },
    }
}

/// Opens for use what was found, if it is a network namespace of somebody else.
fn checked(place: &OwnedFd, what: String) -> Result<Netns, OpenError> {
    let io = |source| OpenError::Io { what: what.clone(), source };
    if !is_namespace(place).map_err(io)? {
        return Err(OpenError::NotNamespace { what });
    }
    let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(io)?;
    match kind(file.as_fd()).map_err(io)? {
        "net" => {}
        found => return Err(OpenError::WrongType { what, found }),
    }
    if is_host(&file).map_err(io)? {
        return Err(OpenError::IsHost { what });
    }
    Netns::from_fd(file.into()).map_err(|source| OpenError::Enter { what, source })
}

/// Whether it is a namespace, of whichever type.
pub(super) fn is_namespace(place: &OwnedFd) -> io::Result<bool> {
    Ok(u64::try_from(fstatfs(place)?.f_type) == Ok(NSFS_MAGIC))
}

fn kind(namespace: BorrowedFd<'_>) -> io::Result<&'static str> {
    // SAFETY: NS_GET_NSTYPE takes no argument and touches no memory of ours; the fd is open for
    // as long as it is borrowed.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_NSTYPE) };
    match kind {
        libc::CLONE_NEWNET => Ok("net"),
        libc::CLONE_NEWNS => Ok("mnt"),
        libc::CLONE_NEWPID => Ok("pid"),
        libc::CLONE_NEWUSER => Ok("user"),
        libc::CLONE_NEWIPC => Ok("ipc"),
        libc::CLONE_NEWUTS => Ok("uts"),
        libc::CLONE_NEWCGROUP => Ok("cgroup"),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok("unknown"),
    }
}

/// Whether it is the calling thread's, the agent's or pid 1's. Device and inode are enough to
/// tell namespaces apart that all exist now. Pid 1's is not readable for everybody.
fn is_host(file: &File) -> io::Result<bool> {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let this = identity(file.metadata()?);
    let own = ["/proc/thread-self/ns/net", "/proc/self/ns/net", "/proc/1/ns/net"];
    Ok(own.iter().filter_map(|path| std::fs::metadata(path).ok()).any(|own| identity(own) == this))
}
