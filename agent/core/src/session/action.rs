//! What a session's machine has done.

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take up the tunnel that the data plane carries, and check that the open ruleset stands.
    Adopt,
    /// Apply the closed ruleset and read it back.
    Close,
    /// Choose a credential and take its lease.
    Claim,
    /// Create the device, hand it to what moves its packets, move it; what the profile says of it is
    /// configured.
    BringUp {
        /// What the tunnel's news will be marked with.
        generation: u64,
    },
    /// Give the device what the server gave.
    Configure,
    /// Look the endpoints' names up again and use what they say now.
    Resolve,
    /// Apply the open ruleset.
    Open,
    /// End what moves the tunnel's packets and close the device.
    TearDown,
    /// Give the lease back.
    Release,
    /// Take the ruleset away.
    Unseal,
}
