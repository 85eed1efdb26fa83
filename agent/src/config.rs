//! `agent.toml`: every setting, its default, and what it may be.

mod api;
mod certificate;
mod containment;
mod dataplane;
mod log;
mod metrics;
mod openvpn;
mod read;
mod report;
mod roles;
mod rule;
mod sessions;
mod tls;
mod wireguard;

use std::path::{Path, PathBuf};

use egress_core::fault::{Faults, Finding};
use serde::{Deserialize, Serialize};

pub use self::api::Api;
pub use self::certificate::{CertificateName, InvalidCertificateName, Kind as CertificateNameKind};
pub use self::containment::Containment;
pub use self::dataplane::Dataplane;
pub use self::log::{Log, LogFormat};
pub use self::metrics::Metrics;
pub use self::openvpn::Openvpn;
pub use self::report::Report;
pub use self::roles::{Members, Name, Plugin, Plugins, Roles};
use self::rule::broken;
pub use self::sessions::Sessions;
pub use self::tls::Tls;
pub use self::wireguard::{DevicePlacement, Offload, Wireguard};

/// The whole file. Every key has a default; an unknown one is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sockets and what else must not outlive a reboot. Made with mode 0755.
    pub run_dir: PathBuf,
    /// The store and its key. Made with mode 0700.
    pub state_dir: PathBuf,
    /// Where the API is.
    pub api: Api,
    /// Who may make which calls.
    pub roles: Roles,
    /// `/metrics`, `/livez` and `/readyz`.
    pub metrics: Metrics,
    /// Who is told of live connections.
    pub report: Report,
    /// Sessions and the namespaces they may be in.
    pub sessions: Sessions,
    /// What may leave a container through its tunnel.
    pub containment: Containment,
    /// `WireGuard` tunnels.
    pub wireguard: Wireguard,
    /// OpenVPN tunnels.
    pub openvpn: Openvpn,
    /// The unprivileged packet process.
    pub dataplane: Dataplane,
    /// The log on standard error.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run_dir: "/run/egress-agent".into(),
            state_dir: "/var/lib/egress-agent".into(),
            api: Api::default(),
            roles: Roles::default(),
            metrics: Metrics::default(),
            report: Report::default(),
            sessions: Sessions::default(),
            containment: Containment::default(),
            wireguard: Wireguard::default(),
            openvpn: Openvpn::default(),
            dataplane: Dataplane::default(),
            log: Log::default(),
        }
    }
}

/// Why `agent.toml` is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it has to be: all that is wrong with it.
    #[error(transparent)]
    Faults(#[from] Faults),
}

impl Config {
    /// Reads a file. A file that is not there is an error: the caller decides on defaults.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Takes the file's text; `path` is for the faults.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Ok(read::read(text, &path.display().to_string(), Self::faults)?)
    }

    /// What cannot work, though each setting is of its kind.
    fn faults(&self) -> Vec<Finding> {
        let own = broken(&[
            (self.run_dir.is_absolute(), "run_dir", "expected an absolute path"),
            (self.state_dir.is_absolute(), "state_dir", "expected an absolute path"),
        ]);
        let sections = [
            self.api.faults(),
            self.metrics.faults(),
            self.report.faults(),
            self.sessions.faults(),
            self.wireguard.faults(),
            self.openvpn.faults(),
            self.dataplane.faults(),
            self.log.faults(),
        ];
        own.into_iter().chain(sections.into_iter().flatten()).collect()
    }

    /// The API's socket.
    pub fn api_socket_path(&self) -> PathBuf {
        if self.api.socket.as_os_str().is_empty() {
            return self.run_dir.join("agent.sock");
        }
        self.api.socket.clone()
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.state_dir.join("store.sqlite")
    }

    /// The file of the key that the store's secrets are sealed with; `EGRESS_STORE_KEY_FILE`
    /// comes first, so that systemd's `LoadCredential` can hand it in.
    pub fn store_key_path(&self) -> PathBuf {
        std::env::var_os("EGRESS_STORE_KEY_FILE")
            .map_or_else(|| self.state_dir.join("store.key"), PathBuf::from)
    }
}

#[cfg(test)]
mod tests;
