//! The five kinds of records.

use super::{Catalog, RecordId};

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Who runs gateways.
    Provider,
    /// Ways out.
    Gateway,
    /// Who may use which gateways.
    Mapping,
    /// What opens them.
    Credential,
    /// What is launched.
    Workspace,
}

impl RecordKind {
    /// Every kind; what a record refers to is of an earlier one.
    pub const ALL: [Self; 5] =
        [Self::Provider, Self::Gateway, Self::Mapping, Self::Credential, Self::Workspace];

    /// The kind's name in apply documents and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Gateway => "gateway",
            Self::Mapping => "mapping",
            Self::Credential => "credential",
            Self::Workspace => "workspace",
        }
    }

    /// A record's key of this kind, from its text: an id, or a workspace's name.
    pub fn key(self, text: &str) -> Result<RecordId, uuid::Error> {
        Ok(match self {
            Self::Provider => RecordId::Provider(text.parse()?),
            Self::Gateway => RecordId::Gateway(text.parse()?),
            Self::Mapping => RecordId::Mapping(text.parse()?),
            Self::Credential => RecordId::Credential(text.parse()?),
            Self::Workspace => RecordId::Workspace(text.to_owned()),
        })
    }
}

impl RecordId {
    /// The kind of the record it names.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Provider(_) => RecordKind::Provider,
            Self::Gateway(_) => RecordKind::Gateway,
            Self::Mapping(_) => RecordKind::Mapping,
            Self::Credential(_) => RecordKind::Credential,
            Self::Workspace(_) => RecordKind::Workspace,
        }
    }
}

impl Catalog {
    /// The version of a record; `None` when there is no such record.
    pub fn version(&self, record: &RecordId) -> Option<u64> {
        match record {
            RecordId::Provider(id) => self.provider(*id).map(|it| it.version),
            RecordId::Gateway(id) => self.gateway(*id).map(|it| it.version),
            RecordId::Mapping(id) => self.mapping(*id).map(|it| it.version),
            RecordId::Credential(id) => self.credential(*id).map(|it| it.version),
            RecordId::Workspace(name) => self.workspace(name).map(|it| it.version),
        }
    }
}
