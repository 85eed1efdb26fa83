//! Changing the catalog: checked whole, written whole, then seen by everybody at once.

use std::sync::Arc;

use egress_core::api::ApplyReport;
use egress_core::catalog::{Catalog, Document, Plan};
use egress_core::fault::{Faults, Finding};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;
use uuid::Uuid;

use super::records::{self, RecordError};
use super::seal::MasterKey;
use super::{StoreError, applied};

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

/// Why a catalog was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The records could not be read.
    #[error("read the catalog's records")]
    Read(#[source] RecordError),
    /// The records are not sound, which they were when they were written.
    #[error("the catalog's records do not fit together")]
    Unsound(#[source] Faults),
}

/// The catalog in memory, beside its tables.
pub(super) struct Shelf {
    key: MasterKey,
    catalog: watch::Sender<Arc<Catalog>>,
}

impl Shelf {
    /// Reads the catalog from its tables.
    pub(super) fn load(db: &Connection, key: MasterKey) -> Result<Self, LoadError> {
        let records = records::read(db, &key).map_err(LoadError::Read)?;
        let (catalog, _) = Catalog::new(records).map_err(LoadError::Unsound)?;
        Ok(Self { key, catalog: watch::Sender::new(Arc::new(catalog)) })
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// Applies a document whole or not at all. What it reports is on disk, but for a dry run.
    pub(super) fn apply(
        &self,
        db: &mut Connection,
        document: &Document,
        prune: bool,
        dry_run: bool,
    ) -> Result<ApplyReport, ApplyError> {
        let sql = |source| StoreError::Failed { operation: "apply to the catalog", source };
        let source = document.source.as_deref().unwrap_or_default();
        let (plan, findings) = self.plan(db, document, prune.then_some(source))?;
        let report = report(&plan, findings, dry_run);
        if !dry_run {
            self.write(db, plan, source).map_err(sql)?;
        }
        Ok(report)
    }

    fn plan(
        &self,
        db: &Connection,
        document: &Document,
        prune: Option<&str>,
    ) -> Result<(Plan, Vec<Finding>), ApplyError> {
        let existing = self.catalog.borrow().clone();
        let planned = document.against(existing.records(), Uuid::now_v7);
        let (plan, mut findings) = planned.map_err(ApplyError::Faults)?;
        let Some(source) = prune else { return Ok((plan, findings)) };
        let sql = |error| StoreError::Failed { operation: "read what was applied", source: error };
        let made = applied::by(db, source).map_err(sql)?;
        let (plan, more) = plan.prune(&made).map_err(ApplyError::Faults)?;
        findings.extend(more);
        Ok((plan, findings))
    }

    fn write(&self, db: &mut Connection, plan: Plan, source: &str) -> rusqlite::Result<()> {
        let old = self.catalog.borrow().clone();
        db.pragma_update(None, "synchronous", "FULL")?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        records::write(&transaction, &self.key, old.records(), plan.catalog.records())?;
        applied::note(&transaction, source, &plan.named)?;
        transaction.commit()?;
        self.catalog.send_replace(Arc::new(plan.catalog));
        Ok(())
    }

    /// Wraps every record's key with another master key, on disk before this returns.
    pub(super) fn rotate(
        &mut self,
        db: &mut Connection,
        next: MasterKey,
    ) -> Result<(), StoreError> {
        let sql = |source| StoreError::Failed { operation: "rotate the master key", source };
        db.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        records::rewrap(&transaction, &self.key, &next).map_err(StoreError::Records)?;
        transaction.commit().map_err(sql)?;
        self.key = next;
        // Keys wrapped by the former master key are not left in the log.
        if let Err(error) = db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!(%error, "the former master key still opens what the store's log keeps");
        }
        Ok(())
    }
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
