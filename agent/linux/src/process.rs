//! What a process may do and be, ours and those we start.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
};

use crate::process_stat;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions,
        getrlimit, pidfd_open, pidfd_send_signal, set_dumpable_behavior, setrlimit, waitid,
    },
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

/// Keeps secrets of this process out of core dumps and out of the reach of other processes of
/// its user: its /proc entries belong to root from now on. Children inherit the core limit only.
pub fn harden_self() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Makes sure that the calling thread, and every thread and process that it starts, never gains
/// a privilege by executing something.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Raises the limit of open files as far as it goes, and returns how far that is.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Gives up every capability of the calling thread but `kept`, for good. Threads inherit it:
/// call it before there are any.
pub fn drop_capabilities_except(kept: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    clear_ambient_capability_set()?;
    let has = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Starts `command` as `uid` and `gid` without other groups, in a process group of its own, with
/// no file but standard input, output and error, and unable to gain privileges.
pub fn spawn_as(mut command: Command, uid: u32, gid: u32) -> io::Result<Child> {
    // Given a uid, Command also drops all supplementary groups when it runs as root.
    command.uid(uid).gid(gid).process_group(0);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe functions may
    // be called: it makes two plain system calls and allocates nothing.
    unsafe { command.pre_exec(close_and_confine) };
    command.spawn()
}

fn close_and_confine() -> io::Result<()> {
    close_on_exec_from(3)?;
    forbid_new_privileges()
}

/// Closes what has this number or a higher one now when the process executes something.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call marks file descriptors and touches no memory; those marked stay open here.
    let result =
        unsafe { libc::close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A process, and no other that gets its number later. Readable when it has ended.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: Pid,
}

impl PidFd {
    /// Fails with `ESRCH` when there is no such process.
    pub fn open(pid: u32) -> io::Result<PidFd> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(PidFd { fd, pid }),
            // The number of a thread that is not its process's first.
            Err(Errno::INVAL) => Err(Errno::SRCH.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it still runs; a zombie does not.
    pub fn alive(&self) -> bool {
        let mut ended = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }

    /// Whether a signal has stopped it (`SIGSTOP`, not a debugger) and none has let it go on.
    pub fn is_stopped(&self) -> bool {
        process_stat::read(self.pid()).is_ok_and(|stat| stat.is_stopped()) && self.alive()
    }

    /// The same of a child of this process, in a tenth of the time.
    pub fn is_stopped_child(&self) -> bool {
        // Noted for whoever asks next, and not taken away.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(self.fd.as_fd()), stopped).is_ok_and(|found| found.is_some())
    }

    /// Fails with `ESRCH` when it has ended and was waited for.
    pub fn send_signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.fd, signal)?)
    }

    /// The real uid of its user: who may signal it, besides root. `ESRCH` when it has ended.
    pub fn process_uid(&self) -> io::Result<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uid = uids.and_then(|uids| uids.split_whitespace().next()?.parse().ok());
        if !self.alive() {
            return Err(Errno::SRCH.into());
        }
        uid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no Uid in /proc/PID/status"))
    }
}

impl From<PidFd> for OwnedFd {
    fn from(process: PidFd) -> OwnedFd {
        process.fd
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
