//! What a session's machine waits for.

use crate::api::SessionState;

/// What the machine waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The tunnel of the life before.
    Adopting,
    /// The first seal.
    Sealing,
    /// The lease.
    Claiming,
    /// The tunnel.
    Raising,
    /// The gateway's answer.
    Handshaking,
    /// The device's addresses, which the server gave.
    Configuring,
    /// The open ruleset.
    Opening,
    /// Trouble.
    Open,
    /// The seal of a session whose tunnel fell silent.
    Resealing,
    /// The next try.
    Waiting,
    /// The end of the actions that undo everything.
    Unwinding(SessionState),
    /// Nothing but a detach.
    Resting,
}

impl Phase {
    /// What a session in it is about, as a refusal says it.
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Adopting => "taking the tunnel up again",
            Self::Sealing => "sealing the container",
            Self::Claiming => "taking the credential's lease",
            Self::Raising => "bringing the tunnel up",
            Self::Handshaking => "waiting for the gateway",
            Self::Configuring => "configuring the tunnel's device",
            Self::Opening => "opening the seal",
            Self::Resealing => "sealing the container again",
            Self::Unwinding(_) => "undoing the attach",
            Self::Open | Self::Waiting | Self::Resting => "waiting",
        }
    }
}
