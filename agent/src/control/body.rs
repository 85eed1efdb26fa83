//! Bodies of requests as bytes: bounded in size, in time and in the memory that they take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use egress_core::api::{BODY_MAX, CATALOG_BODY_MAX, Code, Refusal};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::budget::{Budget, Permit};

/// How fast a body must arrive.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The whole of it.
    within: Duration,
    /// Before the rate counts.
    start: Duration,
    /// Bytes a second after that.
    rate: u64,
}

const SMALL: Pace =
    Pace { within: Duration::from_secs(10), start: Duration::from_secs(10), rate: u64::MAX };
/// An eighth of a slow line, so that nobody holds the place of a large body with a trickle.
const LARGE: Pace =
    Pace { within: Duration::from_mins(1), start: Duration::from_secs(5), rate: 256 << 10 };

/// Reads a body of at most [`BODY_MAX`] bytes, which has its room in memory before it is read.
pub(super) async fn small(request: Request) -> Result<Bytes, Refusal> {
    let budget = budget(&request);
    let body = request.into_body();
    let announced = body.size_hint().upper().unwrap_or(BODY_MAX as u64);
    let room = usize::try_from(announced).unwrap_or(BODY_MAX).min(BODY_MAX);
    let permit = timeout(SMALL.within, budget.body(room)).await.map_err(|_| no_memory())?;
    let read = read(body, BODY_MAX, SMALL).await;
    drop(permit);
    read
}

/// Reads a body of at most [`CATALOG_BODY_MAX`] bytes. The permit is the memory that it takes.
pub(super) async fn large(request: Request) -> Result<(Bytes, Permit), Refusal> {
    let permit = budget(&request).large_body().await;
    let bytes = read(request.into_body(), CATALOG_BODY_MAX, LARGE).await?;
    let permit = permit.holding(bytes.len());
    Ok((bytes, permit))
}

fn budget(request: &Request) -> Arc<Budget> {
    let budget = request.extensions().get().map(Arc::clone);
    budget.expect("the server gives each request its caller's budget")
}

async fn read(mut body: Body, most: usize, pace: Pace) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // One that announces too much is not waited for.
    if announced > most {
        return Err(too_large(most));
    }
    let started = Instant::now();
    let mut bytes = BytesMut::with_capacity(announced);
    loop {
        let by = started + pace.time_for(bytes.len());
        let frame = timeout_at(by, body.frame()).await.map_err(|_| too_slow(pace))?;
        let Some(frame) = frame else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|error| not_whole(&error))?;
        // The other kind of frame is trailers, which no call reads.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&data);
    }
}

impl Pace {
    /// How long the first `received` bytes may take, and the next ones.
    fn time_for(self, received: usize) -> Duration {
        let at_this_rate = received as u64 * 1_000 / self.rate;
        self.within.min(self.start + Duration::from_millis(at_this_rate))
    }
}

fn too_large(most: usize) -> Refusal {
    let detail = format!("a body has at most {most} bytes: send less at a time");
    Refusal::new(Code::BodyTooLarge, detail)
}

fn not_whole(error: &axum::Error) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("the body did not arrive whole: {error}"))
}

fn no_memory() -> Refusal {
    let seconds = SMALL.within.as_secs();
    let detail = format!(
        "for {seconds} s there was no room for the body: other bodies of this caller, or of all \
         who are not admin, fill it"
    );
    Refusal::new(Code::RequestTimeout, detail)
}

fn too_slow(Pace { within, rate, .. }: Pace) -> Refusal {
    let seconds = within.as_secs();
    let detail = match rate {
        u64::MAX => format!("the body did not arrive within {seconds} s: send it at once"),
        rate => format!(
            "the body did not arrive within {seconds} s at {} KiB/s or more: send it at once",
            rate >> 10
        ),
    };
    Refusal::new(Code::RequestTimeout, detail)
}
