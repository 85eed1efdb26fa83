//! The user who called us, where we run as root on their behalf.

use std::collections::BTreeMap;
use std::env;
use std::ffi::CString;

use nix::unistd::{Gid, Uid, User, geteuid, getgid, getgrouplist, getuid};

/// A user to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their number.
    pub uid: Uid,
    /// Their group.
    pub gid: Gid,
    /// All of their groups.
    pub groups: Vec<Gid>,
    /// What of the environment says who one is.
    pub environment: BTreeMap<String, String>,
}

impl Caller {
    /// The user behind sudo or a set-user-id bit; none where we are who called us.
    pub fn behind_root() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let (uid, gid) = if getuid().is_root() {
            (Uid::from_raw(number("SUDO_UID")?), Gid::from_raw(number("SUDO_GID")?))
        } else {
            (getuid(), getgid())
        };
        if uid.is_root() { None } else { Some(Self::known_as(uid, gid)) }
    }

    fn known_as(uid: Uid, gid: Gid) -> Self {
        let user = User::from_uid(uid).ok().flatten();
        let name = user.as_ref().and_then(|user| CString::new(user.name.as_str()).ok());
        let groups = name.and_then(|name| getgrouplist(&name, gid).ok());
        let environment = user.map(|user| {
            let home = user.dir.to_string_lossy().into_owned();
            [("USER", user.name.clone()), ("LOGNAME", user.name), ("HOME", home)]
        });
        let environment = environment.into_iter().flatten();
        Self {
            uid,
            gid,
            groups: groups.unwrap_or_else(|| vec![gid]),
            environment: environment.map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}

fn number(key: &str) -> Option<u32> {
    env::var(key).ok()?.parse().ok()
}
