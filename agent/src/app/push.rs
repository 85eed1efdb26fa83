//! A plugin service's push: may it, is it sound, what came of it.

use std::sync::Arc;

use bytes::Bytes;
use egress_core::api::{Code, PushReport, Refusal};
use egress_core::catalog::{Catalog, PushError, Snapshot};
use egress_core::id::ProviderId;
use tokio::task::spawn_blocking;
use tracing::info;

use super::catalog_view::faulty;
use crate::control::caller::Caller;
use crate::control::calls::Call;
use crate::store::{PushFailure, Store};
use crate::telemetry::chain;

/// Pushes a snapshot that comes as JSON.
pub async fn push(
    store: &Arc<dyn Store>,
    provider: ProviderId,
    json: Bytes,
    dry_run: bool,
    caller: &Caller,
) -> Result<PushReport, Refusal> {
    may(caller, Call::Push, provider, &store.catalog())?;
    // Reading megabytes takes its time, in which other calls are to be answered.
    let read = spawn_blocking(move || Snapshot::from_json(&json)).await;
    let read = read.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    let (snapshot, _) = read.map_err(faulty)?;
    let report = store.push(provider, snapshot, dry_run).await.map_err(refusal)?;
    if !dry_run {
        told(provider, &report);
    }
    Ok(report)
}

/// Refuses a plugin to which this provider does not belong, whether or not there is one.
pub fn may(
    caller: &Caller,
    call: Call,
    provider: ProviderId,
    catalog: &Catalog,
) -> Result<(), Refusal> {
    let may = match catalog.provider(provider) {
        Some(provider) => caller.may_on(call, provider),
        None => caller.may_on_every(call),
    };
    if may {
        return Ok(());
    }
    let detail = format!(
        "{} may not make the call {} for provider {provider}: providers of [roles.plugin] in \
         agent.toml say whose plugin it is",
        caller.identity,
        call.name(),
    );
    Err(Refusal::new(Code::Forbidden, detail))
}

fn refusal(failure: PushFailure) -> Refusal {
    let error = match failure {
        PushFailure::Store(error) => return Refusal::new(Code::StoreUnavailable, chain(&error)),
        PushFailure::Refused(error) => error,
    };
    let (code, next) = match error {
        PushError::Faults(faults) => return faulty(faults),
        PushError::NoSuchProvider(_) => (Code::NoSuchRecord, "`egressctl` lists them for admins"),
        PushError::NotManaged(_) => {
            (Code::ProviderNotManaged, "set managed = true on it to let a plugin service push")
        }
        PushError::Outdated { .. } => (Code::SnapshotOutdated, "push one with a larger version"),
        PushError::Reused { .. } => {
            (Code::SnapshotReused, "what differs from it needs a larger version")
        }
    };
    Refusal::new(code, format!("{error}: {next}; nothing was changed"))
}

fn told(provider: ProviderId, report: &PushReport) {
    let PushReport { version, gateways, credentials, .. } = report;
    info!(
        %provider,
        version,
        created = gateways.created.len(),
        updated = gateways.updated.len(),
        withdrawn = gateways.withdrawn.len(),
        returned = gateways.returned.len(),
        unchanged = gateways.unchanged,
        credentials = credentials.unchanged as usize
            + credentials.created.len()
            + credentials.updated.len()
            + credentials.returned.len(),
        "managed gateways pushed"
    );
}
