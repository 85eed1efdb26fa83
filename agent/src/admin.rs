//! `/metrics`, `/livez` and `/readyz`, on an address of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::session::Manager;

/// The media type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the pages show.
#[derive(Clone)]
pub struct Admin {
    /// Whose sessions are measured.
    pub manager: Manager,
    /// Whether attaches are served.
    pub ready: Arc<AtomicBool>,
}

/// Serves until cancelled.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(admin);
    axum::serve(listener, pages).with_graceful_shutdown(cancel.cancelled_owned()).await
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    admin.manager.measure().await;
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], admin.manager.shell().metrics.text())
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n")
    }
}
