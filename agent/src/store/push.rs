//! Pushing a snapshot: all of it or nothing.

use std::sync::Arc;

use egress_core::api::PushReport;
use egress_core::catalog::{Catalog, Push, PushError, Snapshot};
use egress_core::id::ProviderId;
use uuid::Uuid;

use super::edit::{Revision, Source};
use super::{Store, StoreError};

/// Why a push changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum PushFailure {
    /// It is not to be.
    #[error("push managed gateways")]
    Refused(#[from] PushError),
    /// The store could not do it.
    #[error("push managed gateways to the catalog")]
    Store(#[from] StoreError),
}

const OPERATION: &str = "push managed gateways";

impl dyn Store + '_ {
    /// Pushes a snapshot whole or not at all; what it reports is on disk and in
    /// [`Store::catalog`], but for a dry run. Sessions of records that go keep running.
    pub async fn push(
        &self,
        provider: ProviderId,
        snapshot: Snapshot,
        dry_run: bool,
    ) -> Result<PushReport, PushFailure> {
        // The store does one edit at a time, and every attach waits for it: most of the work is
        // done beside it, and done again in the rare case that something else was edited.
        let former = self.catalog();
        let (snapshot, push) = aside(snapshot, provider, Arc::clone(&former)).await?;
        let mut push = push?;
        let Some(catalog) = push.catalog.take().filter(|_| !dry_run) else {
            return Ok(report(&snapshot, push, dry_run));
        };
        let edited = self.edit_as(OPERATION, Source::default(), move |current, _| {
            if std::ptr::eq(current, &raw const *former) {
                return (Ok(report(&snapshot, push, dry_run)), Some(revision(catalog)));
            }
            match snapshot.against(current, provider, Uuid::now_v7) {
                Ok(mut push) => {
                    let catalog = push.catalog.take();
                    (Ok(report(&snapshot, push, dry_run)), catalog.map(revision))
                }
                Err(error) => (Err(error), None),
            }
        });
        Ok(edited.await??)
    }
}

async fn aside(
    snapshot: Snapshot,
    provider: ProviderId,
    catalog: Arc<Catalog>,
) -> Result<(Snapshot, Result<Push, PushError>), StoreError> {
    let plan = move || {
        let push = snapshot.against(&catalog, provider, Uuid::now_v7);
        (snapshot, push)
    };
    let planned = tokio::task::spawn_blocking(plan).await;
    planned.map_err(|source| StoreError::failed(OPERATION, source))
}

/// No apply has named what is pushed, so that none takes it away.
fn revision(catalog: Catalog) -> Revision {
    Revision { catalog, named: std::collections::BTreeSet::new() }
}

fn report(snapshot: &Snapshot, push: Push, dry_run: bool) -> PushReport {
    let Push { catalog: _, gateways, credentials, findings } = push;
    PushReport { dry_run, version: snapshot.version, gateways, credentials, findings }
}
