//! Bodies that hold a catalog: they may be large, so few are held in memory at one time.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;

use super::agent::Agent;
use super::body;
use super::budget::Permit;
use super::extract::must_be;
use super::problem::Rejection;
use super::shared::Shared;

/// JSON of at most [`CATALOG_BODY_MAX`](egress_core::api::CATALOG_BODY_MAX) bytes, and its place
/// among those that are held.
pub(super) struct LargeBody {
    pub json: Bytes,
    pub place: Permit,
}

impl<A: Agent> FromRequest<Shared<A>> for LargeBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &Shared<A>) -> Result<Self, Rejection> {
        must_be(&["application/json"], request.headers())?;
        let (json, place) = body::large(request).await?;
        Ok(Self { json, place })
    }
}
