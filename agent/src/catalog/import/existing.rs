//! What the agent has of a provider already: an import changes what its files say, and leaves what
//! an admin has set.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use egress_core::api::{CredentialRecord, GatewayRecord, MappingRecord, ProviderRecord, ScopeView};
use egress_core::catalog::{CredentialEntry, GatewayEntry, Owner, Scope};

use super::place::Place;

/// A provider and its records, where there are any.
#[derive(Debug, Default)]
pub struct Existing {
    provider: Option<ProviderRecord>,
    gateways: BTreeMap<String, GatewayRecord>,
    mappings: Vec<MappingRecord>,
    credentials: BTreeMap<String, CredentialRecord>,
}

impl Existing {
    /// The records of a provider among all there are.
    pub fn of(
        provider: ProviderRecord,
        gateways: Vec<GatewayRecord>,
        mappings: Vec<MappingRecord>,
        credentials: Vec<CredentialRecord>,
    ) -> Self {
        let id = provider.id;
        let gateways = gateways.into_iter().filter(|it| it.provider_id == id);
        let credentials = credentials.into_iter().filter(|it| it.provider_id == id);
        Self {
            provider: Some(provider),
            gateways: gateways.map(|it| (it.name.clone(), it)).collect(),
            mappings: mappings.into_iter().filter(|it| it.provider_id == id).collect(),
            credentials: credentials.map(|it| (it.name.clone(), it)).collect(),
        }
    }

    /// The provider.
    pub fn provider(&self) -> Option<&ProviderRecord> {
        self.provider.as_ref()
    }

    /// A gateway of this name.
    pub fn gateway_of(&self, name: &str) -> Option<&GatewayRecord> {
        self.gateways.get(name)
    }

    /// A credential of this name.
    pub fn credential_of(&self, name: &str) -> Option<&CredentialRecord> {
        self.credentials.get(name)
    }

    /// Somebody else, from whom an import of these credentials for `owner` would take the provider
    /// or one of them.
    pub fn taken_from<'a>(
        &self,
        owner: &Owner,
        mut credentials: impl Iterator<Item = &'a str>,
    ) -> Option<&Owner> {
        let of_another = credentials.find_map(|name| {
            let holder = &self.credentials.get(name)?.owner;
            (holder != owner).then_some(holder)
        });
        let of_credentials = self.credentials.values().map(|it| &it.owner);
        let mut holders = of_credentials.chain(self.mappings.iter().map(|it| &it.owner));
        of_another.or_else(|| {
            let first = holders.next()?;
            (first != owner && !holders.any(|holder| holder == owner)).then_some(first)
        })
    }

    /// Whether its gateways are somebody's to use, all or some, now or not.
    pub fn is_mapped_to(&self, owner: &Owner) -> bool {
        self.mappings.iter().any(|mapping| mapping.owner == *owner)
    }

    /// A gateway as it is to be: in `said` where that is anywhere, else where an admin has put it.
    pub fn gateway(&self, mut entry: GatewayEntry, said: &Place) -> GatewayEntry {
        if let Some(record) = self.gateways.get(&entry.name) {
            entry.enabled = record.enabled;
            entry.external_id.clone_from(&record.external_id);
            entry.expected_exit.clone_from(&record.expected_exit);
            if !record.country.is_empty() {
                entry.country.clone_from(&record.country);
                entry.city.clone_from(&record.city);
            }
        }
        let Place { country, city } =
            said.clone().or(Place { country: entry.country, city: entry.city });
        GatewayEntry { country, city, ..entry }
    }

    /// A credential as it is to be.
    pub fn credential(
        &self,
        mut entry: CredentialEntry,
        limit: Option<NonZeroU32>,
    ) -> CredentialEntry {
        if let Some(record) = self.credentials.get(&entry.name) {
            entry.enabled = record.enabled;
            entry.active_connection_limit =
                record.active_connection_limit.and_then(NonZeroU32::new);
            entry.account.clone_from(&record.account);
            entry.external_id.clone_from(&record.external_id);
            entry.mtu = record.mtu;
            entry.gateways = self.joined(entry.gateways, &record.gateways);
        }
        if limit.is_some() {
            entry.active_connection_limit = limit;
        }
        entry
    }

    /// What a credential opened, and what its files add to that.
    fn joined(&self, files: Scope, record: &ScopeView) -> Scope {
        match (files, record) {
            (Scope::All, _) | (_, ScopeView::All(_)) => Scope::All,
            (Scope::Selected(mut names), ScopeView::Selected(ids)) => {
                let of_files = names.iter().filter_map(|name| self.gateways.get(name));
                let of_files: BTreeSet<_> = of_files.map(|it| it.id).collect();
                let others = ids.iter().filter(|id| !of_files.contains(id));
                names.extend(others.map(ToString::to_string));
                Scope::Selected(names)
            }
        }
    }
}
