//! The catalog's records as the API shows them, in the words of the apply document: no secret, no
//! config text.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Reason;
use crate::catalog::{
    Egress, ExpectedExit, GatewayScope, KeySharing, OnHooks, Owner, ProviderType, SelectionPolicy,
};
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderRecord {
    /// Its id.
    pub id: ProviderId,
    /// Unique among providers.
    pub name: String,
    /// The kind of tunnel its gateways speak.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Off: none of its gateways is offered.
    pub enabled: bool,
    /// A plugin service pushes its gateways.
    pub managed: bool,
    /// Gateways that a push brings for the first time start enabled.
    pub enable_new_managed_gateways: bool,
    /// The id that another system knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Grows with every change.
    pub version: u64,
    /// WireGuard: a config without a default route is taken.
    pub split: bool,
    /// WireGuard: what happens to commands in a config.
    pub on_hooks: OnHooks,
    /// WireGuard: how many sessions one key may carry.
    pub key_sharing: KeySharing,
    /// Which usable credential is tried first.
    pub selection: SelectionPolicy,
    /// Seconds a slot stays taken after an unclean end.
    pub release_delay_s: u32,
    /// The version of the snapshot that its plugin service pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_version: Option<u64>,
}

/// A gateway, without its config text: that may hold keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayRecord {
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
    /// Where its servers are, as its config has them; absent in a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The resolvers that its config names; absent in a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// The id that a plugin service knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Grows with every change.
    pub version: u64,
    /// What the world should see traffic come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_exit: Option<ExpectedExit>,
    /// Its plugin service no longer has it, which disabled it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// Which gateways of its provider a record allows: `"all"`, or a list of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ScopeView {
    /// All, also those to come.
    All(AllWord),
    /// The listed ones; none when empty.
    Selected(Vec<GatewayId>),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllWord {
    /// All gateways of the provider.
    All,
}

impl From<&GatewayScope> for ScopeView {
    fn from(scope: &GatewayScope) -> Self {
        match scope {
            GatewayScope::All => Self::All(AllWord::All),
            GatewayScope::Selected(ids) => Self::Selected(ids.iter().copied().collect()),
        }
    }
}

/// Who may use which gateways of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MappingRecord {
    /// Its id.
    pub id: MappingId,
    /// Whose gateways.
    pub provider_id: ProviderId,
    /// Off: it allows nothing.
    pub enabled: bool,
    /// Who may use them: one of `user`, `group`, `workspace`.
    #[serde(flatten)]
    pub owner: Owner,
    /// Which of them.
    pub gateways: ScopeView,
    /// Grows with every change.
    pub version: u64,
}

/// A credential, without what it proves itself with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialRecord {
    /// Its id; usable credentials are tried in this order.
    pub id: CredentialId,
    /// Whose gateways it opens.
    pub provider_id: ProviderId,
    /// Unique in its provider.
    pub name: String,
    /// Off: it is not used.
    pub enabled: bool,
    /// Who may use it: one of `user`, `group`, `workspace`.
    #[serde(flatten)]
    pub owner: Owner,
    /// OpenVPN: the user name it logs in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Which gateways it opens.
    pub gateways: ScopeView,
    /// How many live connections it may carry; absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_connection_limit: Option<u32>,
    /// Credentials of one account share one limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The id that another system knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// WireGuard: addresses it sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub address: Vec<IpNet>,
    /// WireGuard: resolvers it sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// WireGuard: the MTU it sets, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// WireGuard: it sets a preshared key.
    #[serde(default)]
    pub has_preshared_key: bool,
    /// Why a server did not take it, since the agent started and since its last change. It comes
    /// last among what an attach may use then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// Grows with every change.
    pub version: u64,
    /// Its plugin service no longer has it, which disabled it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// What is launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceRecord {
    /// Its name, which is its key.
    pub name: String,
    /// Whether it may run without a gateway.
    pub egress: Egress,
    /// Only its own mappings count.
    pub override_egress_gateways: bool,
    /// Grows with every change.
    pub version: u64,
}

/// A record of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A provider.
    Provider(ProviderRecord),
    /// A gateway.
    Gateway(GatewayRecord),
    /// A mapping.
    Mapping(MappingRecord),
    /// A credential.
    Credential(CredentialRecord),
    /// A workspace.
    Workspace(WorkspaceRecord),
}

impl Record {
    /// The record's version, which is its `ETag`.
    pub fn version(&self) -> u64 {
        match self {
            Self::Provider(record) => record.version,
            Self::Gateway(record) => record.version,
            Self::Mapping(record) => record.version,
            Self::Credential(record) => record.version,
            Self::Workspace(record) => record.version,
        }
    }
}

/// `GET /v1/providers`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderList {
    /// The records.
    pub providers: Vec<ProviderRecord>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/gateways`, by provider and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayList {
    /// The records.
    pub gateways: Vec<GatewayRecord>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/mappings`, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MappingList {
    /// The records.
    pub mappings: Vec<MappingRecord>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/credentials`, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialList {
    /// The records.
    pub credentials: Vec<CredentialRecord>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/workspaces`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceList {
    /// The records.
    pub workspaces: Vec<WorkspaceRecord>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
