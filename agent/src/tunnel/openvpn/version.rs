//! Which openvpn is installed.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use egress_core::openvpn::version_of;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::info;

use super::OpenvpnError;
use crate::config;

/// The first that has what the agent needs: its handling of a held management interface, and what
/// it tells by `>UPDOWN`.
const LEAST: (u16, u16) = (2, 6);
/// How long it has to say it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Remembers which it is, once it is one that will do.
#[derive(Clone, Default)]
pub struct Version(Arc<OnceCell<String>>);

impl Version {
    /// Asks the program once; again while it is missing or will not do.
    pub async fn check(&self, settings: &config::Openvpn) -> Result<&str, OpenvpnError> {
        let asked = || check(&settings.binary, settings.uid_first);
        self.0.get_or_try_init(asked).await.map(String::as_str)
    }
}

async fn check(path: &Path, uid: u32) -> Result<String, OpenvpnError> {
    let text = ask(path, uid).await.map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            return OpenvpnError::Missing { path: path.into() };
        }
        OpenvpnError::Version { path: path.into(), source }
    })?;
    let Some((number, name)) = version_of(&text) else {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it does not say it");
        return Err(OpenvpnError::Version { path: path.into(), source });
    };
    if number < LEAST {
        return Err(OpenvpnError::TooOld { path: path.into(), found: name.to_owned() });
    }
    info!(version = name, "openvpn will do");
    Ok(name.to_owned())
}

async fn ask(path: &Path, uid: u32) -> io::Result<String> {
    let mut command = Command::new(path);
    command.arg("--version").uid(uid).gid(uid).env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    // It exits with 1 after having told its version.
    let output = timeout(PATIENCE, command.output()).await.map_err(io::Error::from)??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
