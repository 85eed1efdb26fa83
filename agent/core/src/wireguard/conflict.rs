//! One WireGuard key is one connection: what two sessions must not hold at the same time.

use std::fmt;

use sha2::{Digest, Sha256};

use super::gateway::{GatewayConfig, Peer};
use crate::catalog::model::KeySharing;

/// Names the pair (client key, peer key), without telling either.
///
/// A server keeps one endpoint per client key, so two live sessions with the same pair silence
/// each other: no two may hold the same `ConflictKey`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConflictKey(pub [u8; 32]);

impl fmt::Debug for ConflictKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConflictKey(")?;
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

/// What a session with this client key on this gateway holds: one key per peer, none where keys
/// are shared without limit.
pub fn conflict_keys(
    client_public_key: &[u8; 32],
    gateway: &GatewayConfig,
    sharing: KeySharing,
) -> impl Iterator<Item = ConflictKey> {
    gateway.peers.iter().filter_map(move |peer| conflict_key(client_public_key, peer, sharing))
}

fn conflict_key(client: &[u8; 32], peer: &Peer, sharing: KeySharing) -> Option<ConflictKey> {
    let hash = Sha256::new().chain_update(client).chain_update(peer.public_key);
    let hash = match sharing {
        KeySharing::Exclusive => hash,
        KeySharing::PerEndpoint => hash.chain_update(peer.endpoint.to_string()),
        KeySharing::Unlimited => return None,
    };
    Some(ConflictKey(hash.finalize().into()))
}
