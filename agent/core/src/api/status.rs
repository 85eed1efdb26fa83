//! How an agent stands.

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
    /// Its parts and what it uses of the host.
    pub parts: Vec<PartView>,
    /// How many sessions are in each state; states without any are left out.
    pub sessions: BTreeMap<String, u32>,
    /// How many records the catalog has, by kind.
    pub catalog: BTreeMap<String, u32>,
}

/// A part of the agent, or something of the host that it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// What.
    pub name: String,
    /// It does its work.
    pub ok: bool,
    /// What it is, or what is wrong with it.
    pub detail: String,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}
