//! The catalog in memory, beside its tables: written whole, then seen by everybody at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use egress_core::catalog::Catalog;
use egress_core::fault::Faults;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;

use super::edit::{Edit, Revision, Source};
use super::records::{self, RecordError};
use super::seal::MasterKey;
use super::{StoreError, applied};

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

    /// Has the edit planned, and makes the catalog what it plans, on disk before this returns.
    pub(super) fn edit(&self, db: &mut Connection, edit: Edit) -> Result<(), StoreError> {
        let failed = |source| StoreError::failed(edit.operation, source);
        let Source { name, prunes } = edit.source;
        let made = if prunes { applied::by(db, &name).map_err(failed)? } else { BTreeSet::new() };
        let old = self.catalog.borrow().clone();
        let Some(revision) = (edit.plan)(&old, &made) else { return Ok(()) };
        self.write(db, &old, revision, &name).map_err(failed)
    }

    fn write(
        &self,
        db: &mut Connection,
        old: &Catalog,
        revision: Revision,
        source: &str,
    ) -> rusqlite::Result<()> {
        db.pragma_update(None, "synchronous", "FULL")?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = revision.catalog.since(old);
        records::write(&transaction, &self.key, &changes)?;
        applied::note(&transaction, source, &revision.named)?;
        applied::forget(&transaction, changes.gone())?;
        transaction.commit()?;
        self.catalog.send_replace(Arc::new(revision.catalog));
        Ok(())
    }

    /// Wraps every record's key with another master key, on disk before this returns.
    pub(super) fn rotate(
        &mut self,
        db: &mut Connection,
        next: MasterKey,
    ) -> Result<(), StoreError> {
        let sql = |source| StoreError::failed("rotate the master key", source);
        db.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        records::rewrap(&transaction, &self.key, &next)
            .map_err(|source| StoreError::failed("rotate the master key", source))?;
        transaction.commit().map_err(sql)?;
        self.key = next;
        // Keys wrapped by the former master key are not left in the log.
        if let Err(error) = db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!(%error, "the former master key still opens what the store's log keeps");
        }
        Ok(())
    }
}
