//! Applying a document: all its records or none.

use std::collections::BTreeSet;

use egress_core::api::ApplyReport;
use egress_core::catalog::{Catalog, Document, Plan, RecordId};
use egress_core::fault::{Faults, Finding};
use uuid::Uuid;

use super::edit::Revision;
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

impl dyn Store + '_ {
    /// Applies a document whole or not at all; what it reports is on disk and in
    /// [`Store::catalog`], but for a dry run. `prune` removes what earlier applies of the same
    /// source made and this one does not name. Sessions of records that go keep running.
    pub async fn apply(
        &self,
        document: Document,
        prune: bool,
        dry_run: bool,
    ) -> Result<ApplyReport, ApplyError> {
        let source = document.source.clone().unwrap_or_default();
        let planned =
            self.edit_as("apply to the catalog", source, move |catalog, made| {
                match plan(&document, catalog, prune.then_some(made)) {
                    Ok((plan, findings)) => {
                        let report = report(&plan, findings, dry_run);
                        let Plan { catalog, named, .. } = plan;
                        (Ok(report), (!dry_run).then_some(Revision { catalog, named }))
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
    let (plan, mut findings) = document.against(catalog.records(), Uuid::now_v7)?;
    let Some(made) = prune else { return Ok((plan, findings)) };
    let (plan, more) = plan.prune(made)?;
    findings.extend(more);
    Ok((plan, findings))
}

fn report(plan: &Plan, findings: Vec<Finding>, dry_run: bool) -> ApplyReport {
    ApplyReport {
        dry_run,
        created: plan.created.clone(),
        updated: plan.updated.clone(),
        removed: plan.removed.clone(),
        unchanged: plan.unchanged,
        findings,
    }
}
