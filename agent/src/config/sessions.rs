//! `[sessions]`: sessions and the namespaces they may be in.

use std::path::PathBuf;

use egress_core::api::of_run;
use egress_core::fault::Finding;
use serde::{Deserialize, Deserializer, Serialize};

use super::rule::broken;

/// `[sessions]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// The most sessions at one time.
    pub limit: usize,
    /// The most rulesets that are applied at one time; other attaches wait within their deadline.
    pub concurrency: usize,
    /// Where namespace files may be. `/var/run` is read as `/run`, as in requests.
    #[serde(deserialize_with = "roots")]
    pub netns_roots: Vec<PathBuf>,
    /// The tunnel's device in a container.
    pub interface: String,
    /// Seconds that running attaches have when the agent is told to stop.
    pub stop_s: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            limit: 4096,
            concurrency: 32,
            netns_roots: vec!["/run/netns".into(), "/run/docker/netns".into()],
            interface: "eg0".into(),
            stop_s: 10,
        }
    }
}

impl Sessions {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let absolute = self.netns_roots.iter().all(|root| root.is_absolute());
        broken(&[
            (absolute, "sessions.netns_roots", "expected absolute paths"),
            (self.limit > 0, "sessions.limit", "expected at least 1"),
            (self.concurrency > 0, "sessions.concurrency", "expected at least 1"),
            (
                is_interface_name(&self.interface),
                "sessions.interface",
                "expected 1 to 15 letters, digits, '-' or '_'",
            ),
        ])
    }
}

fn roots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let roots = Vec::<PathBuf>::deserialize(deserializer)?;
    Ok(roots.into_iter().map(of_run).collect())
}

fn is_interface_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=15).contains(&name.len()) && name.bytes().all(allowed)
}
