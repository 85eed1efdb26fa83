//! Records with what was worked out of them.

use std::sync::Arc;

use super::config::Config;
use super::menu;
use super::model::{Credential, CredentialSecret, Gateway, Provider, ProviderType};
use crate::fault::{Checked, Faults, Finding};
use crate::openvpn;
use crate::wireguard::{self, Rules, key};

/// A gateway of a catalog.
#[derive(Debug)]
pub(super) struct GatewayNode {
    pub record: Arc<Gateway>,
    pub parsed: Arc<Parsed>,
    /// What its line in menus begins with.
    pub line: Box<[u8]>,
}

/// A gateway's text as its tunnel understands it, with what is to be said of it.
#[derive(Debug)]
pub(super) struct Parsed {
    /// How the text was read; `None` where there is no provider.
    read_as: Option<Reading>,
    pub config: Config,
    pub findings: Arc<[Finding]>,
}

/// A credential of a catalog.
#[derive(Debug)]
pub(super) struct CredentialNode {
    pub record: Credential,
    /// Of a WireGuard credential.
    pub public_key: Option<[u8; 32]>,
}

impl GatewayNode {
    /// A gateway of this provider, if there is such a provider.
    pub fn new(record: Arc<Gateway>, parsed: Arc<Parsed>, provider: Option<&Provider>) -> Self {
        let line = menu::line(&record, provider.map_or("", |provider| &provider.name));
        Self { record, parsed, line }
    }
}

impl CredentialNode {
    /// A credential, which may be `former` with something changed.
    pub fn new(record: Credential, former: Option<&Self>) -> Self {
        let known = former.filter(|former| former.record.secret == record.secret);
        let public_key = match (&record.secret, known) {
            (_, Some(known)) => known.public_key,
            (CredentialSecret::PrivateKey(private_key), None) => Some(key::public_of(private_key)),
            (CredentialSecret::UserPassword { .. } | CredentialSecret::Custom(_), None) => None,
        };
        Self { record, public_key }
    }
}

/// How a provider has its gateways' texts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    kind: ProviderType,
    rules: Rules,
}

impl Reading {
    pub fn of(provider: &Provider) -> Self {
        let rules = Rules { split: provider.split, on_hooks: provider.on_hooks };
        Self { kind: provider.kind, rules }
    }
}

/// Reads gateways' texts. Findings are the same for many gateways of a provider, and kept once.
#[derive(Default)]
pub(super) struct Parser {
    recent: Vec<Arc<[Finding]>>,
}

/// Findings that are compared with those of the next text.
const RECENT: usize = 8;

impl Parser {
    /// Reads a text for its provider, if that is there.
    pub fn parse(&mut self, text: &str, read_as: Option<Reading>) -> Parsed {
        let (config, findings) = match read_as {
            Some(Reading { kind: ProviderType::Wireguard, rules }) => {
                kept(wireguard::parse(text, &rules), Config::Wireguard)
            }
            Some(Reading { kind: ProviderType::Openvpn, rules }) => {
                kept(openvpn::parse(text, rules.on_hooks), |config| {
                    Config::Openvpn(Box::new(config))
                })
            }
            Some(Reading { kind: ProviderType::Custom, .. }) | None => (Config::Opaque, Vec::new()),
        };
        Parsed { read_as, config, findings: self.shared(findings) }
    }

    fn shared(&mut self, findings: Vec<Finding>) -> Arc<[Finding]> {
        if findings.is_empty() {
            return Arc::default();
        }
        if let Some(known) = self.recent.iter().find(|known| known[..] == findings) {
            return Arc::clone(known);
        }
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        let findings: Arc<[Finding]> = findings.into();
        self.recent.push(Arc::clone(&findings));
        findings
    }
}

impl Parsed {
    /// Whether the same text would be read in the same way for a provider.
    pub fn is_read_as(&self, reading: Option<Reading>) -> bool {
        self.read_as == reading
    }
}

fn kept<T>(parsed: Checked<T>, kept: impl FnOnce(T) -> Config) -> (Config, Vec<Finding>) {
    match parsed {
        Ok((config, findings)) => (kept(config), findings),
        Err(Faults(findings)) => (Config::Faulty, findings),
    }
}
