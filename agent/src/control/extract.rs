//! Bodies, queries and ids, taken from a request or refused with every place that is wrong.

use std::collections::BTreeSet;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use egress_core::api::{Code, Refusal};
use egress_core::catalog::Expected;
use egress_core::fault::Finding;
use egress_core::id::{InvalidSessionId, SessionId};
use serde::de::DeserializeOwned;

use super::agent::Fields;
use super::body;
use super::problem::Rejection;

/// A JSON body of at most [`BODY_MAX`](egress_core::api::BODY_MAX) bytes that arrived within 10 s.
pub(super) struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        must_be(&["application/json"], request.headers())?;
        let bytes = body::small(request).await?;
        Ok(Self(parse(&bytes)?))
    }
}

/// Some fields of a record (RFC 7396), bounded as a [`JsonBody`] is.
pub(super) struct PatchBody(pub Fields);

impl<S: Send + Sync> FromRequest<S> for PatchBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        must_be(&["application/json", "application/merge-patch+json"], request.headers())?;
        let bytes = body::small(request).await?;
        Ok(Self(parse(&bytes)?))
    }
}

pub(super) fn must_be(types: &[&str], headers: &HeaderMap) -> Result<(), Refusal> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if types.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let detail = "send the body as JSON, with the header Content-Type: application/json";
    Err(Refusal::new(Code::UnsupportedMediaType, detail))
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
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

/// The `{id}` or `{name}` of a record's path, as text.
pub(super) struct Key(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
                let fault = Finding::fault(error.body_text()).about("id");
                Refusal::new(Code::InvalidRequest, "the path cannot be read")
                    .with_faults(vec![fault])
            })?;
        Ok(Self(text))
    }
}

/// The versions that an `If-Match` header means (RFC 9110, 13.1.1). Without one the call is
/// refused.
pub(super) struct IfMatch(pub Expected);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let lines: Vec<_> = parts.headers.get_all(header::IF_MATCH).iter().collect();
        if lines.is_empty() {
            let detail = "say which version you saw: If-Match with the record's ETag, or with * \
                          for any";
            return Err(Refusal::new(Code::PreconditionRequired, detail).into());
        }
        Ok(Self(expected(&lines)?))
    }
}

fn expected(lines: &[&HeaderValue]) -> Result<Expected, Refusal> {
    let unreadable = || {
        let fault = Finding::fault("expected * or ETags, as in \"7\", \"8\"").about("If-Match");
        Refusal::new(Code::InvalidRequest, "the header If-Match cannot be read")
            .with_faults(vec![fault])
    };
    let mut versions = BTreeSet::new();
    for line in lines {
        let line = line.to_str().map_err(|_| unreadable())?.trim();
        if line == "*" {
            return Ok(Expected::Any);
        }
        for tag in line.split(',').map(str::trim) {
            // A weak tag never matches, nor does one that we did not give.
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let quoted = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let quoted = quoted.filter(|text| !text.contains('"'));
            let text = quoted.ok_or_else(unreadable)?;
            // Tags are compared as text: "+7" and "07" are not ours.
            let version = text.parse().ok().filter(|version: &u64| version.to_string() == text);
            versions.extend(version.filter(|_| strong == tag));
        }
    }
    Ok(Expected::Versions(versions))
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
