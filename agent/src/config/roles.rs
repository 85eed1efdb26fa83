//! `[roles]`: users and groups by name or number, certificates by their names.

mod plugins;

use serde::{Deserialize, Serialize};

pub use self::plugins::{Plugin, Plugins};
use super::certificate::CertificateName;

/// `[roles]` of `agent.toml`: who has which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// Who may attach and detach.
    pub launcher: Members,
    /// Who may look.
    pub ops: Members,
    /// Who may push managed gateways, and to which providers.
    pub plugin: Plugins,
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
            plugin: Plugins::default(),
            admin: Members { users: vec![Name::Number(0)], ..Members::default() },
        }
    }
}

/// Who has a role: these users, whoever is in one of these groups, and over TCP whoever has a
/// certificate with one of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    /// Users by name or number.
    pub users: Vec<Name>,
    /// Groups by name or number; primary and supplementary groups count alike.
    pub groups: Vec<Name>,
    /// Certificates, each by one of its names.
    pub certificates: Vec<CertificateName>,
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
