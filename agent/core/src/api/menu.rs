//! What a subject may choose from, and who is connected.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::why;
use crate::id::{CredentialId, GatewayId, ProviderId, SessionId};

/// A gateway as launchers see it: no config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayView {
    /// Its id.
    pub id: GatewayId,
    /// Its name, unique in its provider.
    pub name: String,
    /// Its provider's id.
    pub provider_id: ProviderId,
    /// Its provider's name.
    pub provider: String,
    /// For the launch menu.
    pub country: String,
    /// For the launch menu.
    pub city: String,
}

/// One line of the launch menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// The gateway.
    #[serde(flatten)]
    pub gateway: GatewayView,
    /// What the agent knows of it from its sessions.
    pub health: Health,
}

/// What the agent knows of a gateway from the sessions it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No session has used it since the agent started.
    Unknown,
    /// The newest news of it is a handshake.
    Up,
    /// The newest news of it is a failure.
    Down,
}

/// Live connections of one credential, with its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionsView {
    /// The credential.
    pub credential_id: CredentialId,
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Leases held, those being brought up included.
    pub in_use: u32,
    /// How many it may carry; absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Who holds them.
    pub sessions: Vec<SessionId>,
}

/// `GET /v1/offers`: the launch menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferList {
    /// What the subject may choose now, by provider, country, city and name.
    pub offers: Vec<OfferView>,
    /// With `explain=1`: every other gateway and why it is not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<HiddenGateway>>,
}

/// A gateway that is not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HiddenGateway {
    /// The gateway.
    #[serde(flatten)]
    pub gateway: GatewayView,
    /// Everything that stands in the way; at least one.
    pub reasons: Vec<HiddenReason>,
}

/// One thing that keeps a gateway from being offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HiddenReason {
    /// A stable word.
    #[schema(schema_with = why::words)]
    pub code: String,
    /// A sentence naming the records in the way.
    pub detail: String,
}

/// Live connections of an account: of all credentials that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountUse {
    /// Whose account.
    pub provider_id: ProviderId,
    /// Its provider's name; empty when the provider was removed meanwhile.
    pub provider: String,
    /// The account, as its credentials name it.
    pub account: String,
    /// Leases held, those being brought up included.
    pub in_use: u32,
    /// How many it may carry; absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Live connections of one WireGuard private key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyUse {
    /// Its public key in base64; absent when its credential was removed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The credentials in use that have it, by id.
    pub credential_ids: Vec<CredentialId>,
    /// Leases held, those being brought up included.
    pub in_use: u32,
    /// The pairs of this key and a peer's that these hold, each a SHA-256 digest in hexadecimal. A
    /// pair may be live once, on one host; empty where the provider shares keys without limit.
    pub pairs: Vec<String>,
}

/// `GET /v1/connections`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionList {
    /// One entry for each credential, by id; those in use by nobody included.
    pub connections: Vec<ConnectionsView>,
    /// One entry for each account, by provider id and name; those in use by nobody included.
    #[serde(default)]
    pub accounts: Vec<AccountUse>,
    /// One entry for each WireGuard key in use, by public key.
    #[serde(default)]
    pub keys: Vec<KeyUse>,
}

impl ConnectionList {
    /// What is in use.
    #[must_use]
    pub fn only_in_use(mut self) -> Self {
        self.connections.retain(|credential| credential.in_use > 0);
        self.accounts.retain(|account| account.in_use > 0);
        self.keys.retain(|key| key.in_use > 0);
        self
    }
}

/// `GET /v1/gateways:resolve`: the gateway somebody means by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayRef {
    /// Its id.
    pub id: GatewayId,
}
