//! What each call on one record does.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use egress_core::api::{Code, Record, Refusal, Removed, Written};
use egress_core::catalog::{RecordId, RecordKind};
use egress_core::fault::Finding;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::agent::{Agent, DeleteMode, Fields};
use super::caller::Caller;
use super::calls::Call;
use super::extract::{IfMatch, JsonBody, Key, PatchBody, Query};
use super::handlers::carry_through;
use super::problem::Rejection;
use super::queries::{DeleteQuery, UpdateQuery};
use super::shared::Shared;

pub async fn show<A: Agent>(
    kind: RecordKind,
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Key(key): Key,
) -> Result<Response, Rejection> {
    let record = state.agent.record(&record_id(kind, &key)?, &caller).await?;
    Ok(([(header::ETAG, etag(&record))], Json(record)).into_response())
}

pub async fn create<A: Agent>(
    kind: RecordKind,
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    JsonBody(fields): JsonBody<Fields>,
) -> Result<Response, Rejection> {
    let agent = Arc::clone(&state.agent);
    let work = async move { agent.create(kind, fields, Caller::clone(&caller)).await };
    let call = Call::Create(kind);
    let (id, written) = carry_through(&state, call.deadline(), call.name(), work).await?;
    let place = format!("{}/{}", call.path(), in_path(&id));
    let mut reply = (StatusCode::CREATED, wrote(written)).into_response();
    let place = HeaderValue::try_from(place).expect("a path is ASCII once it is encoded");
    reply.headers_mut().insert(header::LOCATION, place);
    Ok(reply)
}

pub async fn update<A: Agent>(
    kind: RecordKind,
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Key(key): Key,
    IfMatch(expected): IfMatch,
    Query(query): Query<UpdateQuery>,
    PatchBody(patch): PatchBody,
) -> Result<Response, Rejection> {
    let (agent, record) = (Arc::clone(&state.agent), record_id(kind, &key)?);
    let work = async move {
        agent.update(record, patch, expected, query.sessions, Caller::clone(&caller)).await
    };
    let call = Call::Update(kind);
    let written = carry_through(&state, call.deadline(), call.name(), work).await?;
    Ok(wrote(written).into_response())
}

pub async fn delete<A: Agent>(
    kind: RecordKind,
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Key(key): Key,
    IfMatch(expected): IfMatch,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Removed>, Rejection> {
    let (agent, record) = (Arc::clone(&state.agent), record_id(kind, &key)?);
    let mode = DeleteMode { cascade: query.cascade, on_sessions: query.sessions };
    let work = async move { agent.delete(record, expected, mode, Caller::clone(&caller)).await };
    let call = Call::Delete(kind);
    carry_through(&state, call.deadline(), call.name(), work).await.map(Json)
}

fn wrote(written: Written<Record>) -> impl IntoResponse {
    ([(header::ETAG, etag(&written.record))], Json(written))
}

fn etag(record: &Record) -> String {
    format!("\"{}\"", record.version())
}

pub(super) fn record_id(kind: RecordKind, key: &str) -> Result<RecordId, Refusal> {
    kind.key(key).map_err(|_| {
        let fault = Finding::fault("expected a UUID").about("id");
        let detail = format!("the path holds no {} id", kind.as_str());
        Refusal::new(Code::InvalidRequest, detail).with_faults(vec![fault])
    })
}

/// A record's key as one part of a path.
pub fn in_path(record: &RecordId) -> String {
    match record {
        RecordId::Provider(_)
        | RecordId::Gateway(_)
        | RecordId::Mapping(_)
        | RecordId::Credential(_) => record.to_string(),
        RecordId::Workspace(name) => utf8_percent_encode(name, NON_ALPHANUMERIC).to_string(),
    }
}
