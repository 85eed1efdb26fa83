//! What the machine is told, and what it wants.

use std::net::SocketAddr;
use std::time::Duration;

use crate::api::Reason;
use crate::openvpn::login::Login;
use crate::openvpn::management::{Command, Message};
use crate::openvpn::pushed::Pushed;
use crate::openvpn::supervision::Address;
use crate::secret::Secret;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The remotes' addresses, in the order in which they are to be tried; at least one.
    Resolved(Vec<Address>),
    /// No remote has an address.
    Unresolved(Reason),
    /// A process runs, and its management interface is connected.
    Started,
    /// No process could be started.
    NotStarted(Reason),
    /// The process said something.
    Said(Message),
    /// The process is gone.
    Ended {
        /// The last line of its output, if there was any.
        words: String,
        /// It came to its own end, and was not killed.
        by_itself: bool,
    },
}

/// What the supervisor is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Look the remotes up: [`Input::Resolved`] or [`Input::Unresolved`] answers.
    Resolve,
    /// Start a process for this address: [`Input::Started`] or [`Input::NotStarted`] answers.
    Start(Address),
    /// Tell the process.
    Send(Command),
    /// End the process: [`Input::Ended`] answers.
    End,
    /// Tell the session.
    Tell(News),
}

/// What the session hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The tunnel carries packets. `pushed` is to be applied to its device before anything leaves
    /// by it, and may have changed since the last time.
    Connected {
        /// The server's.
        endpoint: SocketAddr,
        /// Its addresses, routes and resolvers.
        pushed: Pushed,
    },
    /// It is not connected yet, and this is why as far as can be told. Trying goes on.
    Trouble(Reason),
    /// The connection was lost, or none of the servers could be connected to. Trying goes on.
    Down(Reason),
    /// Trying is over: it would not help until somebody changes something.
    Refused(Reason),
    /// The namespace that the device is in has ended. Trying is over.
    DeviceGone,
}

/// Whether the server knows that a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It does, or there was none.
    Told,
    /// It goes on counting it for a while.
    NotTold {
        /// About so long.
        cool_for: Duration,
    },
}

/// What a tunnel is made of beside its config.
#[derive(Debug)]
pub struct Setup {
    /// The credential's name and password.
    pub login: Option<Login>,
    /// The answer to what the server asks beside the password; sent to a server once.
    pub challenge: Option<Secret<String>>,
    /// Only what the server sends routes for goes through the tunnel.
    pub split: bool,
    /// What is known to be wrong with the config's certificates: why TLS fails, where it does.
    pub flaws: Option<String>,
    /// Makes waits and random orders its own.
    pub seed: u64,
}
