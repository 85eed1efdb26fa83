//! The call that pushes a snapshot: its body may be large, so few are taken at one time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::{Extension, Json};
use bytes::Bytes;
use egress_core::api::{PushReport, SNAPSHOT_MAX};
use egress_core::catalog::RecordKind;
use tokio::sync::OwnedSemaphorePermit;

use super::agent::Agent;
use super::caller::Caller;
use super::calls::Call;
use super::extract::{Key, Query, must_be, receive};
use super::handlers::carry_through;
use super::problem::Rejection;
use super::queries::PushQuery;
use super::records::record_id;
use super::shared::Shared;

/// How many snapshots are held in memory at one time. One more waits, unread.
pub(super) const PUSHES_MAX: usize = 2;
/// How long a snapshot may take to arrive.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn push<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Key(key): Key,
    Query(query): Query<PushQuery>,
    Snapshot { json, place }: Snapshot,
) -> Result<Json<PushReport>, Rejection> {
    let provider = record_id(RecordKind::Provider, &key)?.provider();
    let provider = provider.expect("the key of a provider is its id");
    let agent = Arc::clone(&state.agent);
    let work = async move {
        let report = agent.push(provider, json, query.dry_run, Caller::clone(&caller)).await;
        drop(place);
        report
    };
    carry_through(&state, Call::Push.deadline(), "the push", work).await.map(Json)
}

/// A snapshot as JSON of at most [`SNAPSHOT_MAX`] bytes that arrived in time, and its place among
/// those that are held.
pub(super) struct Snapshot {
    json: Bytes,
    place: OwnedSemaphorePermit,
}

impl<A: Agent> FromRequest<Shared<A>> for Snapshot {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &Shared<A>) -> Result<Self, Rejection> {
        must_be(&["application/json"], request.headers())?;
        let place = Arc::clone(&state.pushes).acquire_owned().await;
        let place = place.expect("nobody closes this semaphore");
        let json = receive(request.into_body(), SNAPSHOT_MAX, SNAPSHOT_TIMEOUT).await?;
        Ok(Self { json, place })
    }
}
