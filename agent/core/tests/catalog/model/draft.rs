//! Records before they know each other: right nine times in ten, else nearly right.

use std::num::NonZeroU32;

use egress_core::catalog::{
    Credential, CredentialSecret, Egress, GatewayScope, KeySharing, Owner, Provider, ProviderType,
    SelectionPolicy, Subject, WireguardOverrides, Workspace,
};
use egress_core::id::CredentialId;
use egress_core::secret::Secret;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::world::{Config, Peer};
use crate::lab;

#[derive(Debug, Clone)]
pub enum ScopeDraft {
    All,
    Selected(Vec<Index>),
}

#[derive(Debug, Clone)]
pub struct GatewayDraft {
    pub provider: usize,
    pub enabled: bool,
    has_address: bool,
    peers: Vec<Peer>,
    /// Whether an OpenVPN server lets nobody in on a certificate alone.
    asks_for_login: bool,
    /// How endpoints are spelt.
    spelling: usize,
}

#[derive(Debug, Clone)]
pub struct MappingDraft {
    pub provider: usize,
    pub enabled: bool,
    pub owner: Owner,
    pub scope: ScopeDraft,
}

#[derive(Debug, Clone)]
pub struct CredentialDraft {
    pub provider: usize,
    pub scope: ScopeDraft,
    enabled: bool,
    owner: Owner,
    /// Whether the secret is of the provider's type.
    fits: bool,
    client: u8,
    /// Which half of a login is empty.
    lacks: Option<Half>,
    /// Bits of the private key that X25519 does not look at.
    ignored_bits: u8,
    has_address: bool,
    limit: Option<NonZeroU32>,
    account: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Username,
    Password,
}

pub fn provider() -> impl Strategy<Value = Provider> {
    let kinds = prop_oneof![
        3 => Just(ProviderType::Wireguard),
        1 => Just(ProviderType::Openvpn),
        1 => Just(ProviderType::Custom),
    ];
    let sharing =
        select(vec![KeySharing::Exclusive, KeySharing::PerEndpoint, KeySharing::Unlimited]);
    let policies =
        vec![SelectionPolicy::Id, SelectionPolicy::LeastUsed, SelectionPolicy::ScopeFirst];
    (kinds, on(), sharing, select(policies)).prop_map(|(kind, enabled, key_sharing, selection)| {
        Provider { kind, enabled, key_sharing, selection, ..lab::provider(0) }
    })
}

pub fn gateway() -> impl Strategy<Value = GatewayDraft> {
    let peer = (0..6_u8, 0..4_u8).prop_map(|(key, endpoint)| Peer { key, endpoint });
    let config = (on(), vec(peer, 1..=2), any::<bool>(), 0..2_usize);
    (provider_at(), on(), config).prop_map(
        |(provider, enabled, (has_address, mut peers, asks_for_login, spelling))| {
            peers.dedup_by_key(|peer| peer.key);
            GatewayDraft { provider, enabled, has_address, peers, asks_for_login, spelling }
        },
    )
}

pub fn mapping() -> impl Strategy<Value = MappingDraft> {
    (provider_at(), on(), owner(), scope()).prop_map(|(provider, enabled, owner, scope)| {
        MappingDraft { provider, enabled, owner, scope }
    })
}

pub fn credential() -> impl Strategy<Value = CredentialDraft> {
    let limit = option::weighted(0.5, (1..=4_u32).prop_map(|it| NonZeroU32::new(it).unwrap()));
    let account = option::weighted(0.4, select(vec!["a", "A", "b"]));
    let lacks = option::weighted(0.2, select(vec![Half::Username, Half::Password]));
    let secret = (on(), 0..6_u8, lacks, 0..16_u8, prop::bool::weighted(0.2));
    (provider_at(), scope(), on(), owner(), secret, limit, account).prop_map(
        |(provider, scope, enabled, owner, secret, limit, account)| {
            let (fits, client, lacks, ignored_bits, has_address) = secret;
            CredentialDraft {
                provider,
                scope,
                enabled,
                owner,
                fits,
                client,
                lacks,
                ignored_bits,
                has_address,
                limit,
                account,
            }
        },
    )
}

pub fn workspace() -> impl Strategy<Value = Workspace> {
    let egress = select(vec![Egress::Optional, Egress::Required]);
    (name("firefox"), egress, any::<bool>()).prop_map(|(name, egress, override_egress_gateways)| {
        Workspace { name, egress, override_egress_gateways, version: 1 }
    })
}

pub fn subject() -> impl Strategy<Value = Subject> {
    let many = (0..300_u32, option::of(name("staff"))).prop_map(|(count, last)| {
        (0..count).map(|n| format!("group {n}")).chain(last).collect::<Vec<_>>()
    });
    let groups = prop_oneof![3 => vec(name("staff"), 0..6), 1 => many];
    let (user, workspace) = (name("ann"), name("firefox"));
    (option::weighted(0.9, user), groups, option::weighted(0.8, workspace))
        .prop_map(|(user, groups, workspace)| Subject { user, groups, workspace })
}

impl GatewayDraft {
    /// What the config says, of a gateway of this kind.
    pub fn config(&self, kind: ProviderType) -> Option<Config> {
        let config = || Config { has_address: self.has_address, peers: self.peers.clone() };
        (kind == ProviderType::Wireguard).then(config)
    }

    pub fn asks_for_login(&self, kind: ProviderType) -> bool {
        kind == ProviderType::Openvpn && self.asks_for_login
    }

    pub fn text(&self, kind: ProviderType) -> String {
        match kind {
            ProviderType::Wireguard => {}
            ProviderType::Openvpn if self.asks_for_login => {
                return lab::openvpn_config("auth-user-pass");
            }
            ProviderType::Openvpn => return lab::openvpn_config(&lab::certificate()),
            ProviderType::Custom => return String::new(),
        }
        let address = if self.has_address { "Address = 10.0.0.2\n" } else { "" };
        let peers = self.peers.iter().zip(["0.0.0.0/0", "10.9.0.0/16"]).map(|(peer, allowed)| {
            let key = lab::public_key_text(1_000 + u128::from(peer.key));
            let endpoint = ENDPOINTS[usize::from(peer.endpoint)][self.spelling];
            format!("[Peer]\nPublicKey = {key}\nEndpoint = {endpoint}\nAllowedIPs = {allowed}\n")
        });
        format!("[Interface]\n{address}{}", peers.collect::<String>())
    }
}

/// Four places, each spelt in two ways.
const ENDPOINTS: [[&str; 2]; 4] = [
    ["vpn.example.com:51820", "VPN.Example.com:51820"],
    ["198.51.100.1:51820", "198.51.100.1:51820"],
    ["198.51.100.1:51821", "198.51.100.1:51821"],
    ["[2001:db8::1]:51820", "[2001:DB8:0:0::1]:51820"],
];

impl CredentialDraft {
    /// The client that its private key is, where it has one.
    pub fn client(&self, kind: ProviderType) -> Option<u8> {
        (self.secret_kind(kind) == ProviderType::Wireguard).then_some(self.client)
    }

    pub fn credential(
        &self,
        id: CredentialId,
        provider: &Provider,
        gateways: GatewayScope,
    ) -> Credential {
        let mut overrides = WireguardOverrides::default();
        if self.has_address && provider.kind == ProviderType::Wireguard {
            overrides.addresses.push("10.0.0.3/32".parse().unwrap());
        }
        Credential {
            id,
            provider_id: provider.id,
            name: format!("c-{id}"),
            enabled: self.enabled,
            owner: self.owner.clone(),
            secret: self.secret(provider.kind),
            gateways,
            limit: self.limit,
            overrides,
            account: self.account.map(str::to_owned),
            ..lab::credential(0, 0, "user:nobody")
        }
    }

    fn secret(&self, kind: ProviderType) -> CredentialSecret {
        match self.secret_kind(kind) {
            ProviderType::Wireguard => CredentialSecret::PrivateKey(self.private_key()),
            ProviderType::Custom => CredentialSecret::Custom(Secret::new("{}".to_owned())),
            ProviderType::Openvpn => self.login(),
        }
    }

    fn login(&self) -> CredentialSecret {
        let unless =
            |half, text: String| if self.lacks == Some(half) { String::new() } else { text };
        CredentialSecret::UserPassword {
            username: unless(Half::Username, format!("u{}", self.client)),
            password: Secret::new(unless(Half::Password, "hunter2".to_owned())),
        }
    }

    fn secret_kind(&self, kind: ProviderType) -> ProviderType {
        match (self.fits, kind) {
            (true, kind) => kind,
            (false, ProviderType::Wireguard) => ProviderType::Openvpn,
            (false, ProviderType::Openvpn) => ProviderType::Custom,
            (false, ProviderType::Custom) => ProviderType::Wireguard,
        }
    }

    fn private_key(&self) -> Secret<[u8; 32]> {
        let mut key = *lab::private_key(u128::from(self.client)).expose();
        key[0] |= self.ignored_bits & 0b111;
        key[31] |= (self.ignored_bits & 0b1000) << 4;
        Secret::new(key)
    }
}

/// On, nearly always.
fn on() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.9)
}

/// One of the first two providers, mostly.
fn provider_at() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 2 => Just(1), 1 => 0..50_usize]
}

/// A name that is often this one, and else one that must not be taken for it.
fn name(usual: &'static str) -> impl Strategy<Value = String> {
    let others = select(vec!["ann", "Ann", "ann ", "staff", "Staff", "firefox", "fire"]);
    prop_oneof![4 => Just(usual), 1 => others].prop_map(str::to_owned)
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        name("ann").prop_map(Owner::User),
        name("staff").prop_map(Owner::Group),
        name("firefox").prop_map(Owner::Workspace),
    ]
}

fn scope() -> impl Strategy<Value = ScopeDraft> {
    let selected = |count| vec(any::<Index>(), count).prop_map(ScopeDraft::Selected);
    prop_oneof![8 => Just(ScopeDraft::All), 4 => selected(1..=4), 1 => selected(0..=0)]
}
