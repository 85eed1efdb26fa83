//! Changing the catalog: checked whole, written whole, then seen by everybody at once.

use std::sync::Arc;

use egress_core::catalog::{Catalog, Records};
use egress_core::fault::{Faults, Finding};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;

use super::records::{self, RecordError};
use super::seal::MasterKey;

/// The catalog in memory, beside its tables.
pub(super) struct Shelf {
    key: MasterKey,
    catalog: watch::Sender<Arc<Catalog>>,
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

    fn replace(
        &mut self,
        db: &mut Connection,
        new: Catalog,
        old: &Records,
    ) -> rusqlite::Result<()> {
        db.pragma_update(None, "synchronous", "FULL")?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        records::write(&transaction, &self.key, old, new.records())?;
        transaction.commit()?;
        self.catalog.send_replace(Arc::new(new));
        Ok(())
    }
}
