//! Each kind of entry, as it stands in a document.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use super::scope::Scope;
use super::text::Text;
use crate::catalog::model::{
    Egress, ExpectedExit, KeySharing, OnHooks, Owner, ProviderType, SelectionPolicy,
};
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// `[[provider]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Found by name, or made, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ProviderId>,
    /// Unique among providers.
    pub name: String,
    /// The kind of tunnel its gateways speak.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Default: true.
    #[schema(required = false, default = true)]
    pub enabled: bool,
    /// A plugin service pushes its gateways. Default: false.
    #[schema(required = false)]
    pub managed: bool,
    /// Gateways that a push brings for the first time start enabled. Default: false.
    #[schema(required = false)]
    pub enable_new_managed_gateways: bool,
    /// The id that another system knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// WireGuard: a config without a default route is taken. Default: false.
    #[schema(required = false)]
    pub split: bool,
    /// What to do with commands in a config, of which none is ever run. Default: refuse.
    #[schema(required = false)]
    pub on_hooks: OnHooks,
    /// WireGuard: how many sessions one key may carry. Default: exclusive.
    #[schema(required = false)]
    pub key_sharing: KeySharing,
    /// Which usable credential is tried first. Default: id.
    #[schema(required = false)]
    pub selection: SelectionPolicy,
    /// Seconds a slot stays taken after an unclean end. Default: 0.
    #[schema(required = false)]
    pub release_delay_s: u32,
}

/// `[[gateway]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayEntry {
    /// Found by provider and name, or made, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<GatewayId>,
    /// The provider's name or id.
    pub provider: String,
    /// Unique in its provider.
    pub name: String,
    /// For the launch menu.
    #[schema(required = false)]
    pub country: String,
    /// For the launch menu.
    #[schema(required = false)]
    pub city: String,
    /// Default: true.
    #[schema(required = false, default = true)]
    pub enabled: bool,
    /// wg-quick text, `.ovpn` text or free-form. A private key in it is not kept.
    pub config: Text,
    /// The id that a plugin service knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What the world should see traffic come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_exit: Option<ExpectedExit>,
}

/// `[[mapping]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MappingEntry {
    /// Found by provider and owner, or made, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MappingId>,
    /// The provider's name or id.
    pub provider: String,
    /// Who may use its gateways: one of `user`, `group`, `workspace`.
    #[serde(flatten)]
    pub owner: Owner,
    /// Which of them. Default: all.
    #[schema(required = false)]
    pub gateways: Scope,
    /// Default: true.
    #[schema(required = false, default = true)]
    pub enabled: bool,
}

/// `[[credential]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CredentialEntry {
    /// Found by provider and name, or made, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<CredentialId>,
    /// The provider's name or id.
    pub provider: String,
    /// Unique in its provider.
    pub name: String,
    /// Who may use it: one of `user`, `group`, `workspace`.
    #[serde(flatten)]
    pub owner: Owner,
    /// WireGuard: 32 bytes of base64. A secret that is left out stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Text>,
    /// OpenVPN: the user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// OpenVPN: the password. A secret that is left out stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Text>,
    /// Custom: free-form. A secret that is left out stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Text>,
    /// Which gateways it opens. Default: all.
    #[schema(required = false)]
    pub gateways: Scope,
    /// How many live connections it may carry, from 1; absent is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub active_connection_limit: Option<NonZeroU32>,
    /// Credentials naming the same account of a provider share one limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The id that another system knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// WireGuard: replaces the config's Address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<String>)]
    pub address: Vec<IpNet>,
    /// WireGuard: replaces the config's DNS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// WireGuard: replaces the config's MTU, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// WireGuard: replaces every peer's `PresharedKey`. One that is left out stays as it is; an
    /// empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preshared_key: Option<Text>,
    /// Default: true.
    #[schema(required = false, default = true)]
    pub enabled: bool,
}

/// `[[workspace]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceEntry {
    /// Its key.
    pub name: String,
    /// Whether it may run without a gateway. Default: required.
    #[schema(required = false)]
    pub egress: Egress,
    /// Offer only gateways mapped to this workspace. Default: false.
    #[schema(required = false)]
    pub override_egress_gateways: bool,
}
