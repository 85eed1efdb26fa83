//! The one predicate for "offered" and "selected".

use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Credential, Gateway, GatewayScope, Mapping, Owner, Provider, SelectionPolicy, Subject,
};
use super::{Catalog, Why};
use crate::id::{CredentialId, GatewayId, ProviderId};
use crate::wireguard::{ConflictKey, conflict_keys};

/// Live connections, as the store counts them.
pub trait InUse {
    /// Leases held on a credential.
    fn credential(&self, credential: CredentialId) -> u32;

    /// Leases held on all credentials of a provider's account.
    fn account(&self, provider: ProviderId, account: &str) -> u32;

    /// Whether a live session holds this key.
    fn key_taken(&self, key: &ConflictKey) -> bool;
}

/// A gateway that the subject may use now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// At least one, in the order to be tried.
    pub candidates: Vec<Candidate>,
}

/// A credential that is usable now, with what a lease of it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub credential: CredentialId,
    /// How many connections it may carry: counted over the account where there is one.
    pub limit: Option<u32>,
    /// The account whose credentials share the limit.
    pub account: Option<(ProviderId, String)>,
    /// What no other live session may hold.
    pub conflict_keys: Vec<ConflictKey>,
}

/// Whether the subject may use a gateway now, and with which credentials; or every reason why not.
pub fn explain(
    catalog: &Catalog,
    in_use: &impl InUse,
    subject: &Subject,
    gateway: GatewayId,
) -> Result<Offer, Vec<Why>> {
    let Some(gateway) = catalog.gateway(gateway) else { return Err(vec![Why::NoSuchGateway]) };
    let asking = Asking { catalog, in_use, subject };
    let mut reasons = asking.against_gateway(gateway);
    let (candidates, against_credentials) = asking.credentials_for(gateway);
    if candidates.is_empty() {
        reasons.extend(against_credentials);
    }
    if reasons.is_empty() { Ok(Offer { candidates }) } else { Err(reasons) }
}

/// The gateways that [`explain`] offers, in ascending order of id: the launch menu.
pub fn offers(catalog: &Catalog, in_use: &impl InUse, subject: &Subject) -> Vec<GatewayId> {
    let asking = Asking { catalog, in_use, subject };
    let mut offered = Vec::new();
    for (provider, reach) in asking.reaches() {
        if let Some(provider) = catalog.provider(provider).filter(|provider| provider.enabled) {
            offered.extend(asking.offers_of(provider, &reach));
        }
    }
    offered.sort();
    offered
}

/// One question to the catalog.
struct Asking<'a, U> {
    catalog: &'a Catalog,
    in_use: &'a U,
    subject: &'a Subject,
}

/// A credential with the public key that belongs to it.
#[derive(Clone, Copy)]
struct Held<'a> {
    credential: &'a Credential,
    public_key: Option<&'a [u8; 32]>,
}

impl<'a, U: InUse> Asking<'a, U> {
    fn against_gateway(&self, gateway: &Gateway) -> Vec<Why> {
        let mut reasons = Vec::new();
        if !self.provider_of(gateway).enabled {
            reasons.push(Why::ProviderDisabled);
        }
        if !gateway.enabled {
            reasons.push(Why::GatewayDisabled);
        }
        reasons.extend(self.against_mapping(gateway));
        reasons
    }

    fn provider_of(&self, gateway: &Gateway) -> &'a Provider {
        let provider = self.catalog.provider(gateway.provider_id);
        provider.expect("a catalog's references lead somewhere")
    }

    fn against_mapping(&self, gateway: &Gateway) -> Option<Why> {
        let allows = |mapping: &Mapping| {
            mapping.provider_id == gateway.provider_id
                && mapping.enabled
                && mapping.gateways.allows(gateway.id)
        };
        if self.mappings(&self.mapping_owners()).any(allows) {
            None
        } else if self.mappings(&self.owners()).any(allows) {
            Some(Why::OverriddenByWorkspace)
        } else {
            Some(Why::NoMapping)
        }
    }

    /// Everybody whom the subject may act for.
    fn owners(&self) -> BTreeSet<Owner> {
        let groups = self.subject.groups.iter().cloned().map(Owner::Group);
        let user = self.subject.user.iter().cloned().map(Owner::User);
        groups.chain(user).chain(self.workspace_owner()).collect()
    }

    /// Whose mappings count.
    fn mapping_owners(&self) -> BTreeSet<Owner> {
        let workspace = self.subject.workspace.as_deref();
        let record = workspace.and_then(|name| self.catalog.workspace(name));
        if record.is_some_and(|workspace| workspace.override_egress_gateways) {
            return self.workspace_owner().into_iter().collect();
        }
        self.owners()
    }

    fn workspace_owner(&self) -> Option<Owner> {
        self.subject.workspace.clone().map(Owner::Workspace)
    }

    fn mappings(&self, owners: &BTreeSet<Owner>) -> impl Iterator<Item = &'a Mapping> {
        let Catalog { records, index, .. } = self.catalog;
        let positions = owners.iter().filter_map(|owner| index.mappings_of.get(owner));
        positions.flatten().map(|at| &records.mappings[*at])
    }

    fn credentials(&self) -> impl Iterator<Item = Held<'a>> {
        let Catalog { records, index, public_keys, .. } = self.catalog;
        let owners = self.owners();
        let positions = owners.into_iter().filter_map(|owner| index.credentials_of.get(&owner));
        positions.flatten().map(|at| Held {
            credential: &records.credentials[*at],
            public_key: public_keys[*at].as_ref(),
        })
    }

    /// The usable credentials in the order to be tried, and what is against the others.
    fn credentials_for(&self, gateway: &Gateway) -> (Vec<Candidate>, Vec<Why>) {
        let provider = self.provider_of(gateway);
        let mut held: Vec<_> =
            self.credentials().filter(|held| held.credential.provider_id == provider.id).collect();
        if held.is_empty() {
            return (Vec::new(), vec![Why::NoCredential]);
        }
        held.sort_by_cached_key(|held| self.rank(provider, held.credential));
        let mut candidates = Vec::new();
        let mut reasons = Vec::new();
        for held in held {
            match self.judge(provider, held, gateway) {
                Ok(()) => candidates.push(self.candidate(provider, held, gateway)),
                Err(why) => reasons.push(why),
            }
        }
        (candidates, reasons)
    }

    /// What comes first is tried first.
    fn rank(&self, provider: &Provider, credential: &Credential) -> (u32, CredentialId) {
        let before_id = match provider.selection {
            SelectionPolicy::Id => 0,
            SelectionPolicy::LeastUsed => self.in_use.credential(credential.id),
            SelectionPolicy::ScopeFirst => match credential.owner {
                Owner::Workspace(_) => 0,
                Owner::User(_) => 1,
                Owner::Group(_) => 2,
            },
        };
        (before_id, credential.id)
    }

    fn judge(&self, provider: &Provider, held: Held<'_>, gateway: &Gateway) -> Result<(), Why> {
        fits(provider, held.credential)?;
        self.opens(held.credential, gateway)?;
        self.has_room(held.credential)?;
        self.has_free_key(provider, held, gateway)
    }

    fn opens(&self, credential: &Credential, gateway: &Gateway) -> Result<(), Why> {
        let (id, name) = named(credential);
        if !credential.gateways.allows(gateway.id) {
            return Err(Why::CredentialNotFor { credential: id, name });
        }
        let config = self.catalog.wireguard(gateway.id);
        let has_address = config.is_none_or(|config| !config.addresses.is_empty());
        if !has_address && credential.overrides.addresses.is_empty() {
            return Err(Why::NoAddress { credential: id, name });
        }
        Ok(())
    }

    fn has_room(&self, credential: &Credential) -> Result<(), Why> {
        let Some(limit) = self.catalog.limit(credential) else { return Ok(()) };
        let in_use = match &credential.account {
            Some(account) => self.in_use.account(credential.provider_id, account),
            None => self.in_use.credential(credential.id),
        };
        if in_use < limit {
            return Ok(());
        }
        let (credential, name) = named(credential);
        Err(Why::LimitReached { credential, name, in_use, limit })
    }

    fn has_free_key(
        &self,
        provider: &Provider,
        held: Held<'_>,
        gateway: &Gateway,
    ) -> Result<(), Why> {
        if self.conflict_keys(provider, held, gateway).any(|key| self.in_use.key_taken(&key)) {
            let (credential, name) = named(held.credential);
            return Err(Why::KeyInUse { credential, name });
        }
        Ok(())
    }

    fn conflict_keys(
        &self,
        provider: &Provider,
        held: Held<'a>,
        gateway: &Gateway,
    ) -> impl Iterator<Item = ConflictKey> {
        let sharing = provider.key_sharing;
        let config = self.catalog.wireguard(gateway.id);
        let both = held.public_key.zip(config);
        both.into_iter().flat_map(move |(key, config)| conflict_keys(key, config, sharing))
    }

    fn candidate(&self, provider: &Provider, held: Held<'_>, gateway: &Gateway) -> Candidate {
        let credential = held.credential;
        Candidate {
            credential: credential.id,
            limit: self.catalog.limit(credential),
            account: credential.account.clone().map(|account| (provider.id, account)),
            conflict_keys: self.conflict_keys(provider, held, gateway).collect(),
        }
    }

    /// The providers of which the subject has at least one mapping.
    fn reaches(&self) -> BTreeMap<ProviderId, Reach<'a>> {
        let mut reaches: BTreeMap<_, Reach<'_>> = BTreeMap::new();
        for mapping in self.mappings(&self.mapping_owners()).filter(|mapping| mapping.enabled) {
            reaches.entry(mapping.provider_id).or_default().mapped.add(&mapping.gateways, ());
        }
        for held in self.credentials() {
            let Some(reach) = reaches.get_mut(&held.credential.provider_id) else { continue };
            if self.has_room(held.credential).is_ok() {
                reach.opened.add(&held.credential.gateways, held);
            }
        }
        reaches
    }

    fn offers_of(
        &self,
        provider: &'a Provider,
        reach: &Reach<'a>,
    ) -> impl Iterator<Item = GatewayId> {
        let usable = |gateway: &Gateway| {
            gateway.enabled
                && reach.mapped.of(gateway.id).next().is_some()
                && reach
                    .opened
                    .of(gateway.id)
                    .any(|held| self.judge(provider, *held, gateway).is_ok())
        };
        self.catalog.gateways_of(provider.id).filter(move |it| usable(it)).map(|it| it.id)
    }
}

fn named(credential: &Credential) -> (CredentialId, String) {
    (credential.id, credential.name.clone())
}

/// Whether a credential can be used at this provider at all.
fn fits(provider: &Provider, credential: &Credential) -> Result<(), Why> {
    let (id, name) = named(credential);
    if !credential.enabled {
        return Err(Why::CredentialDisabled { credential: id, name });
    }
    if !credential.secret.fits(provider.kind) {
        return Err(Why::SecretDoesNotFit { credential: id, name });
    }
    Ok(())
}

/// What a subject has of one provider.
#[derive(Default)]
struct Reach<'a> {
    /// Mappings, by the gateways they allow.
    mapped: Cover<()>,
    /// Credentials below their limit, by the gateways they open.
    opened: Cover<Held<'a>>,
}

/// Things by the gateways they are for, so that a long menu does not ask each thing about each
/// gateway.
struct Cover<T> {
    everywhere: Vec<T>,
    selected: BTreeMap<GatewayId, Vec<T>>,
}

impl<T> Default for Cover<T> {
    fn default() -> Self {
        Self { everywhere: Vec::new(), selected: BTreeMap::new() }
    }
}

impl<T: Copy> Cover<T> {
    fn add(&mut self, scope: &GatewayScope, thing: T) {
        match scope {
            GatewayScope::All => self.everywhere.push(thing),
            GatewayScope::Selected(ids) => {
                for id in ids {
                    self.selected.entry(*id).or_default().push(thing);
                }
            }
        }
    }

    fn of(&self, gateway: GatewayId) -> impl Iterator<Item = &T> {
        self.everywhere.iter().chain(self.selected.get(&gateway).into_iter().flatten())
    }
}
