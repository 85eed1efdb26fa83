//! Health of an agent, of its parts and of its host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// The agent's version.
    pub version: String,
    /// Seconds since the epoch at which it was started.
    pub started_at: u64,
    /// Attaches are served.
    pub ready: bool,
    /// Parts of the agent, and the things of the host that it uses.
    pub parts: Vec<PartView>,
    /// Number of sessions in each state; states without any are left out.
    pub sessions: BTreeMap<String, u32>,
    /// Number of records in the catalog, by kind.
    pub catalog: BTreeMap<String, u32>,
}

/// A part of the agent, or something of the host that it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// Name of the part.
    pub name: String,
    /// True while the part does its work.
    pub ok: bool,
    /// Description of the part, or of the fault it has.
    pub detail: String,
    /// Command or change that mends the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}
