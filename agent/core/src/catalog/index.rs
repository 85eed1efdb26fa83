//! Where records are found by something else than their keys.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::RecordId;
use super::model::{Credential, CredentialSecret, GatewayScope, Mapping, Owner, Provider};
use super::node::{CredentialNode, GatewayNode};
use super::sorted::Sorted;
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// Records by names, owners and what refers to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub provider_names: Sorted<String, ProviderId>,
    /// By name first: a name without a provider's is looked for too.
    pub gateway_names: Sorted<(String, ProviderId), GatewayId>,
    pub gateway_external_ids: Sorted<(ProviderId, String), GatewayId>,
    menu: Sorted<MenuEntry, ()>,
    pub credential_names: Sorted<(ProviderId, String), CredentialId>,
    mappings_of: Sorted<(Owner, MappingId), Arc<Mapping>>,
    credentials_of: Sorted<(Owner, CredentialId), Arc<CredentialNode>>,
    /// Gateways, mappings and credentials of each provider.
    of_provider: Sorted<(ProviderId, RecordId), ()>,
    /// Mappings and credentials that list a gateway.
    listed_by: Sorted<(GatewayId, RecordId), ()>,
    /// WireGuard gateways whose tunnel address must come from the credential.
    pub without_address: Sorted<(ProviderId, GatewayId), ()>,
    /// Credentials by what the far end tells them apart by.
    pub identities: Sorted<(Identity, CredentialId), ()>,
    /// The limits of each account's credentials, the smallest first.
    account_limits: Sorted<(ProviderId, String, u32, CredentialId), ()>,
}

/// What the far end tells credentials apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    Login(ProviderId, String),
    Key([u8; 32]),
}

/// Names and the like that a record may not have since another one has them, by field.
pub(super) type Taken = BTreeMap<RecordId, BTreeSet<&'static str>>;

/// A gateway's place in menus: by country, city and name within its provider's.
#[derive(Debug, Clone)]
pub(super) struct MenuEntry(pub Arc<GatewayNode>);

impl MenuEntry {
    fn place(&self) -> (ProviderId, &str, &str, &str, GatewayId) {
        let gateway = &self.0.record;
        (gateway.provider_id, &gateway.country, &gateway.city, &gateway.name, gateway.id)
    }
}

impl PartialEq for MenuEntry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for MenuEntry {}

impl PartialOrd for MenuEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MenuEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl CredentialNode {
    /// What the far end knows it by.
    pub fn identity(&self) -> Option<Identity> {
        match &self.record.secret {
            CredentialSecret::UserPassword { username, .. } => {
                Some(Identity::Login(self.record.provider_id, username.clone()))
            }
            CredentialSecret::PrivateKey(_) => self.public_key.map(Identity::Key),
            CredentialSecret::Custom(_) => None,
        }
    }
}

impl Index {
    pub fn add_provider(&mut self, provider: &Provider, taken: &mut Taken) {
        let Provider { id, name, .. } = provider;
        claim(&mut self.provider_names, name.clone(), *id, RecordId::Provider, "name", taken);
    }

    pub fn remove_provider(&mut self, provider: &Provider) {
        give_up(&mut self.provider_names, &provider.name, provider.id);
    }

    pub fn add_gateway(&mut self, node: &Arc<GatewayNode>, taken: &mut Taken) {
        let gateway = &node.record;
        let (id, provider) = (gateway.id, gateway.provider_id);
        let name = (gateway.name.clone(), provider);
        claim(&mut self.gateway_names, name, id, RecordId::Gateway, "name", taken);
        if let Some(external_id) = &gateway.external_id {
            let (ids, key) = (&mut self.gateway_external_ids, (provider, external_id.clone()));
            claim(ids, key, id, RecordId::Gateway, "external_id", taken);
        }
        self.menu.insert(MenuEntry(Arc::clone(node)), ());
        self.of_provider.insert((provider, RecordId::Gateway(id)), ());
        if node.parsed.config.wireguard().is_some_and(|config| config.addresses.is_empty()) {
            self.without_address.insert((provider, id), ());
        }
    }

    pub fn remove_gateway(&mut self, node: &Arc<GatewayNode>) {
        let gateway = &node.record;
        let (id, provider) = (gateway.id, gateway.provider_id);
        give_up(&mut self.gateway_names, &(gateway.name.clone(), provider), id);
        if let Some(external_id) = &gateway.external_id {
            give_up(&mut self.gateway_external_ids, &(provider, external_id.clone()), id);
        }
        self.menu.remove(&MenuEntry(Arc::clone(node)));
        self.of_provider.remove(&(provider, RecordId::Gateway(id)));
        self.without_address.remove(&(provider, id));
    }

    pub fn add_mapping(&mut self, mapping: &Arc<Mapping>) {
        let record = RecordId::Mapping(mapping.id);
        self.mappings_of.insert((mapping.owner.clone(), mapping.id), Arc::clone(mapping));
        self.add_to_list(&mapping.gateways, &record);
        self.of_provider.insert((mapping.provider_id, record), ());
    }

    pub fn remove_mapping(&mut self, mapping: &Mapping) {
        let record = RecordId::Mapping(mapping.id);
        self.mappings_of.remove(&(mapping.owner.clone(), mapping.id));
        self.remove_from_list(&mapping.gateways, &record);
        self.of_provider.remove(&(mapping.provider_id, record));
    }

    pub fn add_credential(&mut self, node: &Arc<CredentialNode>, taken: &mut Taken) {
        let credential = &node.record;
        let (id, provider, record) =
            (credential.id, credential.provider_id, RecordId::Credential(credential.id));
        let name = (provider, credential.name.clone());
        claim(&mut self.credential_names, name, id, RecordId::Credential, "name", taken);
        self.credentials_of.insert((credential.owner.clone(), id), Arc::clone(node));
        self.add_to_list(&credential.gateways, &record);
        self.of_provider.insert((provider, record), ());
        if let Some(identity) = node.identity() {
            self.identities.insert((identity, id), ());
        }
        if let (Some(account), Some(limit)) = (&credential.account, credential.limit) {
            self.account_limits.insert((provider, account.clone(), limit.get(), id), ());
        }
    }

    pub fn remove_credential(&mut self, node: &CredentialNode) {
        let credential = &node.record;
        let Credential { id, provider_id: provider, name, owner, account, limit, .. } = credential;
        let record = RecordId::Credential(*id);
        give_up(&mut self.credential_names, &(*provider, name.clone()), *id);
        self.credentials_of.remove(&(owner.clone(), *id));
        self.remove_from_list(&credential.gateways, &record);
        self.of_provider.remove(&(*provider, record));
        if let Some(identity) = node.identity() {
            self.identities.remove(&(identity, *id));
        }
        if let (Some(account), Some(limit)) = (account, limit) {
            self.account_limits.remove(&(*provider, account.clone(), limit.get(), *id));
        }
    }

    fn add_to_list(&mut self, scope: &GatewayScope, record: &RecordId) {
        if let GatewayScope::Selected(gateways) = scope {
            for gateway in gateways {
                self.listed_by.insert((*gateway, record.clone()), ());
            }
        }
    }

    fn remove_from_list(&mut self, scope: &GatewayScope, record: &RecordId) {
        if let GatewayScope::Selected(gateways) = scope {
            for gateway in gateways {
                self.listed_by.remove(&(*gateway, record.clone()));
            }
        }
    }

    /// A provider's gateways in the order of menus.
    pub fn menu_of(&self, provider: ProviderId) -> impl Iterator<Item = &GatewayNode> {
        let entries = self.menu.range(move |entry| entry.0.record.provider_id.cmp(&provider));
        entries.map(|(entry, ())| &*entry.0)
    }

    /// An owner's mappings, in ascending order of id.
    pub fn mappings_of<'a>(&'a self, owner: &Owner) -> impl Iterator<Item = &'a Mapping> {
        self.mappings_of.range(move |(of, _)| of.cmp(owner)).map(|(_, mapping)| &**mapping)
    }

    /// An owner's credentials, in ascending order of id.
    pub fn credentials_of<'a>(&'a self, owner: &Owner) -> impl Iterator<Item = &'a CredentialNode> {
        self.credentials_of.range(move |(of, _)| of.cmp(owner)).map(|(_, node)| &**node)
    }

    /// The smallest limit among the credentials of an account.
    pub fn account_limit(&self, provider: ProviderId, account: &str) -> Option<u32> {
        let of_account = |(of, name, ..): &(ProviderId, String, u32, CredentialId)| {
            (*of, name.as_str()).cmp(&(provider, account))
        };
        self.account_limits.range(of_account).next().map(|((_, _, limit, _), ())| *limit)
    }

    /// The gateways, mappings and credentials of a provider.
    pub fn of_provider(&self, provider: ProviderId) -> impl Iterator<Item = &RecordId> {
        let records = self.of_provider.range(move |(of, _)| of.cmp(&provider));
        records.map(|((_, record), ())| record)
    }

    /// The mappings and credentials that list a gateway.
    pub fn listed_by(&self, gateway: GatewayId) -> impl Iterator<Item = &RecordId> {
        let records = self.listed_by.range(move |(listed, _)| listed.cmp(&gateway));
        records.map(|((_, record), ())| record)
    }
}

/// Gives a name to a record. Of several that have it the one with the lowest key keeps it.
fn claim<K: Ord + Clone, I: Ord + Copy>(
    names: &mut Sorted<K, I>,
    name: K,
    id: I,
    record: impl Fn(I) -> RecordId,
    field: &'static str,
    taken: &mut Taken,
) {
    let Some(other) = names.get(&name).copied() else {
        names.insert(name, id);
        return;
    };
    taken.entry(record(id.max(other))).or_default().insert(field);
    names.insert(name, id.min(other));
}

fn give_up<K: Ord + Clone, I: Ord + Copy>(names: &mut Sorted<K, I>, name: &K, id: I) {
    if names.get(name) == Some(&id) {
        names.remove(name);
    }
}
