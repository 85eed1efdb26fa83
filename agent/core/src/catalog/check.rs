//! Whether records are sound, each by itself and all together.

mod credential;

use super::build::Place;
use super::index::Taken;
use super::model::{GatewayScope, Mapping, Owner, Provider, ProviderType, Workspace};
use super::node::{CredentialNode, GatewayNode};
use super::{Catalog, RecordId};
use crate::fault::Finding;
use crate::id::ProviderId;

/// The most characters a name may have.
pub(super) const NAME_MAX: usize = 200;
/// The most characters another system's name may have.
const OPAQUE_MAX: usize = 1024;
/// The most bytes a custom config or a custom credential may have.
const TEXT_MAX: usize = 256 * 1024;

/// Checks records of a catalog, each against all the others.
pub(super) struct Check<'a> {
    catalog: &'a Catalog,
    taken: &'a Taken,
    place: Place<'a>,
    findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    /// Checks records of this catalog, which finds by name those that come first where others have
    /// `taken` theirs.
    pub fn new(catalog: &'a Catalog, taken: &'a Taken, place: Place<'a>) -> Self {
        Self { catalog, taken, place, findings: Vec::new() }
    }

    /// Findings in the order in which the records were checked.
    pub fn finish(self) -> Vec<Finding> {
        self.findings
    }

    /// Checks a record, if it is there.
    pub fn record(&mut self, at: &RecordId) {
        let catalog = self.catalog;
        match at {
            RecordId::Provider(id) => {
                catalog.providers.get(id).into_iter().for_each(|it| self.provider(it, at));
            }
            RecordId::Gateway(id) => {
                catalog.gateways.get(id).into_iter().for_each(|it| self.gateway(it, at));
            }
            RecordId::Mapping(id) => {
                catalog.mappings.get(id).into_iter().for_each(|it| self.mapping(it, at));
            }
            RecordId::Credential(id) => {
                catalog.credentials.get(id).into_iter().for_each(|it| self.credential(it, at));
            }
            RecordId::Workspace(name) => {
                catalog.workspaces.get(name).into_iter().for_each(|it| self.workspace(it, at));
            }
        }
    }

    fn provider(&mut self, provider: &Provider, at: &RecordId) {
        self.name(&provider.name, at);
        self.unique("id", at);
        self.unique("name", at);
        self.optional_name(provider.external_id.as_ref(), "external_id", at);
    }

    fn gateway(&mut self, node: &GatewayNode, at: &RecordId) {
        let gateway = &node.record;
        self.name(&gateway.name, at);
        self.line(&gateway.country, NAME_MAX, "country", at);
        self.line(&gateway.city, NAME_MAX, "city", at);
        self.unique("id", at);
        self.unique("name", at);
        self.optional_name(gateway.external_id.as_ref(), "external_id", at);
        self.unique("external_id", at);
        let Some(provider) = self.provider_of(gateway.provider_id, at) else { return };
        if provider.kind == ProviderType::Custom {
            self.bounded(&gateway.config, TEXT_MAX, "config", at);
        }
        if !node.parsed.findings.is_empty() {
            let prefix = self.field(at, "config");
            let found = node.parsed.findings.iter().cloned();
            self.findings.extend(found.map(|finding| within(finding, &prefix)));
        }
    }

    fn mapping(&mut self, mapping: &Mapping, at: &RecordId) {
        self.unique("id", at);
        self.provider_of(mapping.provider_id, at);
        self.owner(&mapping.owner, at);
        self.scope(&mapping.gateways, mapping.provider_id, at);
    }

    fn credential(&mut self, node: &CredentialNode, at: &RecordId) {
        let credential = &node.record;
        self.name(&credential.name, at);
        self.unique("id", at);
        self.unique("name", at);
        self.owner(&credential.owner, at);
        self.optional_name(credential.account.as_ref(), "account", at);
        self.optional_name(credential.external_id.as_ref(), "external_id", at);
        self.scope(&credential.gateways, credential.provider_id, at);
        if let Some(provider) = self.provider_of(credential.provider_id, at) {
            self.use_of(credential, provider, at);
        }
        self.secret_is_new(node, at);
    }

    fn workspace(&mut self, workspace: &Workspace, at: &RecordId) {
        self.opaque_name(&workspace.name, "name", at);
        self.unique("name", at);
    }

    fn provider_of(&mut self, id: ProviderId, at: &RecordId) -> Option<&'a Provider> {
        let found = self.catalog.provider(id);
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
            match self.catalog.gateway(*id) {
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

    fn unique(&mut self, field: &str, at: &RecordId) {
        if self.taken.get(at).is_some_and(|fields| fields.contains(field)) {
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
        let catalog = self.catalog;
        match at {
            RecordId::Provider(id) => {
                let name = catalog.provider(*id).map_or("?", |provider| &provider.name);
                format!("providers[{name}]")
            }
            RecordId::Gateway(id) => {
                let gateway = catalog.gateway(*id);
                let name = gateway.map_or("?", |gateway| &gateway.name);
                let provider = gateway.and_then(|gateway| catalog.provider(gateway.provider_id));
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
