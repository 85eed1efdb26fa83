//! The calls that list records and sessions, page by page.

use axum::Json;
use axum::extract::State;
use egress_core::api::{
    CredentialList, GatewayList, MappingList, ProviderList, SessionList, WorkspaceList,
};

use super::agent::Agent;
use super::extract::Query;
use super::handlers::Reply;
use super::page::{Page, page};
use super::queries::{GatewaysQuery, OfProviderQuery, PageQuery, SessionsQuery};
use super::shared::Shared;

pub async fn sessions<A: Agent>(
    State(state): State<Shared<A>>,
    Query(query): Query<SessionsQuery>,
) -> Reply<SessionList> {
    let mut sessions = state.agent.sessions().await?;
    sessions.retain(|session| query.wants(session));
    let wanted = Page { limit: query.limit, after: query.after };
    let (sessions, next) = page(sessions, &wanted, |it| it.session_id.to_string());
    Ok(Json(SessionList { sessions, next }))
}

pub async fn providers<A: Agent>(
    State(state): State<Shared<A>>,
    Query(PageQuery { limit, after }): Query<PageQuery>,
) -> Reply<ProviderList> {
    let providers = state.agent.providers().await?;
    let (providers, next) = page(providers, &Page { limit, after }, |it| it.name.clone());
    Ok(Json(ProviderList { providers, next }))
}

pub async fn gateways<A: Agent>(
    State(state): State<Shared<A>>,
    Query(query): Query<GatewaysQuery>,
) -> Reply<GatewayList> {
    let mut gateways = state.agent.gateways().await?;
    gateways.retain(|gateway| query.wants(gateway));
    let wanted = Page { limit: query.limit, after: query.after };
    // Ids are of one length: their texts are in the order of the ids.
    let (gateways, next) = page(gateways, &wanted, |it| format!("{}/{}", it.provider_id, it.name));
    Ok(Json(GatewayList { gateways, next }))
}

pub async fn mappings<A: Agent>(
    State(state): State<Shared<A>>,
    Query(OfProviderQuery { provider, limit, after }): Query<OfProviderQuery>,
) -> Reply<MappingList> {
    let mut mappings = state.agent.mappings().await?;
    mappings.retain(|it| provider.is_none_or(|id| it.provider_id == id));
    let (mappings, next) = page(mappings, &Page { limit, after }, |it| it.id.to_string());
    Ok(Json(MappingList { mappings, next }))
}

pub async fn credentials<A: Agent>(
    State(state): State<Shared<A>>,
    Query(OfProviderQuery { provider, limit, after }): Query<OfProviderQuery>,
) -> Reply<CredentialList> {
    let mut credentials = state.agent.credentials().await?;
    credentials.retain(|it| provider.is_none_or(|id| it.provider_id == id));
    let (credentials, next) = page(credentials, &Page { limit, after }, |it| it.id.to_string());
    Ok(Json(CredentialList { credentials, next }))
}

pub async fn workspaces<A: Agent>(
    State(state): State<Shared<A>>,
    Query(PageQuery { limit, after }): Query<PageQuery>,
) -> Reply<WorkspaceList> {
    let workspaces = state.agent.workspaces().await?;
    let (workspaces, next) = page(workspaces, &Page { limit, after }, |it| it.name.clone());
    Ok(Json(WorkspaceList { workspaces, next }))
}
