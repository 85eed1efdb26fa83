//! `[report]`: who is told of live connections, and how.

use std::path::PathBuf;

use axum::http::Uri;
use egress_core::fault::Finding;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// `[report]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Where messages go, `http://` or `https://`; empty is nowhere.
    pub url: String,
    /// The file of the key that messages are signed with.
    pub key_file: PathBuf,
    /// This host's name in messages; empty is one that follows from `/etc/machine-id`.
    pub host_id: String,
    /// Seconds between messages when nothing changes.
    pub heartbeat_s: u64,
    /// Seconds that one message may take, from looking up the name to the answer's first line.
    pub timeout_s: u64,
    /// The longest wait in seconds between tries while the receiver does not answer.
    pub retry_s: u64,
    /// Certificates (PEM) that an https receiver's must lead to; empty is the system's.
    pub ca_file: PathBuf,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            url: String::new(),
            key_file: PathBuf::new(),
            host_id: String::new(),
            heartbeat_s: 60,
            timeout_s: 10,
            retry_s: 15,
            ca_file: PathBuf::new(),
        }
    }
}

impl Report {
    /// Whether there is anybody to tell.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// The file of the signing key; `EGRESS_REPORT_KEY_FILE` comes first, so that systemd's
    /// `LoadCredential` can hand it in.
    pub fn key_path(&self) -> PathBuf {
        std::env::var_os("EGRESS_REPORT_KEY_FILE")
            .map_or_else(|| self.key_file.clone(), PathBuf::from)
    }

    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let has_key = !self.key_path().as_os_str().is_empty();
        broken(&[
            (
                !self.is_on() || is_receiver(&self.url),
                "report.url",
                "expected http://HOST/PATH or https://HOST/PATH, without a user in it",
            ),
            (
                !self.is_on() || has_key,
                "report.key_file",
                "expected the file of the key that messages are signed with; `openssl rand -hex \
                 32` makes one",
            ),
            (is_host_id(&self.host_id), "report.host_id", "expected at most 128 printable letters"),
            ((1..=3600).contains(&self.heartbeat_s), "report.heartbeat_s", "expected 1 to 3600"),
            ((1..=60).contains(&self.timeout_s), "report.timeout_s", "expected 1 to 60"),
            ((1..=3600).contains(&self.retry_s), "report.retry_s", "expected 1 to 3600"),
        ])
    }
}

fn is_receiver(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let named =
        uri.authority().is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
    named && matches!(uri.scheme_str(), Some("http" | "https"))
}

fn is_host_id(id: &str) -> bool {
    id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_an_http_url_with_a_host_and_no_user() {
        for url in ["http://[::1]:9000/x", "https://limits.example.org/egress?host=1"] {
            assert!(is_receiver(url), "{url}");
        }
        for url in ["limits.example.org", "/x", "ftp://x/", "https://", "https://u:p@x/", "http//x"]
        {
            assert!(!is_receiver(url), "{url}");
        }
    }

    #[test]
    fn a_url_needs_a_key() {
        let report = Report { url: "http://x/".into(), ..Report::default() };
        let faults = report.faults();
        assert_eq!(faults[0].field.as_deref(), Some("report.key_file"), "{faults:?}");
        let report = Report { key_file: "/k".into(), ..report };
        assert_eq!(report.faults(), []);
    }
}
