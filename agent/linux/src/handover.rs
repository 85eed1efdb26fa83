//! Taking a descriptor over from the process that started this one.

use std::{fs::File, io, os::fd::OwnedFd};

use rustix::{
    io::fcntl_dupfd_cloexec,
    stdio::{dup2_stdin, stdin},
};

/// Takes what standard input is, which is `/dev/null` from then on.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let taken = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(taken)
}
