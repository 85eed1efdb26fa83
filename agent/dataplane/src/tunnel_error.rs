//! Why a worker could not do what it was asked.

use crate::protocol::TunnelId;

/// One tunnel's trouble. Nothing has changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Too few, too many, or not one socket each.
    #[error("tunnel {tunnel}: {peers} peers with {fds} descriptors")]
    Peers {
        /// Which tunnel.
        tunnel: TunnelId,
        /// How many peers.
        peers: usize,
        /// How many descriptors came with them.
        fds: usize,
    },
    /// More allowed IPs than [`crate::protocol::ALLOWED_IPS_MAX`].
    #[error("tunnel {tunnel}: {count} allowed IPs")]
    AllowedIps {
        /// Which tunnel.
        tunnel: TunnelId,
        /// How many.
        count: usize,
    },
    /// The first descriptor is no device.
    #[error("tunnel {tunnel}: use its device")]
    Device {
        /// Which tunnel.
        tunnel: TunnelId,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// A descriptor is no UDP socket, or cannot be changed.
    #[error("tunnel {tunnel}: use the socket of peer {peer}")]
    Socket {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which peer.
        peer: u16,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// A descriptor cannot be watched.
    #[error("tunnel {tunnel}: watch its descriptors")]
    Watch {
        /// Which tunnel.
        tunnel: TunnelId,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// There is no such tunnel.
    #[error("no tunnel {tunnel}")]
    NoTunnel {
        /// Which.
        tunnel: TunnelId,
    },
    /// There is no such peer.
    #[error("tunnel {tunnel}: no peer {peer}")]
    NoPeer {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which peer.
        peer: u16,
    },
    /// The descriptors could not be duplicated.
    #[error("tunnel {tunnel}: duplicate its descriptors")]
    Duplicate {
        /// Which tunnel.
        tunnel: TunnelId,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}
