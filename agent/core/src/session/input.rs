//! What a session's machine is told.

use crate::api::Reason;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The oldest unanswered action is done.
    Done,
    /// The oldest unanswered action failed, and has been undone.
    Failed(Reason),
    /// The oldest unanswered action was left half-way: it may have been done, and it may not.
    Unknown(Reason),
    /// A handshake of this generation's tunnel is complete.
    Handshake {
        /// The tunnel it belongs to.
        generation: u64,
    },
    /// The gateway of this generation's tunnel owes the answer to a handshake. Its keys may still
    /// be good.
    Silent {
        /// The tunnel it belongs to.
        generation: u64,
    },
    /// The gateway of this generation's tunnel answers nothing any more.
    Dead {
        /// The tunnel it belongs to.
        generation: u64,
    },
    /// The server of this generation's tunnel took the credential and gave the device its addresses.
    Connected {
        /// The tunnel it belongs to.
        generation: u64,
    },
    /// This generation's tunnel is not connected, any more or yet. It goes on trying by itself.
    Down {
        /// The tunnel it belongs to.
        generation: u64,
        /// Why, as far as can be told.
        reason: Reason,
    },
    /// The server of this generation's tunnel refuses, and would refuse again.
    Refused {
        /// The tunnel it belongs to.
        generation: u64,
        /// Why.
        reason: Reason,
    },
    /// This generation's tunnel has ended, and does not come back by itself.
    Ended {
        /// The tunnel it belongs to.
        generation: u64,
        /// Why.
        reason: Reason,
    },
    /// The host's own addresses are others: what the seal refuses is too.
    HostRenumbered,
    /// The container's namespace is gone.
    NamespaceGone,
    /// What the session runs on was taken away or replaced, and it is not to run on.
    Cut {
        /// Why, in a sentence.
        why: String,
    },
    /// Take the egress away; `release` also takes the seal off.
    Detach {
        /// Whether the container is the launcher's again.
        release: bool,
    },
    /// The agent stops: an attach that is under way is undone, a session that stands is left to
    /// the data plane.
    Shutdown,
}
