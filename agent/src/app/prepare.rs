//! Directories and sockets that the daemon needs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context as _;
use egress_linux::peer::{self, Peer};
use egress_linux::process::PidFd;
use tracing::warn;

use crate::config::Config;
use crate::control::roles::group_number;
use crate::directory::{PRIVATE_MODE, RUN_MODE, ensure};

/// Makes the run and state directories.
pub fn directories(config: &Config) -> anyhow::Result<()> {
    for (dir, mode) in [(&config.run_dir, RUN_MODE), (&config.state_dir, PRIVATE_MODE)] {
        ensure(dir, mode).with_context(|| format!("make {}", dir.display()))?;
    }
    Ok(())
}

/// Our own listener on the API's path. A socket whose listener has died is replaced, also where a
/// child of its that has not executed yet still holds it; one whose listener lives is an error.
pub fn api_socket(path: &Path, group: &str) -> anyhow::Result<UnixListener> {
    let failed = || format!("listen on {}", path.display());
    if let Some(who) = who_listens(path) {
        anyhow::bail!("another agent listens on {}: {who}", path.display());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(failed);
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(failed)?;
    if let Some(group) = group_number(group) {
        chown(path, None, Some(group)).with_context(failed)?;
    } else {
        warn!(group, "no such group: the socket is root's alone");
    }
    fs::set_permissions(path, Permissions::from_mode(0o660)).with_context(failed)?;
    Ok(listener)
}

/// The living process that listens there, in words.
fn who_listens(path: &Path) -> Option<String> {
    match peer::listener(path) {
        // A process of another pid namespace has no number here.
        Ok(Peer { pid: 0, .. }) => Some("a process of another pid namespace".to_owned()),
        Ok(Peer { pid, .. }) => {
            let alive = PidFd::open(pid).is_ok_and(|process| process.alive());
            alive.then(|| format!("process {pid}"))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Some("a process that accepts nobody".to_owned())
        }
        Err(_) => None,
    }
}
