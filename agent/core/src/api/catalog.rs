//! What an apply did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Finding;

/// `POST /v1/catalog:apply`: records to add or change, as an apply file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// Records made, as `kind name`.
    pub created: Vec<String>,
    /// Records changed.
    pub updated: Vec<String>,
    /// Records removed by `prune`.
    pub removed: Vec<String>,
    /// Records that were as asked already.
    pub unchanged: u32,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}
