//! What stands in a snapshot.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::document::{CredentialEntry, Scope, Text};
use crate::catalog::model::Owner;

/// One of `gateways`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedGateway {
    /// The service's own id for it: what it is found by.
    #[schema(min_length = 1)]
    pub external_id: String,
    /// Unique in its provider.
    #[schema(min_length = 1)]
    pub name: String,
    /// For the launch menu.
    #[schema(required = false)]
    pub country: String,
    /// For the launch menu.
    #[schema(required = false)]
    pub city: String,
    /// wg-quick text, `.ovpn` text or free-form. A private key in it is not kept.
    pub config: Text,
}

/// One of `credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PushedCredential {
    /// The service's own id for it: what it is found by.
    #[schema(min_length = 1)]
    pub external_id: String,
    /// Unique in its provider.
    #[schema(min_length = 1)]
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
    /// Which gateways it opens, by their `external_id`. Default: all.
    #[schema(required = false)]
    pub gateways: Scope,
    /// How many live connections it may carry, from 1; absent is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub active_connection_limit: Option<NonZeroU32>,
    /// Credentials naming the same account of a provider share one limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
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
}

impl From<&PushedCredential> for CredentialEntry {
    /// The entry of an apply document that says the same, but for whose it is.
    fn from(pushed: &PushedCredential) -> Self {
        let pushed = pushed.clone();
        Self {
            id: None,
            provider: String::new(),
            name: pushed.name,
            owner: pushed.owner,
            private_key: pushed.private_key,
            username: pushed.username,
            password: pushed.password,
            custom: pushed.custom,
            gateways: pushed.gateways,
            active_connection_limit: pushed.active_connection_limit,
            account: pushed.account,
            external_id: Some(pushed.external_id),
            address: pushed.address,
            dns: pushed.dns,
            mtu: pushed.mtu,
            preshared_key: pushed.preshared_key,
            enabled: true,
        }
    }
}
