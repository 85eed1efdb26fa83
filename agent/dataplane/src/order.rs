//! What the server asks of a worker, and what a worker reports.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::protocol::{Event, Reply, TunnelConfig, TunnelId, TunnelStats};

/// Names a request: which connection of control's it came by, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Grows with every connection.
    pub connection: u64,
    /// The request's number.
    pub number: u64,
}

/// One thing for a worker to do.
pub enum Order {
    /// Something with one tunnel. Answered by [`Report::Answered`].
    Tunnel {
        /// Whose order it is.
        ticket: Ticket,
        /// Which tunnel.
        tunnel: TunnelId,
        /// What.
        task: Task,
    },
    /// Count all tunnels. Answered by [`Report::Counted`].
    Stats {
        /// Whose order it is.
        ticket: Ticket,
    },
}

/// What is to be done with a tunnel, as in [`crate::protocol::Command`].
pub enum Task {
    /// Carry it, instead of a former one of that id.
    Add {
        /// What it is.
        config: TunnelConfig,
        /// Its device and its sockets.
        fds: Vec<OwnedFd>,
    },
    /// Use another socket for a peer.
    SetEndpoint {
        /// Which peer.
        peer: u16,
        /// What the socket is connected to.
        endpoint: SocketAddr,
        /// One: the socket.
        fds: Vec<OwnedFd>,
    },
    /// Let a peer be heard from any source.
    Listen {
        /// Which peer.
        peer: u16,
    },
    /// Forget it.
    Remove,
    /// Give duplicates of its descriptors.
    Export,
}

/// What a worker says.
pub enum Report {
    /// An order about a tunnel was carried out, or could not be.
    Answered {
        /// Whose order it was.
        ticket: Ticket,
        /// Which tunnel.
        tunnel: TunnelId,
        /// Whether the worker carries it now.
        carried: bool,
        /// The answer for control.
        answer: Answer,
    },
    /// The counts of all its tunnels.
    Counted {
        /// Whose order it was.
        ticket: Ticket,
        /// The counts.
        tunnels: Vec<TunnelStats>,
    },
    /// News.
    Happened(Event),
    /// The worker cannot go on.
    Ended {
        /// Why.
        error: std::io::Error,
    },
}

/// A reply with the descriptors that travel beside it.
#[derive(Debug)]
pub struct Answer {
    /// What is said.
    pub reply: Reply,
    /// What comes along.
    pub fds: Vec<OwnedFd>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, fds: Vec::new() }
    }
}

impl Answer {
    /// A refusal, with the whole chain of reasons in one sentence.
    pub fn failed(error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            reason = format!("{reason}: {error}");
            source = error.source();
        }
        Reply::Failed { reason }.into()
    }
}
