//! What an apply, or the change of one record, did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Finding;
use crate::id::SessionId;

/// What becomes of sessions that run on something a change takes away or replaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnSessions {
    /// They run on as they are; there are no new ones.
    #[default]
    Drain,
    /// They are ended: sealed, and blocked with the reason.
    Cut,
}

/// Sessions that run on something a change took away or replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AffectedSessions {
    /// They run on as they are, and would not come up the same way again.
    pub draining: Vec<SessionId>,
    /// They were ended: sealed, and blocked with the reason.
    pub cut: Vec<SessionId>,
}

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
    /// What became of sessions.
    #[serde(default)]
    pub sessions: AffectedSessions,
}

/// A record as it is after it was created or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Written<T> {
    /// The record.
    pub record: T,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
    /// What became of sessions.
    pub sessions: AffectedSessions,
}

/// What the deletion of a record did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// Records removed, as `kind name`.
    pub removed: Vec<String>,
    /// Records whose list of gateways is shorter now.
    pub updated: Vec<String>,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
    /// What became of sessions.
    pub sessions: AffectedSessions,
}
