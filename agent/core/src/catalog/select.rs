//! The one predicate for "offered" and "selected".

mod cover;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Credential, Mapping, Owner, Provider, SelectionPolicy, Subject};
use super::node::GatewayNode;
use super::{Catalog, Why};
use crate::id::{CredentialId, GatewayId, ProviderId};
use crate::wireguard::ConflictKey;
use cover::Cover;
use judge::{Held, Way};

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
    let Some(node) = catalog.gateways.get(&gateway) else { return Err(vec![Why::NoSuchGateway]) };
    let asking = Asking { catalog, in_use, subject };
    let way = asking.way(node);
    let mut reasons = asking.against_way(&way);
    let (candidates, against_credentials) = asking.credentials_for(&way);
    if candidates.is_empty() {
        reasons.extend(against_credentials);
    }
    if reasons.is_empty() { Ok(Offer { candidates }) } else { Err(reasons) }
}

/// The gateways that [`explain`] offers, by the names of their providers, and then by country, city
/// and their own names.
pub(super) fn offered<'a>(
    catalog: &'a Catalog,
    in_use: &impl InUse,
    subject: &Subject,
) -> Vec<&'a GatewayNode> {
    let asking = Asking { catalog, in_use, subject };
    let reaches = asking.reaches();
    let mut offered = Vec::new();
    for id in catalog.index.provider_names.values() {
        let Some((reach, provider)) = reaches.get(id).zip(catalog.provider(*id)) else { continue };
        let gateways = catalog.index.menu_of(*id);
        offered.extend(gateways.filter(|node| {
            let way = Way { provider, gateway: &node.record, config: &node.parsed.config };
            asking.reaches_way(reach, &way)
        }));
    }
    offered
}

/// Whether a session that runs through a gateway with a credential would be allowed the two today;
/// or every reason why not. Limits and keys are left out of it: the session counts itself.
pub fn keeps(
    catalog: &Catalog,
    subject: &Subject,
    gateway: GatewayId,
    credential: CredentialId,
) -> Result<(), Vec<Why>> {
    let Some(node) = catalog.gateways.get(&gateway) else { return Err(vec![Why::NoSuchGateway]) };
    let asking = Asking { catalog, in_use: &Nothing, subject };
    let way = asking.way(node);
    let mut reasons = asking.against_way(&way);
    match asking.credentials().find(|held| held.credential.id == credential) {
        None => reasons.push(Why::NoCredential),
        Some(held) => {
            reasons.extend(way.against(&held).map(|against| against.why(held.credential)));
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// No connections at all.
struct Nothing;

impl InUse for Nothing {
    fn credential(&self, _: CredentialId) -> u32 {
        0
    }

    fn account(&self, _: ProviderId, _: &str) -> u32 {
        0
    }

    fn key_taken(&self, _: &ConflictKey) -> bool {
        false
    }
}

/// One question to the catalog.
struct Asking<'a, U> {
    catalog: &'a Catalog,
    in_use: &'a U,
    subject: &'a Subject,
}

/// What a subject has of one provider.
#[derive(Default)]
struct Reach<'a> {
    /// Enabled mappings.
    mapped: Cover<()>,
    /// Credentials that fit and are below their limit.
    opened: Cover<Held<'a>>,
}

impl<'a, U: InUse> Asking<'a, U> {
    fn way(&self, node: &'a GatewayNode) -> Way<'a> {
        let provider = self.catalog.provider(node.record.provider_id);
        Way {
            provider: provider.expect("a catalog's references lead somewhere"),
            gateway: &node.record,
            config: &node.parsed.config,
        }
    }

    fn against_way(&self, way: &Way<'_>) -> Vec<Why> {
        let mut reasons = Vec::new();
        if !way.provider.enabled {
            reasons.push(Why::ProviderDisabled);
        }
        if !way.gateway.enabled {
            reasons.push(Why::GatewayDisabled);
        }
        reasons.extend(self.against_mapping(way));
        reasons
    }

    fn against_mapping(&self, way: &Way<'_>) -> Option<Why> {
        let allows = |mapping: &Mapping| {
            mapping.provider_id == way.provider.id
                && mapping.enabled
                && mapping.gateways.allows(way.gateway.id)
        };
        if self.mappings(&self.mapping_owners()).any(allows) {
            None
        } else if self.mappings(&self.owners()).any(allows) {
            Some(Why::OverriddenByWorkspace)
        } else {
            Some(Why::NoMapping)
        }
    }

    /// The usable credentials in the order to be tried, and what is against the others.
    fn credentials_for(&self, way: &Way<'_>) -> (Vec<Candidate>, Vec<Why>) {
        let of_provider = |held: &Held<'_>| held.credential.provider_id == way.provider.id;
        let mut held: Vec<_> = self.credentials().filter(of_provider).collect();
        if held.is_empty() {
            return (Vec::new(), vec![Why::NoCredential]);
        }
        held.sort_by_cached_key(|held| self.rank(way.provider, held.credential));
        let mut candidates = Vec::new();
        let mut reasons = Vec::new();
        for held in held {
            let against = self.judge(way, &held);
            if against.is_empty() {
                candidates.push(self.candidate(way, &held));
            }
            reasons.extend(against.into_iter().map(|it| it.why(held.credential)));
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

    fn candidate(&self, way: &Way<'_>, held: &Held<'_>) -> Candidate {
        let Held { credential, .. } = held;
        Candidate {
            credential: credential.id,
            limit: self.catalog.limit(credential),
            account: credential.account.clone().map(|account| (way.provider.id, account)),
            conflict_keys: way.conflict_keys(held).collect(),
        }
    }

    /// The enabled providers of which the subject has a mapping. What does not depend on the
    /// gateway is asked here, once.
    fn reaches(&self) -> BTreeMap<ProviderId, Reach<'a>> {
        let mut reaches: BTreeMap<_, Reach<'_>> = BTreeMap::new();
        for mapping in self.mappings(&self.mapping_owners()).filter(|mapping| mapping.enabled) {
            reaches.entry(mapping.provider_id).or_default().mapped.add(&mapping.gateways, ());
        }
        reaches.retain(|id, _| self.catalog.provider(*id).is_some_and(|it| it.enabled));
        for held in self.credentials() {
            let provider = held.credential.provider_id;
            let provider = reaches.get_mut(&provider).zip(self.catalog.provider(provider));
            let Some((reach, provider)) = provider else { continue };
            if judge::fits(provider, held.credential) && self.has_room(&held).is_ok() {
                reach.opened.add(&held.credential.gateways, held);
            }
        }
        reaches
    }

    fn reaches_way(&self, reach: &Reach<'_>, way: &Way<'_>) -> bool {
        let id = way.gateway.id;
        let opens = |held: &Held<'_>| way.opened_by(held) && self.has_free_key(way, held).is_ok();
        way.gateway.enabled && reach.mapped.has(id) && reach.opened.of(id).any(opens)
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
        let index = &self.catalog.index;
        owners.iter().flat_map(|owner| index.mappings_of(owner))
    }

    fn credentials(&self) -> impl Iterator<Item = Held<'a>> {
        let index = &self.catalog.index;
        let nodes = self.owners().into_iter().flat_map(|owner| {
            // Those of one owner are found in one place.
            index.credentials_of(&owner).collect::<Vec<_>>()
        });
        nodes.map(|node| Held { credential: &node.record, public_key: node.public_key.as_ref() })
    }
}
