//! Bodies that hold a catalog: they may be large, so few are taken at one time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use egress_core::api::CATALOG_BODY_MAX;
use tokio::sync::OwnedSemaphorePermit;

use super::agent::Agent;
use super::extract::{must_be, receive};
use super::problem::Rejection;
use super::shared::Shared;

/// How many large bodies are held in memory at one time. One more waits, unread.
pub(super) const LARGE_BODIES_MAX: usize = 2;
/// How long one may take to arrive.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A body of JSON of at most [`CATALOG_BODY_MAX`] bytes that arrived in time, and its place among
/// those that are held.
pub(super) struct LargeBody {
    pub json: Bytes,
    pub place: OwnedSemaphorePermit,
}

impl<A: Agent> FromRequest<Shared<A>> for LargeBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &Shared<A>) -> Result<Self, Rejection> {
        must_be(&["application/json"], request.headers())?;
        let place = Arc::clone(&state.large_bodies).acquire_owned().await;
        let place = place.expect("nobody closes this semaphore");
        let json = receive(request.into_body(), CATALOG_BODY_MAX, TIMEOUT).await?;
        Ok(Self { json, place })
    }
}
