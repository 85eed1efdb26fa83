//! What a push of managed gateways did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Difference;
use crate::fault::Finding;

/// `PUT /v1/providers/{id}/managed-gateways`: what the snapshot made of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// The snapshot's version.
    pub version: u64,
    /// What became of gateways.
    pub gateways: Difference,
    /// What became of credentials.
    pub credentials: Difference,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}
