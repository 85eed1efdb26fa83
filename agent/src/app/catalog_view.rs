//! The catalog's records as the API shows them: without secrets and configs.

use egress_core::api::{
    Code, CredentialRecord, GatewayRecord, MappingRecord, ProviderRecord, Refusal, WorkspaceRecord,
};
use egress_core::catalog::{Catalog, Document};
use egress_core::fault::Faults;

use crate::session::Rejected;

/// Takes an apply document.
pub fn document(value: serde_json::Value) -> Result<Document, Refusal> {
    let document = Document::from_value(value).map(|(document, _)| document);
    document.map_err(faulty)
}

/// The refusal that tells what is wrong.
pub fn faulty(Faults(findings): Faults) -> Refusal {
    let faults = if findings.len() == 1 { "fault" } else { "faults" };
    let detail = format!("{} {faults}; nothing was changed", findings.len());
    Refusal::new(Code::InvalidRequest, detail).with_faults(findings)
}

/// Every provider, by name.
pub fn providers(catalog: &Catalog) -> Vec<ProviderRecord> {
    let records = catalog.records().providers.iter();
    let mut list: Vec<_> = records.map(ProviderRecord::from).collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

/// Every gateway, by provider and name.
pub fn gateways(catalog: &Catalog) -> Vec<GatewayRecord> {
    let records = catalog.records().gateways.iter();
    let mut list: Vec<_> = records.map(GatewayRecord::from).collect();
    list.sort_by(|a, b| (a.provider_id, &a.name).cmp(&(b.provider_id, &b.name)));
    list
}

/// Every mapping, by id.
pub fn mappings(catalog: &Catalog) -> Vec<MappingRecord> {
    catalog.records().mappings.iter().map(MappingRecord::from).collect()
}

/// Every credential, by id.
pub fn credentials(catalog: &Catalog, rejected: &Rejected) -> Vec<CredentialRecord> {
    let records = catalog.records().credentials.iter();
    let shown = records.map(|credential| CredentialRecord {
        refused: rejected.why(credential),
        ..CredentialRecord::from(credential)
    });
    shown.collect()
}

/// Every workspace, by name.
pub fn workspaces(catalog: &Catalog) -> Vec<WorkspaceRecord> {
    catalog.records().workspaces.iter().map(WorkspaceRecord::from).collect()
}
