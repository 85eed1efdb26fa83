//! Each call's handler, behind the question whether its caller may make it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::handler::Handler;
use axum::http::header::LOCATION;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use egress_core::api::{Code, Refusal};
use tracing::info;

use super::agent::Agent;
use super::budget::Budget;
use super::caller::Caller;
use super::calls::Call;
use super::handlers;
use super::held_reply;
use super::leftover;
use super::lists;
use super::problem::{RefusedWith, Rejection};
use super::push;
use super::records;
use super::shared::Shared;
use super::{store, stream};

/// Every call of the API. Requests carry their [`Caller`] as an extension.
pub(super) fn router<A: Agent>(state: Shared<A>) -> Router {
    let mut router = Router::new();
    for call in Call::ALL {
        let guard = from_fn(move |caller, budget, request, next| {
            admit(call, caller, budget, request, next)
        });
        router = router.route(call.path(), handler(call).route_layer(guard));
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_call)
        .layer(from_fn(turn_strangers_away))
        .layer(from_fn(leftover::take_in))
        .with_state(state)
}

fn handler<A: Agent>(call: Call) -> MethodRouter<Shared<A>> {
    match call {
        Call::Attach => answer(call, handlers::attach),
        Call::Sessions => answer(call, lists::sessions),
        Call::Session => answer(call, handlers::session),
        Call::Detach => answer(call, handlers::detach),
        Call::Offers => answer(call, handlers::offers),
        Call::Status => answer(call, handlers::status),
        Call::Connections => answer(call, handlers::connections),
        Call::Traffic => answer(call, handlers::traffic),
        Call::Events => answer(call, stream::events),
        Call::Apply => answer(call, handlers::apply),
        Call::Push => answer(call, push::push),
        Call::ResolveGateway => answer(call, handlers::resolve_gateway),
        Call::Providers => answer(call, lists::providers),
        Call::Gateways => answer(call, lists::gateways),
        Call::Mappings => answer(call, lists::mappings),
        Call::Credentials => answer(call, lists::credentials),
        Call::Workspaces => answer(call, lists::workspaces),
        Call::BackupStore => answer(call, store::backup),
        Call::RotateKey => answer(call, store::rotate_key),
        Call::Create(kind) => {
            answer(call, move |state, caller, body| records::create(kind, state, caller, body))
        }
        Call::Record(kind) => {
            answer(call, move |state, caller, key| records::show(kind, state, caller, key))
        }
        Call::Update(kind) => answer(call, move |state, caller, key, condition, query, patch| {
            records::update(kind, state, caller, key, condition, query, patch)
        }),
        Call::Delete(kind) => answer(call, move |state, caller, key, condition, query| {
            records::delete(kind, state, caller, key, condition, query)
        }),
        Call::Openapi => answer(call, handlers::openapi),
    }
}

fn answer<A: Agent, T: 'static>(
    call: Call,
    handler: impl Handler<T, Shared<A>>,
) -> MethodRouter<Shared<A>> {
    let method = MethodFilter::try_from(call.method()).expect("calls have everyday methods");
    on(method, handler)
}

/// Lets a caller through who may make the call, bounds the call's time, and writes down what was
/// to change something and what was refused.
async fn admit(
    call: Call,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(budget): Extension<Arc<Budget>>,
    request: Request,
    next: Next,
) -> Response {
    let (uri, started) = (request.uri().clone(), Instant::now());
    let reply = if !caller.may(call) {
        forbidden(call, &caller).into_response()
    } else if !call.takes_a_query() && uri.query().is_some_and(|query| !query.is_empty()) {
        takes_no_query(call).into_response()
    } else {
        let replied = in_turn(call, &budget, next.run(request));
        let in_time = tokio::time::timeout(call.deadline(), replied).await;
        in_time.unwrap_or_else(|_| too_late(call).into_response())
    };
    let refusal = reply.extensions().get::<RefusedWith>();
    debug_assert!(
        refusal.is_none_or(|RefusedWith(code)| call.refusals().any(|it| it == *code)),
        "{} is not said to be refused with {refusal:?}",
        call.name()
    );
    if call.changes_something() || refusal.is_some() {
        info!(
            target: "audit",
            call = call.name(),
            path = uri.path(),
            uid = caller.identity.uid(),
            pid = caller.identity.pid(),
            certificate = caller.identity.certificate(),
            fingerprint = caller.identity.fingerprint(),
            peer = caller.identity.peer(),
            roles = %caller.role_names(),
            status = reply.status().as_u16(),
            made = reply.headers().get(LOCATION).and_then(|place| place.to_str().ok()),
            code = refusal.map(|RefusedWith(code)| code.as_str()),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "API call"
        );
    }
    reply
}

/// Works on a call in its turn, which lasts until its reply is sent.
async fn in_turn(call: Call, budget: &Budget, reply: impl Future<Output = Response>) -> Response {
    if call.waits() {
        return reply.await;
    }
    let permit = budget.call().await;
    held_reply::hold(reply.await, permit)
}

fn too_late(call: Call) -> Rejection {
    let seconds = call.deadline().as_secs();
    let detail = format!("{} did not end within {seconds} s: ask again", call.name());
    Refusal::new(Code::DeadlineExceeded, detail).into()
}

fn takes_no_query(call: Call) -> Rejection {
    let detail = format!("the call {} takes no parameters after a `?`", call.name());
    Refusal::new(Code::InvalidRequest, detail).into()
}

fn forbidden(call: Call, caller: &Caller) -> Rejection {
    let detail = format!(
        "{} has role {}, which may not make the call {}: [roles] of agent.toml say who may",
        caller.identity,
        caller.role_names(),
        call.name(),
    );
    Refusal::new(Code::Forbidden, detail).into()
}

/// Tells those without any role nothing, not even which calls there are.
async fn turn_strangers_away(
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
    next: Next,
) -> Response {
    if !caller.standing.roles.is_empty() {
        return next.run(request).await;
    }
    let Caller { identity, .. } = caller.as_ref();
    info!(
        target: "audit",
        path = request.uri().path(),
        uid = identity.uid(),
        pid = identity.pid(),
        certificate = identity.certificate(),
        fingerprint = identity.fingerprint(),
        peer = identity.peer(),
        code = Code::Forbidden.as_str(),
        "API call of a stranger"
    );
    let detail = format!("{identity} has no role here: [roles] of agent.toml say who has");
    Rejection::from(Refusal::new(Code::Forbidden, detail)).into_response()
}

async fn wrong_method(method: Method, path: MatchedPath) -> Rejection {
    let allowed: Vec<_> = Call::ALL
        .into_iter()
        .filter(|call| call.path() == path.as_str())
        .map(|call| call.method().to_string())
        .collect();
    let detail = format!("{} takes {}, not {method}", path.as_str(), allowed.join(" and "));
    Refusal::new(Code::MethodNotAllowed, detail).into()
}

async fn no_such_call(method: Method, uri: Uri) -> Rejection {
    let detail =
        format!("there is no call {method} {}: GET /v1/openapi.json lists them", uri.path());
    Refusal::new(Code::NotFound, detail).into()
}
