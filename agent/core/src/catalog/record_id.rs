//! A record of whatever kind, by its key.

use std::fmt;

use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};

/// Names one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordId {
    /// A provider.
    Provider(ProviderId),
    /// A gateway.
    Gateway(GatewayId),
    /// A mapping.
    Mapping(MappingId),
    /// A credential.
    Credential(CredentialId),
    /// A workspace, whose name is its key.
    Workspace(String),
}

macro_rules! id_of_kind {
    ($method:ident, $variant:ident, $id:ty) => {
        /// The id, if it is one of this kind.
        pub fn $method(&self) -> Option<$id> {
            if let Self::$variant(id) = self { Some(*id) } else { None }
        }
    };
}

impl RecordId {
    id_of_kind!(provider, Provider, ProviderId);
    id_of_kind!(gateway, Gateway, GatewayId);
    id_of_kind!(mapping, Mapping, MappingId);
    id_of_kind!(credential, Credential, CredentialId);
}

impl fmt::Display for RecordId {
    /// The key alone, as a path has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(id) => id.fmt(f),
            Self::Gateway(id) => id.fmt(f),
            Self::Mapping(id) => id.fmt(f),
            Self::Credential(id) => id.fmt(f),
            Self::Workspace(name) => name.fmt(f),
        }
    }
}
