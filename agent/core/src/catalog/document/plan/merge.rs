//! Entries become records, one kind after the other.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Plan;
use super::record::{Name, Record};
use super::secrets::{self, Flaw};
use crate::catalog::document::{
    CredentialEntry, Document, GatewayEntry, MappingEntry, ProviderEntry, Scope, WorkspaceEntry,
};
use crate::catalog::model::{
    Credential, Gateway, GatewayScope, Mapping, Owner, Provider, Workspace,
};
use crate::catalog::{Catalog, RecordId, Records};
use crate::fault::Finding;
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};
use crate::suggest::did_you_mean;

/// Records there are, becoming those that an apply leaves.
pub(super) struct Merge<F> {
    new_id: F,
    pub records: Records,
    pub outcome: Outcome,
    /// The records that the document names, and where: `gateway[3]`.
    pub places: BTreeMap<RecordId, String>,
    pub findings: Vec<Finding>,
    /// Where each record is in its list.
    positions: BTreeMap<RecordId, usize>,
    names: BTreeMap<Name, RecordId>,
}

/// What has become of the document's entries.
#[derive(Default)]
pub(super) struct Outcome {
    touched: Records,
    created: Vec<String>,
    updated: Vec<String>,
    unchanged: u32,
}

impl Outcome {
    pub fn plan(self, catalog: Catalog, named: BTreeSet<RecordId>) -> Plan {
        let Self { touched, created, updated, unchanged } = self;
        let (removed, gone) = (Vec::new(), BTreeSet::new());
        Plan { catalog, touched, created, updated, removed, unchanged, named, gone }
    }
}

impl<F: FnMut() -> Uuid> Merge<F> {
    pub fn new(existing: &Records, new_id: F) -> Self {
        let mut merge = Self {
            new_id,
            records: existing.clone(),
            outcome: Outcome::default(),
            places: BTreeMap::new(),
            findings: Vec::new(),
            positions: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        merge.note(&existing.providers);
        merge.note(&existing.gateways);
        merge.note(&existing.mappings);
        merge.note(&existing.credentials);
        merge.note(&existing.workspaces);
        merge
    }

    fn note<R: Record>(&mut self, list: &[R]) {
        for (at, record) in list.iter().enumerate() {
            self.positions.insert(record.id(), at);
            self.names.entry(record.name()).or_insert_with(|| record.id());
        }
    }

    /// Takes in all entries. What an entry refers to must be there or stand in an earlier kind.
    pub fn take(&mut self, document: &Document) {
        for (nth, entry) in document.providers.iter().enumerate() {
            self.provider(entry, format!("provider[{nth}]"));
        }
        for (nth, entry) in document.gateways.iter().enumerate() {
            self.gateway(entry, format!("gateway[{nth}]"));
        }
        for (nth, entry) in document.mappings.iter().enumerate() {
            self.mapping(entry, format!("mapping[{nth}]"));
        }
        for (nth, entry) in document.credentials.iter().enumerate() {
            self.credential(entry, format!("credential[{nth}]"));
        }
        for (nth, entry) in document.workspaces.iter().enumerate() {
            self.workspace(entry, format!("workspace[{nth}]"));
        }
    }

    fn provider(&mut self, entry: &ProviderEntry, path: String) {
        let found =
            self.names.get(&Name::Provider(entry.name.clone())).and_then(RecordId::provider);
        let provider = Provider {
            id: entry.id.or(found).unwrap_or_else(|| ProviderId((self.new_id)())),
            name: entry.name.clone(),
            kind: entry.kind,
            enabled: entry.enabled,
            managed: entry.managed,
            enable_new_managed_gateways: entry.enable_new_managed_gateways,
            external_id: entry.external_id.clone(),
            version: 0,
            split: entry.split,
            on_hooks: entry.on_hooks,
            key_sharing: entry.key_sharing,
            selection: entry.selection,
            release_delay_s: entry.release_delay_s,
            last_push: None,
        };
        self.put(provider, format!("provider {}", entry.name), path);
    }

    fn gateway(&mut self, entry: &GatewayEntry, path: String) {
        let Some(provider) = self.provider_meant(&entry.provider, &path) else { return };
        let Some(config) = self.config(entry, provider, &path) else { return };
        let name = Name::Gateway(provider, entry.name.clone());
        let found = self.names.get(&name).and_then(RecordId::gateway);
        let gateway = Gateway {
            id: entry.id.or(found).unwrap_or_else(|| GatewayId((self.new_id)())),
            provider_id: provider,
            name: entry.name.clone(),
            country: entry.country.clone(),
            city: entry.city.clone(),
            enabled: entry.enabled,
            config,
            external_id: entry.external_id.clone(),
            version: 0,
            expected_exit: entry.expected_exit.clone(),
            withdrawn: None,
        };
        let label = format!("gateway {}/{}", self.name_of(provider), entry.name);
        self.put(gateway, label, path);
    }

    fn config(&mut self, entry: &GatewayEntry, provider: ProviderId, path: &str) -> Option<String> {
        let kind = self.provider_record(provider)?.kind;
        let kept = secrets::kept_config(&entry.config, kind);
        let (config, cut) = self.unless_flawed(kept, path)?;
        if let Some((field, why)) = cut {
            self.findings.push(Finding::warning(why).about(format!("{path}.{field}")));
        }
        Some(config)
    }

    fn mapping(&mut self, entry: &MappingEntry, path: String) {
        let Some(provider) = self.provider_meant(&entry.provider, &path) else { return };
        let found = self.names.get(&Name::Mapping(provider, entry.owner.clone()));
        let found = found.and_then(RecordId::mapping);
        let mapping = Mapping {
            id: entry.id.or(found).unwrap_or_else(|| MappingId((self.new_id)())),
            provider_id: provider,
            enabled: entry.enabled,
            owner: entry.owner.clone(),
            gateways: self.gateways_meant(&entry.gateways, provider, &path),
            version: 0,
        };
        let label = format!("mapping {} {}", self.name_of(provider), words(&entry.owner));
        self.put(mapping, label, path);
    }

    fn credential(&mut self, entry: &CredentialEntry, path: String) {
        let Some(provider) = self.provider_meant(&entry.provider, &path) else { return };
        let gateways = self.gateways_meant(&entry.gateways, provider, &path);
        let name = Name::Credential(provider, entry.name.clone());
        let found = self.names.get(&name).and_then(RecordId::credential);
        let id = entry.id.or(found).unwrap_or_else(|| CredentialId((self.new_id)()));
        let old = self.positions.get(&RecordId::Credential(id));
        let old = old.map(|at| &self.records.credentials[*at]);
        let (secret, overrides) = (secrets::secret(entry, old), secrets::overrides(entry, old));
        let secret = self.unless_flawed(secret, &path);
        let overrides = self.unless_flawed(overrides, &path);
        let (Some(secret), Some(overrides)) = (secret, overrides) else { return };
        let credential = Credential {
            id,
            provider_id: provider,
            name: entry.name.clone(),
            enabled: entry.enabled,
            owner: entry.owner.clone(),
            secret,
            gateways,
            limit: entry.active_connection_limit,
            external_id: entry.external_id.clone(),
            overrides,
            account: entry.account.clone(),
            version: 0,
            withdrawn: None,
            secret_version: 1,
        };
        let label = format!("credential {}/{}", self.name_of(provider), entry.name);
        self.put(credential, label, path);
    }

    fn workspace(&mut self, entry: &WorkspaceEntry, path: String) {
        let workspace = Workspace {
            name: entry.name.clone(),
            egress: entry.egress,
            override_egress_gateways: entry.override_egress_gateways,
            version: 0,
        };
        self.put(workspace, format!("workspace {}", entry.name), path);
    }

    fn put<R: Record>(&mut self, record: R, label: String, path: String) {
        let id = record.id();
        if let Some(first) = self.places.get(&id) {
            let message = format!("the same record as {first}: each can stand here once");
            self.findings.push(Finding::fault(message).about(path));
            return;
        }
        self.places.insert(id.clone(), path);
        match self.positions.get(&id) {
            Some(&at) => self.replace(at, record, label),
            None => self.add(record, label),
        }
    }

    fn replace<R: Record>(&mut self, at: usize, mut record: R, label: String) {
        let old = &mut R::list(&mut self.records)[at];
        *record.version() = *old.version();
        record.inherit(old);
        if *old == record {
            self.outcome.unchanged += 1;
            return;
        }
        *record.version() += 1;
        let old = std::mem::replace(old, record.clone());
        if self.names.get(&old.name()) == Some(&old.id()) {
            self.names.remove(&old.name());
        }
        self.names.insert(record.name(), record.id());
        R::list(&mut self.outcome.touched).push(record);
        self.outcome.updated.push(label);
    }

    fn add<R: Record>(&mut self, mut record: R, label: String) {
        *record.version() = 1;
        let list = R::list(&mut self.records);
        self.positions.insert(record.id(), list.len());
        list.push(record.clone());
        self.names.insert(record.name(), record.id());
        R::list(&mut self.outcome.touched).push(record);
        self.outcome.created.push(label);
    }

    fn provider_meant(&mut self, text: &str, path: &str) -> Option<ProviderId> {
        let by_id = text.parse().ok().filter(|id| self.provider_record(*id).is_some());
        let by_name = || self.names.get(&Name::Provider(text.to_owned()))?.provider();
        let found = by_id.or_else(by_name);
        // What has no name has had its fault.
        if found.is_none() && !text.is_empty() {
            let names = self.records.providers.iter().map(|provider| provider.name.as_str());
            let message = format!("there is no such provider.{}", did_you_mean(text, names));
            let field = format!("{path}.provider");
            self.findings.push(Finding::fault(message).about(field));
        }
        found
    }

    fn provider_record(&self, id: ProviderId) -> Option<&Provider> {
        let at = self.positions.get(&RecordId::Provider(id))?;
        Some(&self.records.providers[*at])
    }

    fn name_of(&self, provider: ProviderId) -> &str {
        self.provider_record(provider).map_or("?", |provider| &provider.name)
    }

    fn gateways_meant(&mut self, scope: &Scope, provider: ProviderId, path: &str) -> GatewayScope {
        let texts = match scope {
            Scope::All => return GatewayScope::All,
            Scope::Selected(texts) => texts,
        };
        let meant = texts.iter().enumerate().filter_map(|(nth, text)| {
            let found = self.gateway_meant(text, provider);
            if found.is_none() {
                let field = format!("{path}.gateways[{nth}]");
                self.findings.push(self.no_such_gateway(text, provider).about(field));
            }
            found
        });
        GatewayScope::Selected(meant.collect())
    }

    fn gateway_meant(&self, text: &str, provider: ProviderId) -> Option<GatewayId> {
        let by_id = text.parse().ok().map(RecordId::Gateway);
        let by_id = by_id.filter(|id| self.positions.contains_key(id));
        let by_name = || self.names.get(&Name::Gateway(provider, text.to_owned())).cloned();
        by_id.or_else(by_name).as_ref().and_then(RecordId::gateway)
    }

    fn no_such_gateway(&self, text: &str, provider: ProviderId) -> Finding {
        let of_provider =
            self.records.gateways.iter().filter(|gateway| gateway.provider_id == provider);
        let hint = did_you_mean(text, of_provider.map(|gateway| gateway.name.as_str()));
        Finding::fault(format!("the provider has no such gateway.{hint}"))
    }

    fn unless_flawed<T>(&mut self, value: Result<T, Flaw>, path: &str) -> Option<T> {
        value
            .map_err(|(field, why)| {
                let field = field.map_or(path.to_owned(), |field| format!("{path}.{field}"));
                self.findings.push(Finding::fault(why).about(field));
            })
            .ok()
    }
}

pub(super) fn words(owner: &Owner) -> String {
    match owner {
        Owner::User(name) => format!("user:{name}"),
        Owner::Group(name) => format!("group:{name}"),
        Owner::Workspace(name) => format!("workspace:{name}"),
    }
}
