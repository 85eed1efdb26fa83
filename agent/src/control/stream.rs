//! The event stream: server-sent events that a reader can resume.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event as Frame, KeepAlive};
use egress_core::api::{Code, Event, Refusal};
use egress_core::fault::Finding;
use futures_util::{Stream, stream};

use super::agent::Agent;
use super::budget::{Budget, STREAMS};
use super::events::{Numbered, Subscription};
use super::problem::Rejection;
use super::shared::Shared;

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const LAST_EVENT_ID: &str = "last-event-id";

/// Follows what happens, from after the event in `Last-Event-ID` or from now, until the agent
/// stops or the reader takes nothing for 10 s.
pub async fn events<A: Agent>(
    State(state): State<Shared<A>>,
    Extension(budget): Extension<Arc<Budget>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Frame, Infallible>>>, Rejection> {
    let permit = budget.stream().ok_or_else(too_many_streams)?;
    let subscription = state.events.subscribe(last_event_id(&headers)?);
    let frames = stream::unfold(subscription, move |subscription| {
        let _held = &permit;
        state.stop.clone().run_until_cancelled_owned(next_frame(subscription))
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn too_many_streams() -> Refusal {
    let detail = format!("this caller follows {STREAMS} event streams, and none may follow more");
    Refusal::new(Code::TooManyConnections, detail)
}

async fn next_frame(mut subscription: Subscription) -> (Result<Frame, Infallible>, Subscription) {
    let Numbered { id, event } = subscription.next().await;
    let frame = Frame::default()
        .id(id.to_string())
        .event(name(&event.event))
        .json_data(&event)
        .expect("an event has text keys only");
    (Ok(frame), subscription)
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Session { .. } => "session",
        Event::Connections { .. } => "connections",
        Event::Gateway { .. } => "gateway",
        Event::Catalog { .. } => "catalog",
        Event::Reset => "reset",
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let Some(id) = id else {
        let fault = Finding::fault("expected the id of an event, a number").about(LAST_EVENT_ID);
        return Err(Refusal::new(
            Code::InvalidRequest,
            "the header Last-Event-ID is no event's id",
        )
        .with_faults(vec![fault]));
    };
    Ok(Some(id))
}
