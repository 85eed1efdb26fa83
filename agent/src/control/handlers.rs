//! What each call does: take the request apart, ask the agent, put the reply together.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use egress_core::api::{
    ApplyReport, AttachRequest, Code, ConnectionList, DEADLINE_MAX_MS, GatewayRef, Refusal,
    SessionView, StatusView, TrafficList,
};
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::agent::{Agent, ApplyMode};
use super::caller::Caller;
use super::calls::Call;
use super::document;
use super::extract::{Id, JsonBody, Query, parse};
use super::large_body::LargeBody;
use super::problem::Rejection;
use super::queries::{ApplyQuery, DetachQuery, OffersQuery, ResolveQuery};
use super::shared::Shared;

pub(super) type Reply<T> = Result<Json<T>, Rejection>;

/// How much later than an attach's own deadline the server gives up waiting for it.
const ATTACH_GRACE: Duration = Duration::from_secs(5);

pub async fn attach<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    JsonBody(request): JsonBody<AttachRequest>,
) -> Result<Response, Rejection> {
    let faults = request.faults();
    if !faults.is_empty() {
        let detail = "the request has values out of range";
        return Err(Refusal::new(Code::InvalidRequest, detail).with_faults(faults).into());
    }
    let patience = Duration::from_millis(request.deadline_ms.min(DEADLINE_MAX_MS)) + ATTACH_GRACE;
    let agent = Arc::clone(&state.agent);
    let work = async move { agent.attach(request, Caller::clone(&caller)).await };
    let attached = carry_through(&state, patience, "attach", work).await?;
    let status = if attached.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(attached.session)).into_response())
}

pub async fn detach<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Id(id): Id,
    Query(query): Query<DetachQuery>,
) -> Reply<SessionView> {
    let agent = Arc::clone(&state.agent);
    let work = async move { agent.detach(id, query.release, Caller::clone(&caller)).await };
    let patience = Call::Detach.deadline();
    carry_through(&state, patience, "detach", work).await.map(Json)
}

/// Does a work that must not stop half-way when its caller hangs up or the wait is over.
pub(super) async fn carry_through<A: Agent, T: Send + 'static>(
    state: &Shared<A>,
    patience: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Rejection> {
    let task = state.carried_through.spawn(work);
    match tokio::time::timeout(patience, task).await {
        Ok(Ok(result)) => result.map_err(Rejection::from),
        Ok(Err(_)) => {
            let detail = format!("{what} broke off: the agent's log has more");
            Err(Refusal::new(Code::Internal, detail).into())
        }
        Err(_) => {
            let seconds = patience.as_secs();
            let detail = format!("{what} did not end within {seconds} s: ask what came of it");
            Err(Refusal::new(Code::DeadlineExceeded, detail).into())
        }
    }
}

pub async fn session<A: Agent>(State(state): State<Shared<A>>, Id(id): Id) -> Reply<SessionView> {
    Ok(Json(state.agent.session(&id).await?))
}

pub async fn offers<A: Agent>(
    State(state): State<Shared<A>>,
    Query(query): Query<OffersQuery>,
) -> Result<Response, Rejection> {
    let explain = query.explain;
    let menu = state.agent.offers(&query.into_subject(), explain).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], menu).into_response())
}

pub async fn resolve_gateway<A: Agent>(
    State(state): State<Shared<A>>,
    Query(query): Query<ResolveQuery>,
) -> Reply<GatewayRef> {
    Ok(Json(GatewayRef { id: state.agent.gateway_by_name(&query.name).await? }))
}

pub async fn status<A: Agent>(State(state): State<Shared<A>>) -> Reply<StatusView> {
    Ok(Json(state.agent.status().await?))
}

pub async fn connections<A: Agent>(State(state): State<Shared<A>>) -> Reply<ConnectionList> {
    Ok(Json(state.agent.connections().await?))
}

pub async fn traffic<A: Agent>(State(state): State<Shared<A>>) -> Reply<TrafficList> {
    Ok(Json(TrafficList { traffic: state.agent.traffic().await? }))
}

pub async fn apply<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<ApplyQuery>,
    LargeBody { json, place }: LargeBody,
) -> Reply<ApplyReport> {
    let document: Map<String, Value> = parse(&json)?;
    let ApplyQuery { dry_run, prune, sessions: on_sessions } = query;
    let mode = ApplyMode { dry_run, prune, on_sessions };
    let agent = Arc::clone(&state.agent);
    let work = async move {
        let report = agent.apply(Value::Object(document), mode, Caller::clone(&caller)).await;
        drop(place);
        report
    };
    carry_through(&state, Call::Apply.deadline(), "apply", work).await.map(Json)
}

pub async fn openapi() -> Json<OpenApi> {
    Json(document::openapi())
}
