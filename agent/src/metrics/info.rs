//! Names for what other metrics call by an id: gauges that are always 1, to be joined with those.

use egress_core::api::{ConnectionList, SessionView};
use prometheus::{IntGaugeVec, Registry};

use super::gauges;

const SESSION: [&str; 6] = ["session", "user", "workspace", "provider", "gateway", "credential"];
const CREDENTIAL: [&str; 3] = ["credential", "provider", "name"];

/// The names of sessions and credentials.
#[derive(Clone)]
pub struct Info {
    sessions: IntGaugeVec,
    credentials: IntGaugeVec,
}

impl Info {
    pub(super) fn new() -> Self {
        Self {
            sessions: gauges(
                "session_info",
                "1 for each session: whose it is, its gateway, and its credential's name.",
                &SESSION,
            ),
            credentials: gauges("credential_info", "1 for each credential: its name.", &CREDENTIAL),
        }
    }

    pub(super) fn register(&self, registry: &Registry) {
        for family in [&self.sessions, &self.credentials] {
            let registered = registry.register(Box::new(family.clone()));
            registered.expect("every metric has a name of its own");
        }
    }

    /// Sets the names of these sessions; those not named have no series.
    pub fn name_sessions(&self, sessions: &[SessionView]) {
        self.sessions.reset();
        for session in sessions {
            let gateway = session.gateway.as_ref();
            let names = [
                session.session_id.as_str(),
                session.subject.user.as_deref().unwrap_or_default(),
                session.subject.workspace.as_deref().unwrap_or_default(),
                gateway.map(|it| it.provider.as_str()).unwrap_or_default(),
                gateway.map(|it| it.name.as_str()).unwrap_or_default(),
                session.credential_name.as_deref().unwrap_or_default(),
            ];
            self.sessions.with_label_values(&names).set(1);
        }
    }

    /// Sets the names of these credentials; those not named have no series.
    pub fn name_credentials(&self, list: &ConnectionList) {
        self.credentials.reset();
        for credential in &list.connections {
            let id = credential.credential_id.to_string();
            let names = [id.as_str(), credential.provider.as_str(), credential.name.as_str()];
            self.credentials.with_label_values(&names).set(1);
        }
    }
}
