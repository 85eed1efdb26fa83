//! Changing one record, with everything that is to be said of it.

use std::collections::BTreeSet;

use egress_core::api::Record;
use egress_core::catalog::{Change, Changed, NotChanged, RecordId};
use egress_core::fault::Finding;
use uuid::Uuid;

use super::edit::{Revision, Source};
use super::{Store, StoreError};

/// Why a change of a record came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The record, or what the change would make of the catalog, does not allow it.
    #[error("the record cannot be changed so")]
    Refused(NotChanged),
    /// The store could not do it.
    #[error("change the catalog")]
    Store(#[from] StoreError),
}

/// What a change of a record did.
#[derive(Debug)]
pub struct RecordChange {
    /// The record that it was about.
    pub record: RecordId,
    /// The record as it is now; `None` when it is gone.
    pub now: Option<Record>,
    /// That record and the others that it took along.
    pub named: BTreeSet<RecordId>,
    /// Records taken away, as `kind name`.
    pub removed: Vec<String>,
    /// Records that are different.
    pub updated: Vec<String>,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

impl dyn Store + '_ {
    /// Changes a record, whole or not at all; what it gives is on disk and in [`Store::catalog`].
    /// Sessions of a record that goes keep running.
    pub async fn change(&self, change: Change) -> Result<RecordChange, ChangeError> {
        // No apply named it, so none prunes it.
        let source = Source::default();
        let changed = self.edit_as("change the catalog", source, move |catalog, _| {
            match change.against(catalog, Uuid::now_v7) {
                Ok(changed) => {
                    let (change, revision) = carried_out(changed);
                    (Ok(change), Some(revision))
                }
                Err(why) => (Err(why), None),
            }
        });
        changed.await?.map_err(ChangeError::Refused)
    }
}

fn carried_out(changed: Changed) -> (RecordChange, Revision) {
    let Changed { record, named, plan, findings } = changed;
    let change = RecordChange {
        now: Record::of(&plan.catalog, &record),
        record,
        named,
        removed: plan.removed,
        updated: plan.updated,
        findings,
    };
    (change, Revision { catalog: plan.catalog, named: BTreeSet::new() })
}
