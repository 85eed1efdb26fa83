//! What the five kinds of records have in common.

use crate::catalog::model::{Credential, Gateway, Mapping, Owner, Provider, Withdrawn, Workspace};
use crate::catalog::{RecordId, Records};
use crate::id::ProviderId;

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
    fn id(&self) -> RecordId;
    fn name(&self) -> Name;
    fn version(&mut self) -> &mut u64;
    /// Takes over what no entry says of a record, from its former form.
    fn inherit(&mut self, _former: &Self) {}
    /// The list of its kind.
    fn list(records: &mut Records) -> &mut Vec<Self>;
}

impl Record for Provider {
    fn id(&self) -> RecordId {
        RecordId::Provider(self.id)
    }

    fn name(&self) -> Name {
        Name::Provider(self.name.clone())
    }

    fn version(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.last_push.clone_from(&former.last_push);
    }

    fn list(records: &mut Records) -> &mut Vec<Self> {
        &mut records.providers
    }
}

impl Record for Gateway {
    fn id(&self) -> RecordId {
        RecordId::Gateway(self.id)
    }

    fn name(&self) -> Name {
        Name::Gateway(self.provider_id, self.name.clone())
    }

    fn version(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.withdrawn = withdrawn(former.withdrawn, former.enabled != self.enabled);
    }

    fn list(records: &mut Records) -> &mut Vec<Self> {
        &mut records.gateways
    }
}

impl Record for Mapping {
    fn id(&self) -> RecordId {
        RecordId::Mapping(self.id)
    }

    fn name(&self) -> Name {
        Name::Mapping(self.provider_id, self.owner.clone())
    }

    fn version(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn list(records: &mut Records) -> &mut Vec<Self> {
        &mut records.mappings
    }
}

impl Record for Credential {
    fn id(&self) -> RecordId {
        RecordId::Credential(self.id)
    }

    fn name(&self) -> Name {
        Name::Credential(self.provider_id, self.name.clone())
    }

    fn version(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn inherit(&mut self, former: &Self) {
        self.withdrawn = withdrawn(former.withdrawn, former.enabled != self.enabled);
        let same = former.secret == self.secret && former.overrides == self.overrides;
        self.secret_version = if same { former.secret_version } else { former.version + 1 };
    }

    fn list(records: &mut Records) -> &mut Vec<Self> {
        &mut records.credentials
    }
}

impl Record for Workspace {
    fn id(&self) -> RecordId {
        RecordId::Workspace(self.name.clone())
    }

    fn name(&self) -> Name {
        Name::Workspace(self.name.clone())
    }

    fn version(&mut self) -> &mut u64 {
        &mut self.version
    }

    fn list(records: &mut Records) -> &mut Vec<Self> {
        &mut records.workspaces
    }
}

/// A record that somebody has switched stays as they left it when a snapshot has it again.
fn withdrawn(former: Option<Withdrawn>, switched: bool) -> Option<Withdrawn> {
    former.map(|Withdrawn { was_enabled }| Withdrawn { was_enabled: was_enabled && !switched })
}
