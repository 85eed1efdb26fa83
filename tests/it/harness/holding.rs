//! Holding what another process has open, as its child does until it executes something.

use std::fs;
use std::os::fd::OwnedFd;

use egress_linux::process::PidFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

/// Duplicates of every socket that a process listens at.
pub fn listeners_of(pid: i32) -> Vec<OwnedFd> {
    let process = PidFd::open(pid.cast_unsigned()).expect("the process lives");
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").flatten();
    let sockets = files.filter_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.starts_with("socket:").then_some(())?;
        file.file_name().to_str()?.parse::<i32>().ok()
    });
    let held =
        sockets.filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok());
    held.filter(|socket| socket_acceptconn(socket).unwrap_or(false)).collect()
}
