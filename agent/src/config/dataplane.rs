//! `[dataplane]`: the unprivileged packet process.

use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// `[dataplane]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dataplane {
    /// Its user, by number; it needs no passwd entry and must own nothing else.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its threads; 0 is one per core, at most 4.
    pub workers: usize,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self { uid: 64_990, gid: 64_990, workers: 0 }
    }
}

impl Dataplane {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        broken(&[
            (self.uid != 0, "dataplane.uid", "expected a user that is not root"),
            (self.gid != 0, "dataplane.gid", "expected a group that is not root's"),
            (self.workers <= 64, "dataplane.workers", "expected at most 64"),
        ])
    }
}
