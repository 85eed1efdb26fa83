//! A foreign program that may compute and speak over the network, and nothing else.
//!
//! It has a user of its own, no capability in any set, a short list of system calls, and files that
//! its user may read. It is made to believe that it opened `/dev/net/tun` and made a device: it is
//! handed one of ours. So the device stays where it is, and the program needs no right to it.

mod filter;
mod listener;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command},
    thread,
};

use rustix::{
    io::Errno,
    process::{Gid, Resource, Rlimit, Uid, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

pub use listener::{Answered, Listener};

use crate::process::{close_on_exec_from, forbid_new_privileges};

/// The most of its own files, ours and sockets included.
const FILES_MAX: u64 = 64;
/// The most memory of its own, in bytes.
const DATA_MAX: u64 = 256 << 20;

/// What is started.
#[derive(Debug)]
pub struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its arguments, which everybody can read.
    pub arguments: Vec<OsString>,
    /// Its user and group, by number.
    pub uid: u32,
    /// Its standard input.
    pub input: OwnedFd,
    /// Its standard output and error.
    pub output: OwnedFd,
    /// What it gets for every file that it opens to read and write, which `/dev/net/tun` alone is.
    pub device: OwnedFd,
}

/// Starts it, in the calling thread's namespaces, with an empty environment, in `/`. It waits
/// whenever it opens its device: until [`Listener::answer`] has answered, or for an error when
/// that is dropped.
pub fn spawn(program: Program) -> io::Result<(Child, Listener)> {
    let (ours, theirs) = UnixStream::pair()?;
    let Program { path, arguments, uid, input, output, device } = program;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().current_dir("/").process_group(0);
    command.stdin(input).stdout(output.try_clone()?).stderr(output);
    let rules = filter::rules();
    let socket = theirs.as_raw_fd();
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe functions may be
    // called: it makes plain system calls on numbers and memory made before, and allocates nothing.
    unsafe { command.pre_exec(move || give_all_up(uid, &rules, socket)) };
    // The call that executes waits for its answer, so that somebody else has to give it.
    thread::scope(|scope| {
        let starter = scope.spawn(move || {
            let child = command.spawn();
            drop((command, theirs));
            child
        });
        let listener = listener::receive(&ours, device).and_then(Listener::admit_program);
        // With a listener that came too late: a child that nobody answers would wait for ever.
        drop(ours);
        let child = starter.join().unwrap_or_else(|_| Err(io::Error::other("a thread died")));
        // What the program's start failed with says more than that there is no listener then.
        let mut child = child?;
        match listener {
            Ok(listener) => Ok((child, listener)),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    })
}

fn give_all_up(uid: u32, rules: &filter::Rules, socket: RawFd) -> io::Result<()> {
    become_user(uid)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Data, DATA_MAX)?;
    close_on_exec_from(3)?;
    forbid_new_privileges()?;
    let listener = rules.install()?;
    // Only now: until it executes it has all files of its parent, and the listener is one more.
    limit(Resource::Nofile, FILES_MAX)?;
    // SAFETY: `socket` is the parent's end's other one, open in this process until it executes.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    listener::send(socket, &listener)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// As plain system calls: those of the C library would first ask threads that a child has not got.
fn become_user(uid: u32) -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(set_capabilities(None, none)?)
}
