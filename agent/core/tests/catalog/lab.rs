//! Small catalogs made of short words.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{
    Catalog, Credential, CredentialSecret, Gateway, GatewayScope, InUse, KeySharing, Mapping, Menu,
    OnHooks, Owner, Provider, ProviderType, Records, SelectionPolicy, Subject, WireguardOverrides,
    Workspace,
};
use egress_core::id::{CredentialId, GatewayId, MappingId, ProviderId};
use egress_core::secret::Secret;
use egress_core::wireguard::{ConflictKey, key};
use uuid::Uuid;

pub fn provider_id(n: u128) -> ProviderId {
    ProviderId(Uuid::from_u128(n))
}

pub fn gateway_id(n: u128) -> GatewayId {
    GatewayId(Uuid::from_u128(n))
}

pub fn credential_id(n: u128) -> CredentialId {
    CredentialId(Uuid::from_u128(n))
}

pub fn provider(n: u128) -> Provider {
    Provider {
        id: provider_id(n),
        name: format!("p{n}"),
        kind: ProviderType::Wireguard,
        enabled: true,
        managed: false,
        enable_new_managed_gateways: false,
        external_id: None,
        version: 1,
        split: false,
        on_hooks: OnHooks::Refuse,
        key_sharing: KeySharing::Exclusive,
        selection: SelectionPolicy::Id,
        release_delay_s: 0,
        last_push: None,
    }
}

/// A private key that is `n`, and a bit so that none is zero.
pub fn private_key(n: u128) -> Secret<[u8; 32]> {
    let mut bytes = [0x40; 32];
    bytes[8..24].copy_from_slice(&n.to_be_bytes());
    Secret::new(bytes)
}

pub fn public_key_text(n: u128) -> String {
    key::encode_public(&key::public_of(&private_key(n)))
}

pub fn private_key_text(n: u128) -> String {
    STANDARD.encode(private_key(n).expose())
}

/// A config whose peer's key is that of the number.
pub fn config(peer: u128) -> String {
    format!(
        "[Interface]\nAddress = 10.0.0.2\n[Peer]\nPublicKey = {}\nEndpoint = 198.51.100.1:51820\n\
         AllowedIPs = 0.0.0.0/0\n",
        public_key_text(peer)
    )
}

/// An `.ovpn` text with these lines in it, from line 4 on.
pub fn openvpn_config(lines: &str) -> String {
    const CA: &str = include_str!("../openvpn/pki/ca.crt");
    format!(
        "client\nremote vpn.example 1194 udp\nremote-cert-tls server\n{lines}\n<ca>\n{CA}</ca>\n"
    )
}

/// Lines of an `.ovpn` text by which a client is let in without a login.
pub fn certificate() -> String {
    const CERT: &str = include_str!("../openvpn/pki/client.crt");
    const KEY: &str = include_str!("../openvpn/pki/client.key");
    format!("<cert>\n{CERT}</cert>\n<key>\n{KEY}</key>")
}

pub fn gateway(n: u128, provider: u128) -> Gateway {
    Gateway {
        id: gateway_id(n),
        provider_id: provider_id(provider),
        name: format!("g{n}"),
        country: "SE".to_owned(),
        city: "Göteborg".to_owned(),
        enabled: true,
        config: config(1000 + n),
        external_id: None,
        version: 1,
        expected_exit: None,
        withdrawn: None,
    }
}

/// `user:ann`, `group:staff`, `workspace:firefox`.
pub fn owner(text: &str) -> Owner {
    let (kind, name) = text.split_once(':').unwrap();
    let name = name.to_owned();
    match kind {
        "user" => Owner::User(name),
        "group" => Owner::Group(name),
        "workspace" => Owner::Workspace(name),
        other => panic!("no owner is a {other}"),
    }
}

pub fn selected(ids: &[u128]) -> GatewayScope {
    GatewayScope::Selected(ids.iter().copied().map(gateway_id).collect())
}

pub fn mapping(n: u128, provider: u128, owned_by: &str) -> Mapping {
    Mapping {
        id: MappingId(Uuid::from_u128(n)),
        provider_id: provider_id(provider),
        enabled: true,
        owner: owner(owned_by),
        gateways: GatewayScope::All,
        version: 1,
    }
}

pub fn credential(n: u128, provider: u128, owned_by: &str) -> Credential {
    Credential {
        id: credential_id(n),
        provider_id: provider_id(provider),
        name: format!("c{n}"),
        enabled: true,
        owner: owner(owned_by),
        secret: CredentialSecret::PrivateKey(private_key(n)),
        gateways: GatewayScope::All,
        limit: None,
        external_id: None,
        overrides: WireguardOverrides::default(),
        account: None,
        version: 1,
        withdrawn: None,
        secret_version: 1,
    }
}

pub fn workspace(name: &str) -> Workspace {
    Workspace {
        name: name.to_owned(),
        egress: egress_core::catalog::Egress::Required,
        override_egress_gateways: false,
        version: 1,
    }
}

/// One provider 1, its gateways 1 and 2, a mapping and a credential of user ann.
pub fn records() -> Records {
    Records {
        providers: vec![provider(1)],
        gateways: vec![gateway(1, 1), gateway(2, 1)],
        mappings: vec![mapping(1, 1, "user:ann")],
        credentials: vec![credential(1, 1, "user:ann")],
        workspaces: vec![],
    }
}

pub fn catalog(records: Records) -> Catalog {
    Catalog::new(records).unwrap().0
}

pub fn ann() -> Subject {
    Subject {
        user: Some("ann".to_owned()),
        groups: vec!["staff".to_owned(), "All Users".to_owned()],
        workspace: Some("firefox".to_owned()),
    }
}

/// The launch menu's gateways, as it shows them.
pub fn offers(catalog: &Catalog, counts: &impl InUse, subject: &Subject) -> Vec<GatewayId> {
    Menu::of(catalog, counts, subject).gateways().map(|gateway| gateway.id).collect()
}

/// Live connections, as somebody counts them.
#[derive(Default)]
pub struct Counts {
    pub credentials: BTreeMap<CredentialId, u32>,
    pub accounts: BTreeMap<(ProviderId, String), u32>,
    pub keys: BTreeSet<ConflictKey>,
    /// How often a key was asked for.
    pub key_questions: RefCell<u32>,
}

impl InUse for Counts {
    fn credential(&self, credential: CredentialId) -> u32 {
        self.credentials.get(&credential).copied().unwrap_or(0)
    }

    fn account(&self, provider: ProviderId, account: &str) -> u32 {
        self.accounts.get(&(provider, account.to_owned())).copied().unwrap_or(0)
    }

    fn key_taken(&self, key: &ConflictKey) -> bool {
        *self.key_questions.borrow_mut() += 1;
        self.keys.contains(key)
    }
}
