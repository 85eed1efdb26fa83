//! The catalog's records, field by field.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};
use crate::secret::Secret;

/// What kind of tunnel a provider's gateways speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// A supervised openvpn process; gateways hold `.ovpn` text.
    Openvpn,
    /// Userspace WireGuard; gateways hold wg-quick text.
    Wireguard,
    /// A driver program the host's admin registered; gateways hold free-form text.
    Custom,
}

/// What to do with commands in a gateway's text: WireGuard's `PreUp`, `PostUp`, `PreDown`, `PostDown`
/// and `SaveConfig`, OpenVPN's `up`, `down`, `route-up`, `route-pre-down` and `ipchange`. None is
/// ever run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnHooks {
    /// Refuse the gateway.
    #[default]
    Refuse,
    /// Ignore the lines, with a warning.
    Drop,
}

/// How many live sessions one WireGuard key may carry.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeySharing {
    /// One per (private key, peer public key): a server keeps one endpoint per key, so a second
    /// session silences the first.
    #[default]
    Exclusive,
    /// One per (private key, peer public key, endpoint), for providers whose servers share a key.
    PerEndpoint,
    /// As many as the credential's own limit allows.
    Unlimited,
}

/// In which order usable credentials are tried.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionPolicy {
    /// Ascending credential id.
    #[default]
    Id,
    /// Fewest live connections first, then ascending id.
    LeastUsed,
    /// The workspace's credentials, then the user's, then the groups'; ascending id within each.
    ScopeFirst,
}

/// Somebody who runs VPN gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Unique among providers.
    pub name: String,
    /// The kind of tunnel all of its gateways speak.
    pub kind: ProviderType,
    /// Off: none of its gateways is offered.
    pub enabled: bool,
    /// A plugin service pushes its gateways.
    pub managed: bool,
    /// Gateways that a push brings for the first time start enabled.
    pub enable_new_managed_gateways: bool,
    /// The id that another system knows it by.
    pub external_id: Option<String>,
    /// Grows with every change; the API's `ETag`.
    pub version: u64,
    /// WireGuard: a config whose `AllowedIPs` lack a default route is taken. OpenVPN: only what the
    /// server sends routes for goes through the tunnel. The rest is blocked, never direct.
    pub split: bool,
    /// What to do with commands in a config.
    pub on_hooks: OnHooks,
    /// WireGuard: how many sessions one key may carry.
    pub key_sharing: KeySharing,
    /// Which usable credential is tried first.
    pub selection: SelectionPolicy,
    /// Seconds a slot stays taken after an unclean end, while the VPN server still counts it.
    pub release_delay_s: u32,
    /// What its plugin service pushed last.
    pub last_push: Option<LastPush>,
}

/// Which snapshot a plugin service pushed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPush {
    /// The snapshot's own version.
    pub version: u64,
    /// What was in it. A secret, since passwords in it could be guessed at.
    pub digest: Secret<[u8; 32]>,
}

/// The newest snapshot of a plugin service has left a record out, which disabled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn {
    /// It was enabled when it went, and nobody has switched it since: the next snapshot that has
    /// it enables it again.
    pub was_enabled: bool,
}

/// One way out: a VPN server with a place on the map.
#[derive(Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its id.
    pub id: GatewayId,
    /// Whose it is.
    pub provider_id: ProviderId,
    /// Unique in its provider.
    pub name: String,
    /// For the launch menu.
    pub country: String,
    /// For the launch menu.
    pub city: String,
    /// Off: it is not offered.
    pub enabled: bool,
    /// wg-quick text, `.ovpn` text, or free-form for a custom provider. Holds no private key
    /// of WireGuard's and no login of OpenVPN's: they are cut out when the record enters. It may hold
    /// other keys, so it is sealed at rest, and shown only through [`crate::wireguard::redact`] or
    /// [`crate::openvpn::redact`].
    pub config: String,
    /// The id that a plugin service knows it by; unique in its provider.
    pub external_id: Option<String>,
    /// Grows with every change.
    pub version: u64,
    /// What the world should see traffic come from.
    pub expected_exit: Option<ExpectedExit>,
    /// Its plugin service no longer has it.
    pub withdrawn: Option<Withdrawn>,
}

impl fmt::Debug for Gateway {
    /// Without the config, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("id", &self.id)
            .field("provider_id", &self.provider_id)
            .field("name", &self.name)
            .field("enabled", &self.enabled)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What the world should see traffic through a gateway come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedExit {
    /// Networks the exit address must be in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpNet>,
    /// ISO 3166 country the exit address must be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// Who a mapping or a credential belongs to: exactly one of three. Names are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// One user.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// Whoever launches this workspace.
    Workspace(String),
}

/// Which gateways of its provider a mapping or credential allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayScope {
    /// All, also those to come.
    All,
    /// The listed ones; an empty list allows none.
    Selected(BTreeSet<GatewayId>),
}

/// Who may use which gateways of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// Whose gateways.
    pub provider_id: ProviderId,
    /// Off: it allows nothing.
    pub enabled: bool,
    /// Who may use them.
    pub owner: Owner,
    /// Which of them.
    pub gateways: GatewayScope,
    /// Grows with every change.
    pub version: u64,
}

/// What a credential proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSecret {
    /// OpenVPN: neither part holds a newline or a NUL.
    UserPassword {
        /// Sent in clear inside TLS, shown in API replies.
        username: String,
        /// Write-only.
        password: Secret<String>,
    },
    /// WireGuard: the interface's private key, 32 bytes of Curve25519.
    PrivateKey(Secret<[u8; 32]>),
    /// A custom driver's own, free-form.
    Custom(Secret<String>),
}

/// What a WireGuard credential sets in the gateway's config, so that two users of one gateway do
/// not share a tunnel address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireguardOverrides {
    /// `Address`: replaces the gateway's.
    pub addresses: Vec<IpNet>,
    /// `DNS`: replaces the gateway's.
    pub dns: Vec<IpAddr>,
    /// `MTU`: replaces the gateway's.
    pub mtu: Option<u16>,
    /// `PresharedKey` of every peer.
    pub preshared_key: Option<Secret<[u8; 32]>>,
}

/// The right to connect to gateways of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id; usable credentials are tried in this order.
    pub id: CredentialId,
    /// Whose gateways it opens.
    pub provider_id: ProviderId,
    /// Unique in its provider.
    pub name: String,
    /// Off: it is not used.
    pub enabled: bool,
    /// Who may use it.
    pub owner: Owner,
    /// Its secret.
    pub secret: CredentialSecret,
    /// Which gateways it opens.
    pub gateways: GatewayScope,
    /// How many live connections it may carry; `None` is no limit.
    pub limit: Option<NonZeroU32>,
    /// The id that another system knows it by.
    pub external_id: Option<String>,
    /// WireGuard: what it sets beside the key.
    pub overrides: WireguardOverrides,
    /// Credentials naming the same account of a provider share one limit, the smallest of theirs.
    pub account: Option<String>,
    /// Grows with every change.
    pub version: u64,
    /// Its plugin service no longer has it.
    pub withdrawn: Option<Withdrawn>,
    /// The version that brought what a tunnel is made of: the secret and the overrides. A session
    /// that came up with another one runs on what the catalog no longer has.
    pub secret_version: u64,
}

/// Whether a workspace may run without a gateway.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// An attach may name no gateway.
    Optional,
    /// Through a gateway or not at all. Also what holds for workspaces without a record.
    #[default]
    Required,
}

/// What is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its name, which is its key: opaque, compared exactly.
    pub name: String,
    /// Whether it may run without a gateway.
    pub egress: Egress,
    /// Only the workspace's own mappings count, not the user's or the groups'.
    pub override_egress_gateways: bool,
    /// Grows with every change.
    pub version: u64,
}

/// Who is asking. Opaque names, compared exactly; the agent has no user directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub user: Option<String>,
    /// All of the user's groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4096)]
    pub groups: Vec<String>,
    /// The workspace that is launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub workspace: Option<String>,
}

impl Subject {
    /// Whether a record of this owner speaks for this subject.
    pub fn is(&self, owner: &Owner) -> bool {
        match owner {
            Owner::User(name) => self.user.as_ref() == Some(name),
            Owner::Group(name) => self.groups.contains(name),
            Owner::Workspace(name) => self.workspace.as_ref() == Some(name),
        }
    }
}

impl GatewayScope {
    /// Whether this gateway is allowed.
    pub fn allows(&self, gateway: GatewayId) -> bool {
        match self {
            Self::All => true,
            Self::Selected(ids) => ids.contains(&gateway),
        }
    }
}

impl CredentialSecret {
    /// Whether gateways of this kind take such a secret.
    pub fn fits(&self, kind: ProviderType) -> bool {
        kind == match self {
            Self::UserPassword { .. } => ProviderType::Openvpn,
            Self::PrivateKey(_) => ProviderType::Wireguard,
            Self::Custom(_) => ProviderType::Custom,
        }
    }
}
