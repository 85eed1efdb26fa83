//! `[api]`: where the API is.

use std::path::PathBuf;

use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::tls::Tls;

/// `[api]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Path of the socket; empty is `agent.sock` in the run directory.
    pub socket: PathBuf,
    /// Name or number of the group that may connect to it. A group this host does not know leaves
    /// it to root.
    pub group: String,
    /// Callers elsewhere.
    pub tls: Tls,
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::new(), group: "egress".into(), tls: Tls::default() }
    }
}

impl Api {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        self.tls.faults()
    }
}
