//! A plugin service's snapshot: every gateway it has for a provider, pushed as one.
//!
//! [`Snapshot::from_json`] reads one, [`Snapshot::against`] works out what it makes of the catalog.

mod digest;
mod entries;
mod plan;
mod read;
mod upsert;

use serde::Serialize;
use utoipa::ToSchema;

pub use entries::{PushedCredential, PushedGateway};
pub use plan::{Push, PushError};
pub use upsert::Difference;

use super::{Catalog, RecordId};

/// The most gateways, and the most credentials, that a snapshot may have.
pub const ENTRIES_MAX: usize = 100_000;

/// The whole of what a plugin service has for a provider.
///
/// Serialising it writes its secrets: that is how a client sends them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Grows from push to push, by whatever the service counts.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    pub version: u64,
    /// Every gateway there is. One that an earlier snapshot had and this one has not is disabled.
    #[schema(max_items = 100_000)]
    pub gateways: Vec<PushedGateway>,
    /// Every credential there is; left out: the service has none to say anything about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100_000)]
    pub credentials: Option<Vec<PushedCredential>>,
}

impl Catalog {
    /// Whether a plugin service may have this record: it is one of a managed provider's, and has
    /// an external id.
    pub(in crate::catalog) fn is_a_services(&self, record: &RecordId) -> bool {
        let (provider, external_id) = match record {
            RecordId::Gateway(id) => match self.gateway(*id) {
                Some(gateway) => (gateway.provider_id, &gateway.external_id),
                None => return false,
            },
            RecordId::Credential(id) => match self.credential(*id) {
                Some(credential) => (credential.provider_id, &credential.external_id),
                None => return false,
            },
            RecordId::Provider(_) | RecordId::Mapping(_) | RecordId::Workspace(_) => return false,
        };
        external_id.is_some() && self.provider(provider).is_some_and(|it| it.managed)
    }
}
