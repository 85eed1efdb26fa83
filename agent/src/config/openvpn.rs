//! `[openvpn]`: the program, and the users it runs as.

use std::path::PathBuf;

use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// The last number a user can have.
const UID_LAST: u32 = u32::MAX - 2;

/// `[openvpn]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Openvpn {
    /// The program, 2.6 or later.
    pub binary: PathBuf,
    /// The first of the users and groups, by number, that its processes run as, each as one of its
    /// own. They need no names and must own nothing else.
    pub uid_first: u32,
    /// How many there are: the most tunnels at one time.
    pub uid_count: u32,
}

impl Default for Openvpn {
    fn default() -> Self {
        Self {
            binary: "/usr/sbin/openvpn".into(),
            // systemd(1) leaves 1,879,048,192 and up to nobody.
            uid_first: 1_900_000_000,
            uid_count: 4096,
        }
    }
}

impl Openvpn {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let last = self.uid_first.checked_add(self.uid_count);
        broken(&[
            (self.binary.is_absolute(), "openvpn.binary", "expected an absolute path"),
            (
                self.uid_first != 0 && last.is_some_and(|last| last <= UID_LAST),
                "openvpn.uid_first",
                "expected users that are not root, uid_count of them",
            ),
            (self.uid_count > 0, "openvpn.uid_count", "expected at least 1"),
        ])
    }
}
