//! The call that pushes a snapshot.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use egress_core::api::PushReport;
use egress_core::catalog::RecordKind;

use super::agent::Agent;
use super::caller::Caller;
use super::calls::Call;
use super::extract::{Key, Query};
use super::handlers::carry_through;
use super::large_body::LargeBody;
use super::problem::Rejection;
use super::queries::PushQuery;
use super::records::record_id;
use super::shared::Shared;

pub(super) async fn push<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Key(key): Key,
    Query(query): Query<PushQuery>,
    LargeBody { json, place }: LargeBody,
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
