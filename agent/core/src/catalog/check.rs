//! Whether records are sound, each by itself and all together.

mod credential;

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::model::{Gateway, GatewayScope, Owner, Provider, ProviderType};
use super::{RecordId, Records};
use crate::fault::{Checked, Faults, Finding};
use crate::id::{GatewayId, ProviderId};
use crate::openvpn;
use crate::wireguard::{self, Rules};

/// The most characters a name may have.
pub(super) const NAME_MAX: usize = 200;
/// The most characters another system's name may have.
const OPAQUE_MAX: usize = 1024;
/// The most bytes a custom config or a custom credential may have.
const TEXT_MAX: usize = 256 * 1024;

/// Checks records that are sorted by their keys, with the public key beside each WireGuard
/// credential. Gives what was found and, beside each gateway, its parsed config.
pub(super) fn check(
    records: &Records,
    public_keys: &[Option<[u8; 32]>],
    place: &dyn Fn(&RecordId) -> Option<String>,
) -> (Vec<Finding>, Vec<Config>) {
    let mut check = Check::new(records, place);
    check.providers();
    let configs = check.gateways();
    check.mappings();
    check.credentials(public_keys, &configs);
    check.workspaces();
    (check.findings, configs)
}

struct Check<'a> {
    records: &'a Records,
    place: &'a dyn Fn(&RecordId) -> Option<String>,
    providers: BTreeMap<ProviderId, &'a Provider>,
    gateways: BTreeMap<GatewayId, &'a Gateway>,
    findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    fn new(records: &'a Records, place: &'a dyn Fn(&RecordId) -> Option<String>) -> Self {
        Self {
            records,
            place,
            providers: records.providers.iter().map(|provider| (provider.id, provider)).collect(),
            gateways: records.gateways.iter().map(|gateway| (gateway.id, gateway)).collect(),
            findings: Vec::new(),
        }
    }

    fn providers(&mut self) {
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        for provider in &self.records.providers {
            let at = RecordId::Provider(provider.id);
            self.name(&provider.name, &at);
            self.unique(ids.insert(provider.id), "id", &at);
            self.unique(names.insert(&provider.name), "name", &at);
            self.optional_name(provider.external_id.as_ref(), "external_id", &at);
        }
    }

    fn gateways(&mut self) -> Vec<Config> {
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut external_ids = BTreeSet::new();
        let mut configs = Vec::with_capacity(self.records.gateways.len());
        for gateway in &self.records.gateways {
            let at = RecordId::Gateway(gateway.id);
            self.name(&gateway.name, &at);
            self.line(&gateway.country, NAME_MAX, "country", &at);
            self.line(&gateway.city, NAME_MAX, "city", &at);
            self.unique(ids.insert(gateway.id), "id", &at);
            self.unique(names.insert((gateway.provider_id, &gateway.name)), "name", &at);
            let external_id = gateway.external_id.as_ref();
            self.optional_name(external_id, "external_id", &at);
            let new = external_id.is_none_or(|id| external_ids.insert((gateway.provider_id, id)));
            self.unique(new, "external_id", &at);
            configs.push(self.config(gateway));
        }
        configs
    }

    fn config(&mut self, gateway: &Gateway) -> Config {
        let at = RecordId::Gateway(gateway.id);
        let Some(provider) = self.provider(gateway.provider_id, &at) else { return Config::Opaque };
        match provider.kind {
            ProviderType::Wireguard => {
                let rules = Rules { split: provider.split, on_hooks: provider.on_hooks };
                let parsed = wireguard::parse(&gateway.config, &rules);
                self.parsed(gateway, parsed, Config::Wireguard)
            }
            ProviderType::Openvpn => {
                let parsed = openvpn::parse(&gateway.config, provider.on_hooks);
                self.parsed(gateway, parsed, |config| Config::Openvpn(Box::new(config)))
            }
            ProviderType::Custom => {
                self.bounded(&gateway.config, TEXT_MAX, "config", &at);
                Config::Opaque
            }
        }
    }

    fn parsed<T>(
        &mut self,
        gateway: &Gateway,
        parsed: Checked<T>,
        kept: impl FnOnce(T) -> Config,
    ) -> Config {
        let (config, findings) = match parsed {
            Ok((config, findings)) => (kept(config), findings),
            Err(Faults(findings)) => (Config::Faulty, findings),
        };
        let prefix = self.field(&RecordId::Gateway(gateway.id), "config");
        self.findings.extend(findings.into_iter().map(|finding| within(finding, &prefix)));
        config
    }

    fn mappings(&mut self) {
        let mut ids = BTreeSet::new();
        for mapping in &self.records.mappings {
            let at = RecordId::Mapping(mapping.id);
            self.unique(ids.insert(mapping.id), "id", &at);
            self.provider(mapping.provider_id, &at);
            self.owner(&mapping.owner, &at);
            self.scope(&mapping.gateways, mapping.provider_id, &at);
        }
    }

    fn credentials(&mut self, public_keys: &[Option<[u8; 32]>], configs: &[Config]) {
        let without_address = self.gateways_without_address(configs);
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut secrets = BTreeMap::new();
        for (credential, key) in self.records.credentials.iter().zip(public_keys) {
            let at = RecordId::Credential(credential.id);
            self.name(&credential.name, &at);
            self.unique(ids.insert(credential.id), "id", &at);
            self.unique(names.insert((credential.provider_id, &credential.name)), "name", &at);
            self.owner(&credential.owner, &at);
            self.optional_name(credential.account.as_ref(), "account", &at);
            self.optional_name(credential.external_id.as_ref(), "external_id", &at);
            self.scope(&credential.gateways, credential.provider_id, &at);
            if let Some(provider) = self.provider(credential.provider_id, &at) {
                self.credential(credential, provider, &without_address);
            }
            if let Some(identity) = credential::identity(credential, key.as_ref()) {
                let first = *secrets.entry(identity).or_insert(credential);
                self.secret_is_new(credential, first);
            }
        }
    }

    fn workspaces(&mut self) {
        let mut names = BTreeSet::new();
        for workspace in &self.records.workspaces {
            let at = RecordId::Workspace(workspace.name.clone());
            self.opaque_name(&workspace.name, "name", &at);
            self.unique(names.insert(&workspace.name), "name", &at);
        }
    }

    fn provider(&mut self, id: ProviderId, at: &RecordId) -> Option<&'a Provider> {
        let found = self.providers.get(&id).copied();
        if found.is_none() {
            self.fault(at, "provider", "there is no such provider");
        }
        found
    }

    fn scope(&mut self, scope: &GatewayScope, provider: ProviderId, at: &RecordId) {
        let GatewayScope::Selected(ids) = scope else { return };
        if ids.is_empty() {
            self.warning(at, "gateways", "an empty list allows no gateway");
        }
        for id in ids {
            match self.gateways.get(id) {
                None => self.fault(at, "gateways", format!("there is no gateway {id}")),
                Some(gateway) if gateway.provider_id != provider => {
                    let message = format!("gateway {} is another provider's", gateway.name);
                    self.fault(at, "gateways", message);
                }
                Some(_) => {}
            }
        }
    }

    fn owner(&mut self, owner: &Owner, at: &RecordId) {
        let (field, name) = match owner {
            Owner::User(name) => ("user", name),
            Owner::Group(name) => ("group", name),
            Owner::Workspace(name) => ("workspace", name),
        };
        self.opaque_name(name, field, at);
    }

    fn unique(&mut self, is_new: bool, field: &str, at: &RecordId) {
        if !is_new {
            self.fault(at, field, "another record has the same");
        }
    }

    /// A name that people give to records of ours.
    fn name(&mut self, name: &str, at: &RecordId) {
        if name.is_empty() {
            self.fault(at, "name", "empty");
        }
        self.line(name, NAME_MAX, "name", at);
        if name.trim() != name {
            self.fault(at, "name", "starts or ends with white space");
        }
    }

    /// A name that is another system's, where there is one.
    fn optional_name(&mut self, name: Option<&String>, field: &str, at: &RecordId) {
        if let Some(name) = name {
            self.opaque_name(name, field, at);
        }
    }

    /// A name that is another system's.
    fn opaque_name(&mut self, name: &str, field: &str, at: &RecordId) {
        if name.is_empty() {
            self.fault(at, field, "empty");
        }
        self.line(name, OPAQUE_MAX, field, at);
    }

    fn line(&mut self, text: &str, most: usize, field: &str, at: &RecordId) {
        if text.chars().count() > most {
            self.fault(at, field, format!("longer than {most} characters"));
        }
        if text.chars().any(char::is_control) {
            self.fault(at, field, "holds a line break or another control character");
        }
    }

    fn bounded(&mut self, text: &str, most: usize, field: &str, at: &RecordId) {
        if text.len() > most {
            self.fault(at, field, format!("{} bytes: at most {most}", text.len()));
        }
    }

    fn fault(&mut self, at: &RecordId, field: &str, message: impl Into<String>) {
        let field = self.field(at, field);
        self.findings.push(Finding::fault(printable(&message.into())).about(field));
    }

    fn warning(&mut self, at: &RecordId, field: &str, message: impl Into<String>) {
        let field = self.field(at, field);
        self.findings.push(Finding::warning(printable(&message.into())).about(field));
    }

    fn field(&self, at: &RecordId, field: &str) -> String {
        let record = (self.place)(at).unwrap_or_else(|| printable(&self.label(at)));
        format!("{record}.{field}")
    }

    /// What a record is called where it has no place in a document.
    fn label(&self, at: &RecordId) -> String {
        match at {
            RecordId::Provider(id) => {
                let name = self.providers.get(id).map_or("?", |provider| &provider.name);
                format!("providers[{name}]")
            }
            RecordId::Gateway(id) => {
                let gateway = self.gateways.get(id);
                let name = gateway.map_or("?", |gateway| &gateway.name);
                let provider = gateway.and_then(|gateway| self.providers.get(&gateway.provider_id));
                format!("gateways[{}/{name}]", provider.map_or("?", |provider| &provider.name))
            }
            RecordId::Mapping(id) => format!("mappings[{id}]"),
            RecordId::Credential(id) => format!("credentials[{id}]"),
            RecordId::Workspace(name) => format!("workspaces[{name}]"),
        }
    }
}

/// A name may be wrong just because it would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A finding of a config text, as one of the record that holds the text.
fn within(mut finding: Finding, prefix: &str) -> Finding {
    finding.field = Some(match finding.field {
        Some(field) => format!("{prefix}.{field}"),
        None => prefix.to_owned(),
    });
    finding
}
