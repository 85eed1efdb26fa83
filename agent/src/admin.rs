//! `/metrics`, `/livez` and `/readyz`, on an address of their own.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::readiness::Readiness;
use crate::session::Manager;

/// The media type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long a scrape waits for the newest values: Prometheus itself waits ten seconds.
const MEASURING: Duration = Duration::from_secs(5);

/// What the pages show.
#[derive(Clone)]
pub struct Admin {
    /// Whose sessions are measured.
    pub manager: Manager,
    /// What is in trouble.
    pub readiness: Readiness,
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

/// Always an answer: what is not to be had in time is as it was at the last scrape.
async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    if timeout(MEASURING, admin.manager.measure()).await.is_err() {
        debug!("a scrape does without the newest values of some sessions");
    }
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], admin.manager.shell().metrics.text())
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    admin.readiness.look_at_the_host();
    match admin.readiness.report() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(report) => (StatusCode::SERVICE_UNAVAILABLE, report),
    }
}
