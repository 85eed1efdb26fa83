//! The unprivileged packet process: every WireGuard tunnel's packets, on a few threads. The devices
//! of other tunnels it only keeps, so that they live on when control dies.
//!
//! Control ([`protocol`]'s other end) creates devices and sockets and hands over file descriptors
//! and keys; this process can do nothing but move packets between them. It lives on when control
//! dies, and control finds it again by its socket.
//!
//! [`run`] is the process. Its main thread (`server`) talks with control and gives each tunnel to
//! one `worker`; a worker waits (`poller`) for the descriptors of its tunnels, and a `tunnel`
//! moves packets between its `device` and its peers' `socket`s.

use std::io;
use std::os::fd::OwnedFd;

use egress_linux::{memory, process};

use self::line::Line;

pub mod checksum;
pub mod coalesce;
pub mod message;
pub mod packet;
pub mod protocol;
pub mod segment;
pub mod transport;
pub mod vnet;

mod bell;
mod confinement;
mod connection;
mod counting;
mod crew;
mod device;
mod handshake;
mod jitter;
mod keeper;
mod line;
mod news;
mod order;
mod outbox;
mod peer;
mod poller;
mod roster;
mod routing;
mod server;
mod socket;
mod traffic;
mod tunnel;
mod tunnel_error;
mod tunnels;
mod turn;
mod worker;

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that move packets; 0 counts as 1.
    pub workers: usize,
}

/// Why the data plane did not start, or ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not give up what it must not have.
    #[error("harden the data-plane process")]
    Harden(#[source] io::Error),
    /// It cannot talk with control.
    #[error("take control's connection")]
    Connect(#[source] io::Error),
    /// Its threads did not start, or one has ended.
    #[error("carry packets")]
    Serve(#[source] server::Error),
}

/// Is the data plane: serves whoever is at the other end of `control`, a connected seqpacket
/// socket, and carries tunnels. Returns when it carries none and control has said
/// [`protocol::Command::Bye`] or has been gone for 10 s.
///
/// The caller has dropped its privileges. What this changes it changes for the process (not
/// dumpable, no core, as many files as allowed, no system call but those of `confinement`) and for
/// the threads it starts (no new privileges).
pub fn run(control: OwnedFd, options: Options) -> Result<(), Error> {
    process::forbid_new_privileges().map_err(Error::Harden)?;
    process::harden_self().map_err(Error::Harden)?;
    process::raise_nofile_limit().map_err(Error::Harden)?;
    memory::share_one_pool().map_err(Error::Harden)?;
    let line = Line::new(control).map_err(Error::Connect)?;
    let workers = options.workers.max(1);
    tracing::info!(workers, "the data plane starts");
    server::serve(line, workers).map_err(Error::Serve)?;
    tracing::info!("the data plane ends, with nothing to carry");
    Ok(())
}
