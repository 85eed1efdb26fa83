//! What is left of a refused request's body is taken in before the reply.
//!
//! A sender that is still writing when the connection closes finds it broken, and never reads why.

use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use egress_core::api::BODY_MAX;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a sender is given to come to its end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Takes in at most [`BODY_MAX`] bytes that nobody has read, for half a second at most.
pub(super) async fn take_in(request: Request, next: Next) -> Response {
    // Who asks first whether to send a body is told by the reply.
    if request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (back_tx, mut back_rx) = oneshot::channel();
    let lend = |body| Body::new(Lent { body, back_tx: Some(back_tx) });
    let reply = next.run(request.map(lend)).await;
    if let Ok(rest) = back_rx.try_recv()
        && rest.size_hint().lower() <= BODY_MAX as u64
    {
        // An error or too much of it: the connection closes then.
        let _ = timeout(PATIENCE, end_of(Limited::new(rest, BODY_MAX))).await;
    }
    reply
}

async fn end_of(mut body: Limited<Body>) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    back_tx: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back_tx) = self.back_tx.take().filter(|_| !self.body.is_end_stream()) {
            // Nobody waits for it when the reply was given up.
            let _ = back_tx.send(take(&mut self.body));
        }
    }
}
