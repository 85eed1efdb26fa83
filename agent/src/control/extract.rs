//! Bodies, queries and ids, taken from a request or refused with every place that is wrong.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use egress_core::api::{BODY_MAX, Code, Refusal};
use egress_core::fault::Finding;
use egress_core::id::{InvalidSessionId, SessionId};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use super::problem::Rejection;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body of at most [`BODY_MAX`] bytes that arrived within 10 s.
pub(super) struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        must_be_json(request.headers())?;
        let bytes = receive(request.into_body(), BODY_MAX, BODY_TIMEOUT).await?;
        Ok(Self(parse(&bytes)?))
    }
}

pub(super) fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "send the body as JSON, with the header Content-Type: application/json";
    Err(Refusal::new(Code::UnsupportedMediaType, detail))
}

/// A body of at most `most` bytes that arrives in time.
pub(super) async fn receive(body: Body, most: usize, within: Duration) -> Result<Bytes, Refusal> {
    // One that announces too much is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let collected = tokio::time::timeout(within, Limited::new(body, most).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Ok(Err(error)) => {
            let detail = format!("the body did not arrive whole: {error}");
            Err(Refusal::new(Code::InvalidRequest, detail))
        }
        Err(_) => {
            let seconds = within.as_secs();
            let detail = format!("the body did not arrive within {seconds} s: send it at once");
            Err(Refusal::new(Code::RequestTimeout, detail))
        }
    }
}

fn too_large(most: usize) -> Refusal {
    let detail = format!("a body has at most {most} bytes: send less at a time");
    Refusal::new(Code::BodyTooLarge, detail)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| wrong_body(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| wrong_body("", &error))?;
    Ok(value)
}

fn wrong_body(path: &str, error: &serde_json::Error) -> Refusal {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = whole.strip_suffix(&place).unwrap_or(&whole);
    let fault = Finding::fault(format!("{message} (column {})", error.column()))
        .at_line(u32::try_from(error.line()).unwrap_or(u32::MAX));
    let detail = "the body is not what this call takes: GET /v1/openapi.json describes it";
    Refusal::new(Code::InvalidRequest, detail).with_faults(vec![about(fault, path, message)])
}

/// A query of the documented parameters and no others.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_html_form::Deserializer::from_bytes(query.as_bytes());
        let value = serde_path_to_error::deserialize(pairs)
            .map_err(|error| wrong_query(&error.path().to_string(), &error.inner().to_string()))?;
        Ok(Self(value))
    }
}

fn wrong_query(path: &str, message: &str) -> Refusal {
    let detail = "the query is not what this call takes: GET /v1/openapi.json describes it";
    let fault = about(Finding::fault(message), path, message);
    Refusal::new(Code::InvalidRequest, detail).with_faults(vec![fault])
}

/// The `{id}` of a session's path.
pub(super) struct Id(pub SessionId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| wrong_id(error.body_text()))?;
        let id = text.parse().map_err(|error: InvalidSessionId| wrong_id(error.to_string()))?;
        Ok(Self(id))
    }
}

fn wrong_id(message: String) -> Refusal {
    let fault = Finding::fault(message).about("id");
    Refusal::new(Code::InvalidRequest, "the path holds no session id").with_faults(vec![fault])
}

/// The finding with the field it is about. An unknown, missing or repeated field is named in the
/// message only: the path ends at what holds it.
fn about(finding: Finding, path: &str, message: &str) -> Finding {
    let holder = if path == "." { "" } else { path };
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    match (holder, named) {
        ("", None) => finding,
        ("", Some(name)) => finding.about(name),
        (holder, Some(name)) if !is_last_part(holder, name) => {
            finding.about(format!("{holder}.{name}"))
        }
        (holder, _) => finding.about(holder),
    }
}

fn is_last_part(path: &str, name: &str) -> bool {
    path.rsplit('.').next() == Some(name)
}
