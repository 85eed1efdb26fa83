//! `[api.tls]`: the API over TCP, for callers elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    pub(super) fn faults(&self) -> Vec<String> {
        let files = [
            ("certificate_file", &self.certificate_file, "the agent's certificate"),
            ("key_file", &self.key_file, "the certificate's key"),
            ("client_ca_file", &self.client_ca_file, "certificates that callers' lead to"),
        ];
        let mut faults: Vec<_> = files
            .into_iter()
            .filter(|(_, path, _)| self.is_on() && !path.is_absolute())
            .map(|(key, _, what)| format!("api.tls.{key}: expected the path of a file with {what}"))
            .collect();
        if self.is_on() && self.listen.parse::<SocketAddr>().is_err() {
            faults.push("api.tls.listen: expected address:port, or \"\" for none".to_owned());
        }
        if !(1..=86_400).contains(&self.reload_s) {
            faults.push("api.tls.reload_s: expected 1 to 86400".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_needs_an_address_and_three_files() {
        assert_eq!(Tls::default().faults(), Vec::<String>::new());
        let tls = Tls { listen: "localhost".into(), reload_s: 0, ..Tls::default() };
        let faults = tls.faults().join("\n");
        for key in ["listen", "certificate_file", "key_file", "client_ca_file", "reload_s"] {
            assert!(faults.contains(&format!("api.tls.{key}: expected")), "{faults}");
        }
    }
}
