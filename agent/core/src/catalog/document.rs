//! The apply document: catalog records as people write them, in TOML or JSON.
//!
//! References are names or ids, ids may be left out, and secrets may stand in files of their own.
//! [`Document::from_toml`] or [`Document::from_value`] reads one, [`Document::resolve`] brings in
//! its files, [`Document::against`] compares it with the records there are.

mod entries;
pub(super) mod fields;
mod join;
mod patch;
pub(super) mod plan;
pub(super) mod read;
mod scope;
mod text;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use entries::{CredentialEntry, GatewayEntry, MappingEntry, ProviderEntry, WorkspaceEntry};
use fields::Fields;
pub(super) use patch::patched;
pub use plan::Plan;
pub(super) use plan::labels;
pub use scope::Scope;
pub use text::Text;

use crate::fault::{Checked, Faults, Finding, unless_faulty};
use crate::located::{Places, read_toml};
use crate::secret::Secret;

/// A catalog, or a part of one, as it is applied.
///
/// Serialising it writes its secrets: that is how a client sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CatalogDocument)]
pub struct Document {
    /// Where it comes from, for instance the path of its file: a later apply with the same source
    /// may remove what this one made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Providers.
    #[serde(rename = "provider", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub providers: Vec<ProviderEntry>,
    /// Gateways.
    #[serde(rename = "gateway", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub gateways: Vec<GatewayEntry>,
    /// Mappings.
    #[serde(rename = "mapping", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mappings: Vec<MappingEntry>,
    /// Credentials.
    #[serde(rename = "credential", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub credentials: Vec<CredentialEntry>,
    /// Workspaces.
    #[serde(rename = "workspace", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub workspaces: Vec<WorkspaceEntry>,
    /// Where each entry and field stands in the file it came from.
    #[serde(skip)]
    places: Places,
}

impl Document {
    /// Reads a TOML file. `file` is what findings call it.
    pub fn from_toml(text: &str, file: &str) -> Checked<Self> {
        let (value, places, mut findings) = read_toml(text, file);
        let document = Self::read(value, true, &mut findings);
        let findings = places.locate(findings);
        unless_faulty(findings, || Self { places, ..document })
    }

    /// Reads a JSON body. It may name no files: the agent opens none for a caller.
    pub fn from_value(value: Value) -> Checked<Self> {
        let mut findings = Vec::new();
        let document = Self::read(value, false, &mut findings);
        unless_faulty(findings, || document)
    }

    fn read(value: Value, files: bool, findings: &mut Vec<Finding>) -> Self {
        let Some(mut fields) = Fields::of_document(value, files, findings) else {
            return Self::default();
        };
        let document = Self {
            source: fields.text("source"),
            providers: fields.entries("provider", ProviderEntry::read),
            gateways: fields.entries("gateway", GatewayEntry::read),
            mappings: fields.entries("mapping", MappingEntry::read),
            credentials: fields.entries("credential", CredentialEntry::read),
            workspaces: fields.entries("workspace", WorkspaceEntry::read),
            places: Places::default(),
        };
        fields.finish();
        document
    }

    /// Brings in the files that the document names. `open` is given each path as it was written
    /// and says in a sentence why it cannot give the text.
    pub fn resolve(
        mut self,
        mut open: impl FnMut(&str) -> Result<Secret<String>, String>,
    ) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut places = std::mem::take(&mut self.places);
        for (field, text) in self.texts() {
            let Text::File(path) = text else { continue };
            match open(path) {
                Ok(content) => {
                    places.text_came_from(&field, path);
                    *text = Text::Inline(content);
                }
                Err(why) => {
                    faults.push(Finding::fault(format!("{path}: {why}")).about(field + "_file"));
                }
            }
        }
        if !faults.is_empty() {
            return Err(Faults(places.locate(faults)));
        }
        Ok(Self { places, ..self })
    }

    /// Every text that may be a file, with the path of its field.
    fn texts(&mut self) -> impl Iterator<Item = (String, &mut Text)> {
        let configs = self
            .gateways
            .iter_mut()
            .enumerate()
            .map(|(nth, gateway)| (format!("gateway[{nth}].config"), &mut gateway.config));
        let secrets = self.credentials.iter_mut().enumerate().flat_map(|(nth, credential)| {
            let texts = [
                ("private_key", &mut credential.private_key),
                ("password", &mut credential.password),
                ("custom", &mut credential.custom),
                ("preshared_key", &mut credential.preshared_key),
            ];
            texts.into_iter().filter_map(move |(key, text)| {
                Some((format!("credential[{nth}].{key}"), text.as_mut()?))
            })
        });
        configs.chain(secrets)
    }

    /// Puts files and lines to findings that name fields of this document, as those have that an
    /// agent sends back.
    pub fn locate(&self, findings: Vec<Finding>) -> Vec<Finding> {
        self.places.locate(findings)
    }
}
