//! `[roles]`: users and groups by name or number.

use serde::{Deserialize, Serialize};

/// `[roles]` of `agent.toml`: who has which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// Who may attach and detach.
    pub launcher: Members,
    /// Who may look.
    pub ops: Members,
    /// Who may push managed gateways.
    pub plugin: Members,
    /// Who may do everything.
    pub admin: Members,
}

impl Default for Roles {
    /// Root is admin, group `egress` is launcher, nobody else gets in.
    fn default() -> Self {
        Self {
            launcher: Members {
                groups: vec![Name::Text("egress".to_owned())],
                ..Members::default()
            },
            ops: Members::default(),
            plugin: Members::default(),
            admin: Members { users: vec![Name::Number(0)], ..Members::default() },
        }
    }
}

/// Who has a role: these users, and whoever is in one of these groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    /// Users by name or number.
    pub users: Vec<Name>,
    /// Groups by name or number; primary and supplementary groups count alike.
    pub groups: Vec<Name>,
}

/// A user or group as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// Its number, whether or not the host has a name for it.
    Number(u32),
    /// Its name, looked up when the table is built.
    Text(String),
}
