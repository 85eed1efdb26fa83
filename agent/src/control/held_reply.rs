//! A reply that holds its call's permit until the last byte is sent.
//!
//! A reply may be large, and a caller who does not read it keeps it in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::budget::Permit;

/// Ties the permit to the reply's bytes.
pub(super) fn hold(reply: Response, permit: Permit) -> Response {
    let permit = Arc::new(permit);
    reply.map(|body| Body::new(HeldBody { body, permit }))
}

struct HeldBody {
    body: Body,
    permit: Arc<Permit>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // The server drops a body once it has its last frame, before that is sent.
        frame.map_ok(|frame| frame.map_data(|bytes| self.held(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl HeldBody {
    fn held(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(HeldBytes { bytes, _permit: Arc::clone(&self.permit) })
    }
}

struct HeldBytes {
    bytes: Bytes,
    _permit: Arc<Permit>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
