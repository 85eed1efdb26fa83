//! `[metrics]`: where metrics and probes are.

use std::net::SocketAddr;

use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to listen; absent by an empty string.
    pub listen: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9586".into() }
    }
}

impl Metrics {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let fits = self.listen.is_empty() || self.listen.parse::<SocketAddr>().is_ok();
        broken(&[(fits, "metrics.listen", "expected address:port, or \"\" for none")])
    }
}
