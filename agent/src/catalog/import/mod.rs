//! A provider's wg-quick file as an apply document.

pub mod openvpn;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{
    CredentialEntry, Document, GatewayEntry, KeySharing, MappingEntry, Owner, ProviderEntry,
    ProviderType, Scope, SelectionPolicy, Text,
};
use egress_core::fault::{Checked, Faults, Finding, unless_faulty};
use egress_core::secret::Secret;
use egress_core::wireguard::{self, GatewayConfig, Peer, Rules, redact, strip_private_key};

use super::reading;

/// How a file is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What provider, gateway and credential are called; else the file's name without its ending.
    pub name: Option<String>,
    /// Who may use it.
    pub owner: Owner,
    /// Whether a config without a default route is taken, and what becomes of its commands.
    pub rules: Rules,
}

/// Reads a wg-quick file and makes a provider, a gateway, a mapping and a credential of it.
///
/// What belongs to one client goes into the credential: the private key, the preshared key,
/// addresses and resolvers. The gateway's text has no keys, unless its peers have different
/// preshared ones.
pub fn read(path: &Path, import: &Import) -> Checked<Document> {
    let file = path.display().to_string();
    let here = |finding: Finding| finding.in_file(&file);
    let fault = |why: String| Faults(vec![here(Finding::fault(why))]);
    let name = name(path, import.name.as_deref()).map_err(fault)?;
    let text = reading::read(path).map_err(fault)?.text;
    let parsed = wireguard::parse(text.expose(), &import.rules);
    let in_file = |found: Vec<Finding>| found.into_iter().map(here).collect::<Vec<_>>();
    let (config, found) = parsed.map_err(|Faults(found)| Faults(in_file(found)))?;
    let mut findings: Vec<_> = found.into_iter().filter(|it| !is_about_key(it)).map(here).collect();
    if config.private_key.is_none() {
        let message = "no private key: an import needs the client's own";
        findings.push(here(Finding::fault(message).about("Interface.PrivateKey")));
    }
    unless_faulty(findings, || document(&name, text.expose(), &config, import))
}

/// That a credential's key will replace the file's is how an import works, not worth a word.
fn is_about_key(finding: &Finding) -> bool {
    finding.field.as_deref() == Some("Interface.PrivateKey")
}

fn name(path: &Path, given: Option<&str>) -> Result<String, String> {
    let stem = || path.file_stem().and_then(|stem| stem.to_str());
    given
        .or_else(stem)
        .map(str::to_owned)
        .ok_or_else(|| String::from("no name: give one with --name"))
}

fn document(name: &str, text: &str, config: &GatewayConfig, import: &Import) -> Document {
    let shared = preshared_key(&config.peers);
    let text = if shared.is_some() { redact(text) } else { strip_private_key(text).0 };
    let mut document = Document::default();
    document.source = Some(format!("import {name}"));
    document.providers.push(provider(name, ProviderType::Wireguard, import.rules));
    document.gateways.push(gateway(name, text));
    document.mappings.push(mapping(name, &import.owner));
    document.credentials.push(credential(name, config, shared, &import.owner));
    document
}

/// The preshared key that all peers have.
fn preshared_key(peers: &[Peer]) -> Option<&Secret<[u8; 32]>> {
    let first = peers.first()?.preshared_key.as_ref();
    peers.iter().all(|peer| peer.preshared_key.as_ref() == first).then_some(first)?
}

fn provider(name: &str, kind: ProviderType, rules: Rules) -> ProviderEntry {
    ProviderEntry {
        id: None,
        name: name.to_owned(),
        kind,
        enabled: true,
        managed: false,
        enable_new_managed_gateways: false,
        external_id: None,
        split: rules.split,
        on_hooks: rules.on_hooks,
        key_sharing: KeySharing::default(),
        selection: SelectionPolicy::default(),
        release_delay_s: 0,
    }
}

fn gateway(name: &str, config: String) -> GatewayEntry {
    GatewayEntry {
        id: None,
        provider: name.to_owned(),
        name: name.to_owned(),
        country: String::new(),
        city: String::new(),
        enabled: true,
        config: Text::Inline(Secret::new(config)),
        external_id: None,
        expected_exit: None,
    }
}

fn mapping(name: &str, owner: &Owner) -> MappingEntry {
    MappingEntry {
        id: None,
        provider: name.to_owned(),
        owner: owner.clone(),
        gateways: Scope::All,
        enabled: true,
    }
}

fn credential(
    name: &str,
    config: &GatewayConfig,
    preshared_key: Option<&Secret<[u8; 32]>>,
    owner: &Owner,
) -> CredentialEntry {
    CredentialEntry {
        private_key: config.private_key.as_ref().map(base64_of),
        address: config.addresses.clone(),
        dns: config.dns.clone(),
        // An empty text removes the key that a former import left.
        preshared_key: Some(preshared_key.map_or_else(empty, base64_of)),
        ..credential_of(name, owner)
    }
}

/// A credential with no secret yet.
fn credential_of(name: &str, owner: &Owner) -> CredentialEntry {
    CredentialEntry {
        id: None,
        provider: name.to_owned(),
        name: name.to_owned(),
        owner: owner.clone(),
        private_key: None,
        username: None,
        password: None,
        custom: None,
        gateways: Scope::All,
        active_connection_limit: None,
        account: None,
        external_id: None,
        address: Vec::new(),
        dns: Vec::new(),
        mtu: None,
        preshared_key: None,
        enabled: true,
    }
}

fn base64_of(key: &Secret<[u8; 32]>) -> Text {
    Text::Inline(Secret::new(STANDARD.encode(key.expose())))
}

fn empty() -> Text {
    Text::Inline(Secret::new(String::new()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use egress_core::catalog::{Catalog, CredentialSecret, Records};
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;

    const KEY: [u8; 32] = [0x41; 32];
    const PRESHARED: [u8; 32] = [0x42; 32];

    fn peer(number: u8, preshared: Option<[u8; 32]>) -> String {
        let key = STANDARD.encode([number; 32]);
        let preshared = preshared
            .map(|key| format!("PresharedKey = {}\n", STANDARD.encode(key)))
            .unwrap_or_default();
        let allowed = if number == 9 { "0.0.0.0/0, ::/0" } else { "10.9.0.0/16" };
        format!(
            "[Peer]\nPublicKey = {key}\n{preshared}Endpoint = 192.0.2.1:51820\nAllowedIPs = {allowed}\n"
        )
    }

    fn config(peers: &[String]) -> String {
        let key = STANDARD.encode(KEY);
        let interface = format!(
            "[Interface]\nPrivateKey = {key}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1, corp.example\n"
        );
        interface + &peers.concat()
    }

    fn import() -> Import {
        Import { name: None, owner: Owner::User(String::from("ann")), rules: Rules::default() }
    }

    fn written(text: &str) -> (TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wg0.conf");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn imported(text: &str) -> (Document, Catalog) {
        let (_dir, path) = written(text);
        let (document, findings) = read(&path, &import()).unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        let (plan, _) = document.against(&Records::default(), Uuid::now_v7).unwrap();
        (document, plan.catalog)
    }

    #[test]
    fn a_providers_file_becomes_four_records_of_its_name() {
        let (_, catalog) = imported(&config(&[peer(9, Some(PRESHARED))]));
        let records = catalog.records();
        assert_eq!(records.providers[0].name, "wg0");
        assert_eq!(records.gateways[0].name, "wg0");
        assert_eq!(records.mappings[0].owner, Owner::User(String::from("ann")));
        let credential = &records.credentials[0];
        assert_eq!(credential.secret, CredentialSecret::PrivateKey(Secret::new(KEY)));
        assert_eq!(credential.overrides.preshared_key, Some(Secret::new(PRESHARED)));
        assert_eq!(credential.overrides.addresses, ["10.2.0.2/32".parse().unwrap()]);
        assert_eq!(credential.overrides.dns, ["10.2.0.1".parse::<std::net::IpAddr>().unwrap()]);
        let config = &records.gateways[0].config;
        for key in [KEY, PRESHARED] {
            assert!(!config.contains(&STANDARD.encode(key)), "the gateway has a key:\n{config}");
        }
    }

    #[test]
    fn peers_with_different_preshared_keys_keep_them() {
        let peers = [peer(9, Some(PRESHARED)), peer(8, None)];
        let (_, catalog) = imported(&config(&peers));
        let records = catalog.records();
        assert_eq!(records.credentials[0].overrides.preshared_key, None);
        assert!(records.gateways[0].config.contains(&STANDARD.encode(PRESHARED)));
        assert!(!records.gateways[0].config.contains(&STANDARD.encode(KEY)));
    }

    #[test]
    fn a_second_import_of_the_same_file_changes_nothing() {
        let (document, catalog) = imported(&config(&[peer(9, Some(PRESHARED))]));
        let (plan, _) = document.against(catalog.records(), Uuid::now_v7).unwrap();
        assert_eq!((plan.unchanged, plan.created.len(), plan.updated.len()), (4, 0, 0));
    }

    #[test]
    fn a_given_name_and_owner_are_used() {
        let (_dir, path) = written(&config(&[peer(9, None)]));
        let owner = Owner::Group(String::from("all"));
        let import = Import { name: Some(String::from("se-1")), owner: owner.clone(), ..import() };
        let (document, _) = read(&path, &import).unwrap();
        assert_eq!(document.gateways[0].name, "se-1");
        assert_eq!(document.credentials[0].owner, owner);
    }

    #[test]
    fn every_fault_of_the_file_is_told_with_its_line_and_no_key() {
        let broken = config(&[peer(9, None)]).replace("192.0.2.1:51820", "192.0.2.1");
        let broken = broken.replace("10.2.0.2/32", "10.2.0.2.3/32");
        let (_dir, path) = written(&broken);
        let faults = read(&path, &import()).unwrap_err().to_string();
        assert!(faults.contains("wg0.conf:3: Interface.Address"), "{faults}");
        assert!(faults.contains("wg0.conf:7: Peer.Endpoint"), "{faults}");
        assert!(!faults.contains(&STANDARD.encode(KEY)), "{faults}");
    }

    #[test]
    fn a_file_without_a_private_key_is_refused() {
        let (_dir, path) = written(&config(&[peer(9, None)]).replace("PrivateKey", "# nothing"));
        let faults = read(&path, &import()).unwrap_err().to_string();
        assert!(faults.contains("an import needs the client's own"), "{faults}");
    }
}
