//! Directories and sockets that the daemon needs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::Context as _;
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

/// Our own listener on the API's path. A socket that nobody listens on any more is replaced; one
/// that somebody does is an error.
pub fn api_socket(config: &Config) -> anyhow::Result<UnixListener> {
    let path = config.api_socket_path();
    let failed = || format!("listen on {}", path.display());
    anyhow::ensure!(
        UnixStream::connect(&path).is_err(),
        "another agent listens on {}",
        path.display()
    );
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(failed);
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).with_context(failed)?;
    if let Some(group) = group_number(&config.api.group) {
        chown(&path, None, Some(group)).with_context(failed)?;
    } else {
        warn!(group = config.api.group, "no such group: the socket is root's alone");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o660)).with_context(failed)?;
    Ok(listener)
}
