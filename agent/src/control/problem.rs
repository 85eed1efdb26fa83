//! Refusals as replies: RFC 9457 problem documents.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use egress_core::api::{Code, Refusal};

/// A refusal, as what a handler returns.
#[derive(Debug)]
pub(super) struct Rejection(Refusal);

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// Stands in a reply's extensions when it is a refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedWith(pub Code);

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let code = self.0.code;
        let status = StatusCode::from_u16(code.status()).expect("every code has an HTTP status");
        let media_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut reply = (status, media_type, Json(self.0.problem())).into_response();
        reply.extensions_mut().insert(RefusedWith(code));
        reply
    }
}
