//! The catalog's records, turned into what the API lists.

use super::{
    CredentialRecord, GatewayRecord, MappingRecord, ProviderRecord, Record, ScopeView,
    WorkspaceRecord,
};
use crate::catalog::{
    Catalog, Credential, CredentialSecret, Gateway, Mapping, Provider, RecordId, Workspace,
};
use crate::id::GatewayId;
use crate::openvpn::Remote;

impl Record {
    /// A record of this catalog as the API shows it.
    pub fn of(catalog: &Catalog, record: &RecordId) -> Option<Self> {
        Some(match record {
            RecordId::Provider(id) => Self::Provider(catalog.provider(*id)?.into()),
            RecordId::Gateway(id) => Self::Gateway(gateway(catalog, *id)?),
            RecordId::Mapping(id) => Self::Mapping(catalog.mapping(*id)?.into()),
            RecordId::Credential(id) => Self::Credential(catalog.credential(*id)?.into()),
            RecordId::Workspace(name) => Self::Workspace(catalog.workspace(name)?.into()),
        })
    }
}

/// A gateway with what its config says of it.
fn gateway(catalog: &Catalog, id: GatewayId) -> Option<GatewayRecord> {
    let record = GatewayRecord::from(catalog.gateway(id)?);
    if let Some(config) = catalog.wireguard(id) {
        let endpoints = config.peers.iter().map(|peer| peer.endpoint.to_string()).collect();
        return Some(GatewayRecord { endpoints, dns: config.dns.clone(), ..record });
    }
    if let Some(config) = catalog.openvpn(id) {
        let endpoints = config.remotes.iter().map(Remote::to_string).collect();
        return Some(GatewayRecord { endpoints, dns: config.dns.servers.clone(), ..record });
    }
    Some(record)
}

impl From<&Provider> for ProviderRecord {
    fn from(provider: &Provider) -> Self {
        Self {
            id: provider.id,
            name: provider.name.clone(),
            kind: provider.kind,
            enabled: provider.enabled,
            managed: provider.managed,
            enable_new_managed_gateways: provider.enable_new_managed_gateways,
            external_id: provider.external_id.clone(),
            version: provider.version,
            split: provider.split,
            on_hooks: provider.on_hooks,
            key_sharing: provider.key_sharing,
            selection: provider.selection,
            release_delay_s: provider.release_delay_s,
            snapshot_version: provider.last_push.as_ref().map(|push| push.version),
        }
    }
}

impl From<&Gateway> for GatewayRecord {
    fn from(gateway: &Gateway) -> Self {
        Self {
            id: gateway.id,
            provider_id: gateway.provider_id,
            name: gateway.name.clone(),
            country: gateway.country.clone(),
            city: gateway.city.clone(),
            enabled: gateway.enabled,
            endpoints: Vec::new(),
            dns: Vec::new(),
            external_id: gateway.external_id.clone(),
            version: gateway.version,
            expected_exit: gateway.expected_exit.clone(),
            withdrawn: gateway.withdrawn.is_some(),
        }
    }
}

impl From<&Mapping> for MappingRecord {
    fn from(mapping: &Mapping) -> Self {
        Self {
            id: mapping.id,
            provider_id: mapping.provider_id,
            enabled: mapping.enabled,
            owner: mapping.owner.clone(),
            gateways: ScopeView::from(&mapping.gateways),
            version: mapping.version,
        }
    }
}

impl From<&Credential> for CredentialRecord {
    fn from(credential: &Credential) -> Self {
        let username = match &credential.secret {
            CredentialSecret::UserPassword { username, .. } => Some(username.clone()),
            CredentialSecret::PrivateKey(_) | CredentialSecret::Custom(_) => None,
        };
        let overrides = &credential.overrides;
        Self {
            id: credential.id,
            provider_id: credential.provider_id,
            name: credential.name.clone(),
            enabled: credential.enabled,
            owner: credential.owner.clone(),
            username,
            gateways: ScopeView::from(&credential.gateways),
            active_connection_limit: credential.limit.map(std::num::NonZeroU32::get),
            account: credential.account.clone(),
            external_id: credential.external_id.clone(),
            address: overrides.addresses.clone(),
            dns: overrides.dns.clone(),
            mtu: overrides.mtu,
            has_preshared_key: overrides.preshared_key.is_some(),
            refused: None,
            version: credential.version,
            withdrawn: credential.withdrawn.is_some(),
        }
    }
}

impl From<&Workspace> for WorkspaceRecord {
    fn from(workspace: &Workspace) -> Self {
        Self {
            name: workspace.name.clone(),
            egress: workspace.egress,
            override_egress_gateways: workspace.override_egress_gateways,
            version: workspace.version,
        }
    }
}
