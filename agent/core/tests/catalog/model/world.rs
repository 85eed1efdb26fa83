//! A catalog, what lives in it, and what its texts mean: all that a judgement may depend on.

use std::collections::{BTreeMap, BTreeSet};

use egress_core::catalog::{Catalog, Credential, Gateway, InUse, Provider, Records, Subject};
use egress_core::id::{CredentialId, GatewayId, ProviderId};
use egress_core::wireguard::{ConflictKey, conflict_keys};

/// Random records with the meaning of what is only text or bytes in them.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub records: Records,
    /// What the config of each WireGuard gateway says.
    pub configs: BTreeMap<GatewayId, Config>,
    /// The OpenVPN gateways whose server asks for a username and a password.
    pub asks_for_login: BTreeSet<GatewayId>,
    /// The client that the far end sees behind each private key.
    pub clients: BTreeMap<CredentialId, u8>,
    /// Live connections.
    pub live: Vec<Live>,
    pub subjects: Vec<Subject>,
}

/// A WireGuard gateway's config, as far as selection goes.
#[derive(Debug, Clone)]
pub struct Config {
    pub has_address: bool,
    pub peers: Vec<Peer>,
}

/// One far end: which key it has, and where it is, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub key: u8,
    pub endpoint: u8,
}

/// A live connection on a credential through a gateway. It may be one that the catalog would not
/// give any more: running sessions stay.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Position in the records.
    pub credential: usize,
    /// Position in the records.
    pub gateway: usize,
}

impl World {
    pub fn provider(&self, id: ProviderId) -> &Provider {
        self.records.providers.iter().find(|it| it.id == id).unwrap()
    }

    pub fn gateway(&self, id: GatewayId) -> Option<&Gateway> {
        self.records.gateways.iter().find(|it| it.id == id)
    }

    /// Each live connection's credential and gateway.
    pub fn live(&self) -> impl Iterator<Item = (&Credential, &Gateway)> {
        let Records { credentials, gateways, .. } = &self.records;
        self.live.iter().map(|it| (&credentials[it.credential], &gateways[it.gateway]))
    }

    /// How many live connections are on credentials like this.
    pub fn count(&self, like: impl Fn(&Credential) -> bool) -> u32 {
        self.live().filter(|(credential, _)| like(credential)).count().try_into().unwrap()
    }
}

/// The live connections of a world as the implementation asks for them.
pub struct Counts<'a> {
    world: &'a World,
    keys: BTreeSet<ConflictKey>,
}

impl<'a> Counts<'a> {
    pub fn new(world: &'a World, catalog: &Catalog) -> Self {
        let held = |(credential, gateway): (&Credential, &Gateway)| {
            let sharing = world.provider(gateway.provider_id).key_sharing;
            let ends = catalog.public_key(credential.id).zip(catalog.wireguard(gateway.id));
            ends.map_or(vec![], |(client, config)| {
                conflict_keys(&client, config, sharing).collect()
            })
        };
        Self { world, keys: world.live().flat_map(held).collect() }
    }
}

impl InUse for Counts<'_> {
    fn credential(&self, credential: CredentialId) -> u32 {
        self.world.count(|it| it.id == credential)
    }

    fn account(&self, provider: ProviderId, account: &str) -> u32 {
        let of_it =
            |it: &Credential| it.provider_id == provider && it.account.as_deref() == Some(account);
        self.world.count(of_it)
    }

    fn key_taken(&self, key: &ConflictKey) -> bool {
        self.keys.contains(key)
    }
}
