//! What a gateway's config says, and how much of it there may be.

use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::endpoint::Endpoint;
use crate::catalog::model::OnHooks;
use crate::secret::Secret;

/// The most bytes a config may have: 256 KiB.
pub const SIZE_MAX: usize = 256 * 1024;
/// The most peers a config may have.
pub const PEERS_MAX: usize = 16;
/// The most allowed IPs of all peers together.
pub const ALLOWED_IPS_MAX: usize = 4096;
/// The most tunnel addresses, resolvers or search domains.
pub const LIST_MAX: usize = 16;

/// What a provider allows its configs to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// A config without a default route is taken.
    pub split: bool,
    /// What to do with commands.
    pub on_hooks: OnHooks,
}

/// A gateway's config: all of it that a tunnel needs, and nothing that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// A real key in the text; the credential's replaces it.
    pub private_key: Option<Secret<[u8; 32]>>,
    /// Tunnel addresses with their prefix lengths; may be empty, the credential may have them.
    pub addresses: Vec<IpNet>,
    /// Resolvers to be asked through the tunnel.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// The device's MTU in bytes.
    pub mtu: Option<u16>,
    /// One to [`PEERS_MAX`] peers with different public keys.
    pub peers: Vec<Peer>,
}

/// One `[Peer]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Never a point of low order.
    pub public_key: [u8; 32],
    /// Mixed into the handshake; the credential's replaces it.
    pub preshared_key: Option<Secret<[u8; 32]>>,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Networks behind it, host bits cleared; at least one.
    pub allowed_ips: Vec<IpNet>,
    /// Seconds between keepalives.
    pub keepalive: Option<NonZeroU16>,
}
