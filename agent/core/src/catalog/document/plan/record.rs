//! What the five kinds of records have in common.

use crate::catalog::edits::{Edits, EditsOf};
use crate::catalog::model::{Credential, Gateway, Mapping, Owner, Provider, Withdrawn, Workspace};
use crate::catalog::{Catalog, RecordId};
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// What an entry without an id is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) enum Name {
    Provider(String),
    Gateway(ProviderId, String),
    Mapping(ProviderId, Owner),
    Credential(ProviderId, String),
    Workspace(String),
}

/// A record of any kind.
pub(in crate::catalog) trait Record: Clone + PartialEq {
    type Key: Ord + Clone;
    fn key(&self) -> Self::Key;
    fn id(&self) -> RecordId;
    fn name(&self) -> Name;
    fn version(&self) -> u64;
    fn version_mut(&mut self) -> &mut u64;
    /// Takes over what no entry says of a record, from its former form.
    fn inherit(&mut self, _former: &Self) {}
    /// The record of this key.
    fn of_key<'a>(catalog: &'a Catalog, key: &Self::Key) -> Option<&'a Self>;
    /// What becomes of records of its kind.
    fn edits(edits: &mut Edits) -> &mut EditsOf<Self::Key, Self>;
}

impl Record for Provider {
    type Key = ProviderId;

    fn key(&self) -> ProviderId {
        self.id
    }

    fn id(&self) -> RecordId {
        RecordId::Provider(self.id)
    }

    fn name(&self) -> Name {
        Name::Provider(self.name.clone())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.last_push.clone_from(&former.last_push);
    }

    fn of_key<'a>(catalog: &'a Catalog, key: &ProviderId) -> Option<&'a Self> {
        catalog.provider(*key)
    }

    fn edits(edits: &mut Edits) -> &mut EditsOf<ProviderId, Self> {
        &mut edits.providers
    }
}

impl Record for Gateway {
    type Key = GatewayId;

    fn key(&self) -> GatewayId {
        self.id
    }

    fn id(&self) -> RecordId {
        RecordId::Gateway(self.id)
    }

    fn name(&self) -> Name {
        Name::Gateway(self.provider_id, self.name.clone())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.withdrawn = withdrawn(former.withdrawn, former.enabled != self.enabled);
    }

    fn of_key<'a>(catalog: &'a Catalog, key: &GatewayId) -> Option<&'a Self> {
        catalog.gateway(*key)
    }

    fn edits(edits: &mut Edits) -> &mut EditsOf<GatewayId, Self> {
        &mut edits.gateways
    }
}

impl Record for Mapping {
    type Key = MappingId;

    fn key(&self) -> MappingId {
        self.id
    }

    fn id(&self) -> RecordId {
        RecordId::Mapping(self.id)
    }

    fn name(&self) -> Name {
        Name::Mapping(self.provider_id, self.owner.clone())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn of_key<'a>(catalog: &'a Catalog, key: &MappingId) -> Option<&'a Self> {
        catalog.mapping(*key)
    }

    fn edits(edits: &mut Edits) -> &mut EditsOf<MappingId, Self> {
        &mut edits.mappings
    }
}

impl Record for Credential {
    type Key = CredentialId;

    fn key(&self) -> CredentialId {
        self.id
    }

    fn id(&self) -> RecordId {
        RecordId::Credential(self.id)
    }

    fn name(&self) -> Name {
        Name::Credential(self.provider_id, self.name.clone())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.withdrawn = withdrawn(former.withdrawn, former.enabled != self.enabled);
        let same = former.secret == self.secret && former.overrides == self.overrides;
        self.secret_version = if same { former.secret_version } else { former.version + 1 };
    }

    fn of_key<'a>(catalog: &'a Catalog, key: &CredentialId) -> Option<&'a Self> {
        catalog.credential(*key)
    }

    fn edits(edits: &mut Edits) -> &mut EditsOf<CredentialId, Self> {
        &mut edits.credentials
    }
}

impl Record for Workspace {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn id(&self) -> RecordId {
        RecordId::Workspace(self.name.clone())
    }

    fn name(&self) -> Name {
        Name::Workspace(self.name.clone())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn of_key<'a>(catalog: &'a Catalog, key: &String) -> Option<&'a Self> {
        catalog.workspace(key)
    }

    fn edits(edits: &mut Edits) -> &mut EditsOf<String, Self> {
        &mut edits.workspaces
    }
}

impl Catalog {
    /// The record of this name; of several the one with the lowest key.
    pub(in crate::catalog) fn named(&self, name: &Name) -> Option<RecordId> {
        let index = &self.index;
        match name {
            Name::Provider(name) => index.provider_names.get(name).copied().map(RecordId::Provider),
            Name::Gateway(provider, name) => {
                let key = &(name.clone(), *provider);
                index.gateway_names.get(key).copied().map(RecordId::Gateway)
            }
            Name::Mapping(provider, owner) => {
                let mut mappings = index.mappings_of(owner);
                let found = mappings.find(|mapping| mapping.provider_id == *provider);
                found.map(|mapping| RecordId::Mapping(mapping.id))
            }
            Name::Credential(provider, name) => {
                let key = &(*provider, name.clone());
                index.credential_names.get(key).copied().map(RecordId::Credential)
            }
            Name::Workspace(name) => {
                self.workspace(name).map(|it| RecordId::Workspace(it.name.clone()))
            }
        }
    }
}

/// A record that somebody has switched stays as they left it when a snapshot has it again.
fn withdrawn(former: Option<Withdrawn>, switched: bool) -> Option<Withdrawn> {
    former.map(|Withdrawn { was_enabled }| Withdrawn { was_enabled: was_enabled && !switched })
}
