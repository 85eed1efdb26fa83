//! The records that a provider's files become, as entries of an apply document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{
    CredentialEntry, GatewayEntry, KeySharing, MappingEntry, Owner, ProviderEntry, ProviderType,
    Scope, SelectionPolicy, Text,
};
use egress_core::secret::Secret;
use egress_core::wireguard::Rules;

pub(super) fn provider(name: &str, kind: ProviderType, rules: Rules) -> ProviderEntry {
    ProviderEntry {
        id: None,
        name: name.to_owned(),
        kind,
        enabled: true,
        managed: false,
        enable_new_managed_gateways: false,
        external_id: None,
        split: rules.split,
        on_hooks: rules.on_hooks,
        key_sharing: KeySharing::default(),
        selection: SelectionPolicy::default(),
        release_delay_s: 0,
    }
}

pub(super) fn gateway(provider: &str, name: &str, config: String) -> GatewayEntry {
    GatewayEntry {
        id: None,
        provider: provider.to_owned(),
        name: name.to_owned(),
        country: String::new(),
        city: String::new(),
        enabled: true,
        config: Text::Inline(Secret::new(config)),
        external_id: None,
        expected_exit: None,
    }
}

pub(super) fn mapping(provider: &str, owner: &Owner) -> MappingEntry {
    MappingEntry {
        id: None,
        provider: provider.to_owned(),
        owner: owner.clone(),
        gateways: Scope::All,
        enabled: true,
    }
}

/// A credential with no secret yet.
pub(super) fn credential(provider: &str, name: &str, owner: &Owner) -> CredentialEntry {
    CredentialEntry {
        id: None,
        provider: provider.to_owned(),
        name: name.to_owned(),
        owner: owner.clone(),
        private_key: None,
        username: None,
        password: None,
        custom: None,
        gateways: Scope::All,
        active_connection_limit: None,
        account: None,
        external_id: None,
        address: Vec::new(),
        dns: Vec::new(),
        mtu: None,
        preshared_key: None,
        enabled: true,
    }
}

/// A text that removes what there was.
pub(super) fn empty() -> Text {
    Text::Inline(Secret::new(String::new()))
}

pub(super) fn base64_of(key: &Secret<[u8; 32]>) -> Text {
    Text::Inline(Secret::new(STANDARD.encode(key.expose())))
}
