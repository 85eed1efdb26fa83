//! A wg-quick file with the client's own key.

use egress_core::catalog::CredentialEntry;
use egress_core::fault::{Checked, Faults, Finding, Severity, unless_faulty};
use egress_core::secret::Secret;
use egress_core::wireguard::{self, GatewayConfig, Rules, key, redact, strip_private_key};

use super::Import;
use super::entries::{self, base64_of};

/// A wg-quick file that is fit to be imported.
#[derive(Debug)]
pub struct WireguardFile {
    text: Secret<String>,
    config: GatewayConfig,
}

/// Reads a wg-quick text as a client's own.
pub fn read(text: Secret<String>, rules: Rules) -> Checked<WireguardFile> {
    let (config, found) = match wireguard::parse(text.expose(), &rules) {
        Ok(parsed) => parsed,
        Err(Faults(found)) => return Err(Faults(of_a_client(found))),
    };
    let mut findings = of_a_client(found);
    if config.private_key.is_none() && !findings.iter().any(is_about_key) {
        let message = "no private key: an import needs the client's own. As a gateway's config in \
                       an apply file it needs none";
        findings.push(Finding::fault(message).about(PRIVATE_KEY));
    }
    if config.dns.is_empty() {
        let message = "no resolver: a container can look up no name through this gateway, since \
                       every other resolver is refused. Add the provider's: DNS = ADDRESS";
        findings.push(Finding::warning(message).about("Interface.DNS"));
    }
    unless_faulty(findings, || WireguardFile { text, config })
}

const PRIVATE_KEY: &str = "Interface.PrivateKey";

fn is_about_key(finding: &Finding) -> bool {
    finding.field.as_deref() == Some(PRIVATE_KEY)
}

/// What is found of a gateway's text, as far as it holds of a client's: its key is wanted here.
fn of_a_client(found: Vec<Finding>) -> Vec<Finding> {
    let judged = found.into_iter().filter_map(|finding| match finding.severity {
        Severity::Warning if is_about_key(&finding) => None,
        Severity::Note if is_about_key(&finding) => {
            let message = "not a key: expected the client's own, 32 bytes of base64".to_owned();
            Some(Finding { severity: Severity::Fault, message, ..finding })
        }
        Severity::Fault | Severity::Warning | Severity::Note => Some(finding),
    });
    judged.collect()
}

impl WireguardFile {
    /// How many far ends it has.
    pub fn peers(&self) -> usize {
        self.config.peers.len()
    }

    /// Where they are.
    pub fn endpoints(&self) -> Vec<String> {
        self.config.peers.iter().map(|peer| peer.endpoint.to_string()).collect()
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> Option<String> {
        let key = self.config.private_key.as_ref()?;
        Some(key::encode_public(&key::public_of(key)))
    }

    /// The gateway's text. It has no keys, unless its peers have different preshared ones or the
    /// credential is not to have them.
    pub fn gateway_text(&self, keeps_preshared_keys: bool) -> String {
        match self.preshared_key() {
            Some(_) if !keeps_preshared_keys => redact(self.text.expose()),
            Some(_) | None => strip_private_key(self.text.expose()).0,
        }
    }

    /// What belongs to one client: the keys, addresses and resolvers.
    pub fn credential(&self, provider: &str, name: &str, import: &Import) -> CredentialEntry {
        CredentialEntry {
            private_key: self.config.private_key.as_ref().map(base64_of),
            address: self.config.addresses.clone(),
            dns: self.config.dns.clone(),
            // An empty text removes the key that a former import left.
            preshared_key: Some(self.preshared_key().map_or_else(entries::empty, base64_of)),
            ..entries::credential(provider, name, &import.owner)
        }
    }

    /// The preshared key that all peers have.
    pub fn preshared_key(&self) -> Option<&Secret<[u8; 32]>> {
        let peers = &self.config.peers;
        let first = peers.first()?.preshared_key.as_ref();
        peers.iter().all(|peer| peer.preshared_key.as_ref() == first).then_some(first)?
    }
}
