//! Applying a document: all its records or none.

use std::collections::BTreeSet;

use egress_core::api::{AffectedSessions, ApplyReport};
use egress_core::catalog::{Catalog, Document, Plan, RecordId};
use egress_core::fault::{Faults, Finding};
use uuid::Uuid;

use super::edit::{Revision, Source};
use super::{Store, StoreError};

/// Why an apply changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The document, or what it would make of the catalog, is not sound.
    #[error("the document has faults")]
    Faults(#[source] Faults),
    /// The store could not do it.
    #[error("apply to the catalog")]
    Store(#[from] StoreError),
}

/// What an apply did, or would do.
#[derive(Debug)]
pub struct Applied {
    /// In words.
    pub report: ApplyReport,
    /// The records that it names or takes away.
    pub named: BTreeSet<RecordId>,
    /// What a dry run would make of the catalog.
    pub would_be: Option<Catalog>,
}

impl dyn Store + '_ {
    /// Applies a document whole or not at all; what it reports is on disk and in
    /// [`Store::catalog`], but for a dry run. `prune` removes what earlier applies of the same
    /// source made and this one does not name. Sessions of records that go keep running.
    pub async fn apply(
        &self,
        document: Document,
        prune: bool,
        dry_run: bool,
    ) -> Result<Applied, ApplyError> {
        let source = Source { name: document.source.clone().unwrap_or_default(), prunes: prune };
        let planned =
            self.edit_as("apply to the catalog", source, move |catalog, made| {
                match plan(&document, catalog, prune.then_some(made)) {
                    Ok((plan, findings)) => {
                        let (applied, revision) = carried_out(plan, findings, dry_run);
                        (Ok(applied), revision)
                    }
                    Err(faults) => (Err(faults), None),
                }
            });
        planned.await?.map_err(ApplyError::Faults)
    }
}

/// What the document makes of the catalog, without the records in `prune` that it does not name.
fn plan(
    document: &Document,
    catalog: &Catalog,
    prune: Option<&BTreeSet<RecordId>>,
) -> Result<(Plan, Vec<Finding>), Faults> {
    let (plan, mut findings) = document.against(catalog, Uuid::now_v7)?;
    let Some(made) = prune else { return Ok((plan, findings)) };
    let (plan, more) = plan.prune(made)?;
    findings.extend(more);
    Ok((plan, findings))
}

fn carried_out(plan: Plan, findings: Vec<Finding>, dry_run: bool) -> (Applied, Option<Revision>) {
    let Plan { catalog, created, updated, removed, unchanged, named, gone, .. } = plan;
    let sessions = AffectedSessions::default();
    let report = ApplyReport { dry_run, created, updated, removed, unchanged, findings, sessions };
    let of_both = named.union(&gone).cloned().collect();
    if dry_run {
        return (Applied { report, named: of_both, would_be: Some(catalog) }, None);
    }
    let applied = Applied { report, named: of_both, would_be: None };
    (applied, Some(Revision { catalog, named }))
}
