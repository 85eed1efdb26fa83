//! Entries become records, one kind after the other.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::record::{Name, Record};
use super::secrets::{self, Flaw};
use crate::catalog::document::{
    CredentialEntry, Document, GatewayEntry, MappingEntry, ProviderEntry, Scope, WorkspaceEntry,
};
use crate::catalog::edits::Edits;
use crate::catalog::model::{
    Credential, Gateway, GatewayScope, Mapping, Owner, Provider, Workspace,
};
use crate::catalog::{Catalog, RecordId};
use crate::fault::Finding;
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};
use crate::suggest::did_you_mean;

/// What becomes of the records there are, entry by entry.
pub(super) struct Merge<'a, F> {
    new_id: F,
    existing: &'a Catalog,
    pub edits: Edits,
    pub outcome: Outcome,
    /// The records that the document names, and where: `gateway[3]`.
    pub places: BTreeMap<RecordId, String>,
    pub findings: Vec<Finding>,
    /// Names that lead elsewhere than in the catalog there is, or nowhere any more.
    names: BTreeMap<Name, Option<RecordId>>,
}

/// What has become of the document's entries.
#[derive(Default)]
pub(super) struct Outcome {
    pub created: Vec<String>,
    pub updated: Vec<String>,
    pub unchanged: u32,
}

impl<'a, F: FnMut() -> Uuid> Merge<'a, F> {
    pub fn new(existing: &'a Catalog, new_id: F) -> Self {
        Self {
            new_id,
            existing,
            edits: Edits::default(),
            outcome: Outcome::default(),
            places: BTreeMap::new(),
            findings: Vec::new(),
            names: BTreeMap::new(),
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
        let found = self.named(&Name::Provider(entry.name.clone()));
        let found = found.as_ref().and_then(RecordId::provider);
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
        let found = self.named(&name).as_ref().and_then(RecordId::gateway);
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
        let found = self.named(&Name::Mapping(provider, entry.owner.clone()));
        let found = found.as_ref().and_then(RecordId::mapping);
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
        let found = self.named(&name).as_ref().and_then(RecordId::credential);
        let id = entry.id.or(found).unwrap_or_else(|| CredentialId((self.new_id)()));
        let old = self.existing.credential(id);
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
        self.places.insert(id, path);
        match R::of_key(self.existing, &record.key()) {
            Some(old) => self.replace(old, record, label),
            None => self.add(record, label),
        }
    }

    fn replace<R: Record>(&mut self, old: &R, mut record: R, label: String) {
        *record.version_mut() = old.version();
        record.inherit(old);
        if *old == record {
            self.outcome.unchanged += 1;
            return;
        }
        *record.version_mut() += 1;
        if self.named(&old.name()).as_ref() == Some(&old.id()) {
            self.names.insert(old.name(), None);
        }
        self.keep(record);
        self.outcome.updated.push(label);
    }

    fn add<R: Record>(&mut self, mut record: R, label: String) {
        *record.version_mut() = 1;
        self.keep(record);
        self.outcome.created.push(label);
    }

    fn keep<R: Record>(&mut self, record: R) {
        self.names.insert(record.name(), Some(record.id()));
        R::edits(&mut self.edits).insert(record.key(), Some(record));
    }

    fn named(&self, name: &Name) -> Option<RecordId> {
        self.names.get(name).cloned().unwrap_or_else(|| self.existing.named(name))
    }

    fn provider_meant(&mut self, text: &str, path: &str) -> Option<ProviderId> {
        let by_id = text.parse().ok().filter(|id| self.provider_record(*id).is_some());
        let by_name = || self.named(&Name::Provider(text.to_owned()))?.provider();
        let found = by_id.or_else(by_name);
        // What has no name has had its fault.
        if found.is_none() && !text.is_empty() {
            let names = self.existing.providers().map(|provider| provider.name.as_str());
            let new = self.edits.providers.values().flatten().map(|it| it.name.as_str());
            let hint = did_you_mean(text, names.chain(new));
            let message = format!("there is no such provider.{hint}");
            let field = format!("{path}.provider");
            self.findings.push(Finding::fault(message).about(field));
        }
        found
    }

    fn provider_record(&self, id: ProviderId) -> Option<&Provider> {
        match self.edits.providers.get(&id) {
            Some(edited) => edited.as_ref(),
            None => self.existing.provider(id),
        }
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
        let by_id = text.parse().ok().filter(|id| self.has_gateway(*id));
        let by_name = || self.named(&Name::Gateway(provider, text.to_owned()))?.gateway();
        by_id.or_else(by_name)
    }

    fn has_gateway(&self, id: GatewayId) -> bool {
        self.edits.gateways.contains_key(&id) || self.existing.gateway(id).is_some()
    }

    fn no_such_gateway(&self, text: &str, provider: ProviderId) -> Finding {
        let new = self.edits.gateways.values().flatten();
        let of_provider = new.filter(|gateway| gateway.provider_id == provider);
        let of_provider = self.existing.gateways_of(provider).chain(of_provider);
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
