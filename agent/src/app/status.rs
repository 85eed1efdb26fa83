//! Status of the agent: its parts, the things of the host that it uses, and how much it carries.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use egress_core::api::{PartView, SessionView, StatusView};
use egress_core::catalog::{Catalog, RecordKind};

use crate::control::roles::group_number;
use crate::readiness::{Part, Readiness};
use crate::tunnel::openvpn::Openvpn;

/// Where the status comes from.
#[derive(Clone)]
pub struct StatusSource {
    /// What is in trouble.
    pub readiness: Readiness,
    /// The installed openvpn.
    pub openvpn: Openvpn,
    /// The group that the API's socket belongs to.
    pub group: String,
    started_at: u64,
}

impl StatusSource {
    /// The source of an agent that starts now.
    pub fn new(readiness: Readiness, openvpn: Openvpn, group: String) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { readiness, openvpn, group, started_at: since_epoch.as_secs() }
    }

    /// How the agent stands with these sessions and this catalog.
    pub async fn status(&self, sessions: &[SessionView], catalog: &Catalog) -> StatusView {
        self.readiness.look_at_the_host();
        let mut parts: Vec<_> = Part::ALL.iter().map(|part| self.part(*part)).collect();
        parts.extend([self.openvpn().await, self.group()]);
        let mut by_state: BTreeMap<String, u32> = BTreeMap::new();
        for session in sessions {
            *by_state.entry(session.state.as_str().to_owned()).or_default() += 1;
        }
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            ready: self.readiness.report().is_none(),
            parts,
            sessions: by_state,
            catalog: counts(catalog),
        }
    }

    fn part(&self, part: Part) -> PartView {
        let name = part.as_str().to_owned();
        match self.readiness.why(part) {
            Some(detail) => PartView { name, ok: false, detail, fix: None },
            None => PartView { name, ok: true, detail: working(part).to_owned(), fix: None },
        }
    }

    /// Needed by OpenVPN gateways alone.
    async fn openvpn(&self) -> PartView {
        let name = "openvpn".to_owned();
        match self.openvpn.version().await {
            Ok(version) => PartView { name, ok: true, detail: version, fix: None },
            Err(error) => PartView {
                name,
                ok: false,
                detail: format!("OpenVPN gateways cannot be used: {}", error.reason().detail),
                fix: Some("sudo apt-get install openvpn".to_owned()),
            },
        }
    }

    fn group(&self) -> PartView {
        let (name, group) = ("group".to_owned(), &self.group);
        if group_number(group).is_some() {
            return PartView { name, ok: true, detail: group.clone(), fix: None };
        }
        PartView {
            name,
            ok: false,
            detail: format!("there is no group {group}: only root may use the socket"),
            fix: Some(format!("sudo groupadd --system {group}, and restart the agent")),
        }
    }
}

/// What a part without trouble does.
fn working(part: Part) -> &'static str {
    match part {
        Part::Agent | Part::Dataplane => "running",
        Part::ApiSocket => "listening",
        Part::Tun | Part::Nftables => "there",
    }
}

fn counts(catalog: &Catalog) -> BTreeMap<String, u32> {
    let counts = [
        (RecordKind::Provider, catalog.providers().count()),
        (RecordKind::Gateway, catalog.gateways().count()),
        (RecordKind::Mapping, catalog.mappings().count()),
        (RecordKind::Credential, catalog.credentials().count()),
        (RecordKind::Workspace, catalog.workspaces().count()),
    ];
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    counts.map(|(kind, count)| (kind.as_str().to_owned(), number(count))).into()
}
