//! Edits of records: a new form each, or none where a record goes.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Credential, Gateway, Mapping, Provider, Workspace};
use super::{RecordId, Records};
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// Records by their keys; those that are to go are `None`.
pub(super) type EditsOf<K, R> = BTreeMap<K, Option<R>>;

/// Edits of the records that a change is about. All others stay as they are.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub providers: EditsOf<ProviderId, Provider>,
    pub gateways: EditsOf<GatewayId, Gateway>,
    pub mappings: EditsOf<MappingId, Mapping>,
    pub credentials: EditsOf<CredentialId, Credential>,
    pub workspaces: EditsOf<String, Workspace>,
}

impl Edits {
    /// Puts records where there are none, and gives the keys that several of them have.
    pub fn adding(records: Records) -> (Self, Vec<RecordId>) {
        let Records { providers, gateways, mappings, credentials, workspaces } = records;
        let mut edits = Self::default();
        let mut twice = Vec::new();
        let mut again = |record| twice.push(record);
        add(&mut edits.providers, providers, |it| it.id, RecordId::Provider, &mut again);
        add(&mut edits.gateways, gateways, |it| it.id, RecordId::Gateway, &mut again);
        add(&mut edits.mappings, mappings, |it| it.id, RecordId::Mapping, &mut again);
        add(&mut edits.credentials, credentials, |it| it.id, RecordId::Credential, &mut again);
        let name = |it: &Workspace| it.name.clone();
        add(&mut edits.workspaces, workspaces, name, RecordId::Workspace, &mut again);
        (edits, twice)
    }

    /// Takes records away.
    pub fn removing(records: &BTreeSet<RecordId>) -> Self {
        let mut edits = Self::default();
        for record in records {
            edits.remove(record);
        }
        edits
    }

    /// Takes a record away.
    pub fn remove(&mut self, record: &RecordId) {
        match record {
            RecordId::Provider(id) => drop(self.providers.insert(*id, None)),
            RecordId::Gateway(id) => drop(self.gateways.insert(*id, None)),
            RecordId::Mapping(id) => drop(self.mappings.insert(*id, None)),
            RecordId::Credential(id) => drop(self.credentials.insert(*id, None)),
            RecordId::Workspace(name) => drop(self.workspaces.insert(name.clone(), None)),
        }
    }

    /// The records that it is about.
    pub fn records(&self) -> BTreeSet<RecordId> {
        let mut records = BTreeSet::new();
        records.extend(self.providers.keys().copied().map(RecordId::Provider));
        records.extend(self.gateways.keys().copied().map(RecordId::Gateway));
        records.extend(self.mappings.keys().copied().map(RecordId::Mapping));
        records.extend(self.credentials.keys().copied().map(RecordId::Credential));
        records.extend(self.workspaces.keys().cloned().map(RecordId::Workspace));
        records
    }
}

fn add<K: Ord + Clone, R>(
    edits: &mut EditsOf<K, R>,
    records: Vec<R>,
    key: impl Fn(&R) -> K,
    id: impl Fn(K) -> RecordId,
    again: &mut impl FnMut(RecordId),
) {
    for record in records {
        let key = key(&record);
        if edits.insert(key.clone(), Some(record)).is_some() {
            again(id(key));
        }
    }
}
