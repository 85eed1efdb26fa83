//! The catalog's records as the API shows them: without secrets and configs.

use egress_core::api::{
    Code, CredentialRecord, GatewayRecord, MappingRecord, ProviderRecord, Refusal, WorkspaceRecord,
};
use egress_core::catalog::{Catalog, Document};
use egress_core::fault::{FAULTS_MAX, Faults, Tally};

use crate::session::Rejected;

/// Takes an apply document.
pub fn document(value: serde_json::Value) -> Result<Document, Refusal> {
    let document = Document::from_value(value).map(|(document, _)| document);
    document.map_err(faulty)
}

/// The refusal that tells what is wrong.
pub fn faulty(faults: Faults) -> Refusal {
    let faults = faults.alone();
    let more = if faults.len() > FAULTS_MAX { "more than " } else { "" };
    let tally = Tally { faults: faults.len().min(FAULTS_MAX), ..Tally::default() };
    let detail = format!("{more}{tally}; nothing was changed");
    Refusal::new(Code::InvalidRequest, detail).with_faults(faults)
}

/// Every provider, by name.
pub fn providers(catalog: &Catalog) -> Vec<ProviderRecord> {
    let mut list: Vec<_> = catalog.providers().map(ProviderRecord::from).collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

/// Every gateway, by provider and name.
pub fn gateways(catalog: &Catalog) -> Vec<GatewayRecord> {
    let mut list: Vec<_> = catalog.gateways().map(GatewayRecord::from).collect();
    list.sort_by(|a, b| (a.provider_id, &a.name).cmp(&(b.provider_id, &b.name)));
    list
}

/// Every mapping, by id.
pub fn mappings(catalog: &Catalog) -> Vec<MappingRecord> {
    catalog.mappings().map(MappingRecord::from).collect()
}

/// Every credential, by id.
pub fn credentials(catalog: &Catalog, rejected: &Rejected) -> Vec<CredentialRecord> {
    let shown = catalog.credentials().map(|credential| CredentialRecord {
        refused: rejected.why(credential),
        ..CredentialRecord::from(credential)
    });
    shown.collect()
}

/// Every workspace, by name.
pub fn workspaces(catalog: &Catalog) -> Vec<WorkspaceRecord> {
    catalog.workspaces().map(WorkspaceRecord::from).collect()
}

#[cfg(test)]
mod tests {
    use egress_core::fault::Finding;

    use super::*;

    #[test]
    fn a_refusal_counts_and_tells_faults_alone() {
        let notes = (0..10_000).map(|_| Finding::note("left out"));
        let found = notes.chain([Finding::fault("wrong"), Finding::warning("odd")]).collect();
        let refusal = faulty(Faults(found));
        assert_eq!(refusal.detail, "1 fault; nothing was changed");
        assert_eq!(refusal.faults, [Finding::fault("wrong")]);
    }
}
