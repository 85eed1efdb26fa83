//! `[api.tls]`: the API over TCP, for callers elsewhere.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// `[api.tls]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Where to listen; empty is nowhere.
    pub listen: String,
    /// The agent's certificate and those it leads through, in PEM.
    pub certificate_file: PathBuf,
    /// The key to it, in PEM; mode 0600.
    pub key_file: PathBuf,
    /// Certificates in PEM that a caller's must lead to.
    pub client_ca_file: PathBuf,
    /// Seconds between looks at these files.
    pub reload_s: u64,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            listen: String::new(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            client_ca_file: PathBuf::new(),
            reload_s: 60,
        }
    }
}

impl Tls {
    /// Whether there is such a listener.
    pub fn is_on(&self) -> bool {
        !self.listen.is_empty()
    }

    /// What cannot work, whatever the files hold.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let is_file = |path: &Path| !self.is_on() || path.is_absolute();
        broken(&[
            (
                !self.is_on() || self.listen.parse::<SocketAddr>().is_ok(),
                "api.tls.listen",
                "expected address:port, or \"\" for none",
            ),
            (
                is_file(&self.certificate_file),
                "api.tls.certificate_file",
                "expected the path of a file with the agent's certificate",
            ),
            (
                is_file(&self.key_file),
                "api.tls.key_file",
                "expected the path of a file with the certificate's key",
            ),
            (
                is_file(&self.client_ca_file),
                "api.tls.client_ca_file",
                "expected the path of a file with certificates that callers' lead to",
            ),
            ((1..=86_400).contains(&self.reload_s), "api.tls.reload_s", "expected 1 to 86400"),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_needs_an_address_and_three_files() {
        assert_eq!(Tls::default().faults(), []);
        let tls = Tls { listen: "localhost".into(), reload_s: 0, ..Tls::default() };
        let faults = tls.faults();
        let fields: Vec<_> = faults.iter().filter_map(|fault| fault.field.as_deref()).collect();
        let keys = ["listen", "certificate_file", "key_file", "client_ca_file", "reload_s"];
        assert_eq!(fields, keys.map(|key| format!("api.tls.{key}")));
    }
}
