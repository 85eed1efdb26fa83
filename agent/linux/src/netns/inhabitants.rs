//! Who lives in a network namespace, and whether its name still leads there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, metadata, read_dir},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use rustix::fs::fstat;

use super::{
    enter::Netns,
    open::{find, is_namespace, split},
};
use crate::process::PidFd;

impl Netns {
    /// Tells it from every other namespace that exists now. A later one may have the same: compare
    /// it only while something keeps this one alive, or where a mistake does no harm.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(fstat(self)?.st_ino)
    }
}

/// The processes that live in the namespaces with these inodes, by inode; a namespace that nobody
/// lives in is left out. One look at every process of the machine: about 3 µs each.
///
/// A process counts by its first thread, or by the others where that has ended. One that may not
/// be looked at does not count.
pub fn inhabitants(inodes: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, Vec<u32>>> {
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for entry in read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(inode) = home(pid).filter(|inode| inodes.contains(inode)) {
            found.entry(inode).or_default().push(pid);
        }
    }
    Ok(found)
}

/// The process of this number, if it lives in the namespace with this inode.
pub fn inhabitant(pid: u32, inode: u64) -> Option<PidFd> {
    let process = PidFd::open(pid).ok()?;
    let lives_there = home(pid) == Some(inode);
    // Only now is it certain that /proc/PID was the process of the pidfd.
    (lives_there && process.alive()).then_some(process)
}

/// Whether `path`, below one of `roots`, leads to the namespace with this inode.
pub fn leads_to(path: &Path, roots: &[PathBuf], inode: u64) -> bool {
    let place = split(path, roots).and_then(|(root, below)| find(root, below).ok());
    place.is_some_and(|place| {
        is_namespace(&place).unwrap_or(false) && fstat(&place).is_ok_and(|it| it.st_ino == inode)
    })
}

fn home(pid: u32) -> Option<u64> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    match metadata(process.join("ns/net")) {
        Ok(namespace) => Some(namespace.ino()),
        // Its first thread is in no namespace any more; the others may go on.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut threads = read_dir(process.join("task")).ok()?.flatten();
            threads.find_map(|thread| Some(metadata(thread.path().join("ns/net")).ok()?.ino()))
        }
        Err(_) => None,
    }
}

/// Tells that something was mounted or unmounted where the thread that opens it looks for paths.
///
/// Waiting for `POLLPRI` is all that it is for.
#[derive(Debug)]
pub struct MountChanges(File);

impl MountChanges {
    /// Hears of what changes from now on.
    pub fn open() -> io::Result<MountChanges> {
        File::open("/proc/thread-self/mountinfo").map(MountChanges)
    }
}

impl AsFd for MountChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<MountChanges> for OwnedFd {
    fn from(changes: MountChanges) -> OwnedFd {
        changes.0.into()
    }
}
