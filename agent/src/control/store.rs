//! The calls on the store itself: a copy of it, and another master key.

use std::fs::File;
use std::io::{self, Read};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use egress_core::api::{Code, KeyRotation, Refusal};
use futures_util::{Stream, stream};

use super::agent::{Agent, StoreCopy};
use super::problem::Rejection;
use super::shared::Shared;

/// What the reply to a backup is: an SQLite file.
pub(super) const MEDIA_TYPE: &str = "application/vnd.sqlite3";
/// How much of a copy is read at a time.
const CHUNK: usize = 64 << 10;

pub async fn backup<A: Agent>(State(state): State<Shared<A>>) -> Result<Response, Rejection> {
    let copy = state.agent.backup().await?;
    let length = copy.file.metadata().map_err(|error| {
        Refusal::new(Code::StoreUnavailable, format!("look at the store's copy: {error}"))
    })?;
    let head = [
        (header::CONTENT_TYPE, MEDIA_TYPE.to_owned()),
        // A reader sees by it whether it got everything.
        (header::CONTENT_LENGTH, length.len().to_string()),
    ];
    Ok((head, Body::from_stream(chunks(copy))).into_response())
}

pub async fn rotate_key<A: Agent>(
    State(state): State<Shared<A>>,
) -> Result<Json<KeyRotation>, Rejection> {
    Ok(Json(KeyRotation { key_id: state.agent.rotate_key().await? }))
}

fn chunks(copy: StoreCopy) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some(copy), async |copy| {
        let copy = copy?;
        let read = tokio::task::spawn_blocking(move || (chunk(&copy.file), copy)).await;
        match read.map_err(io::Error::other) {
            Ok((Ok(bytes), _)) if bytes.is_empty() => None,
            Ok((Ok(bytes), copy)) => Some((Ok(bytes), Some(copy))),
            Ok((Err(error), _)) | Err(error) => Some((Err(error), None)),
        }
    })
}

fn chunk(mut file: &File) -> io::Result<Bytes> {
    let mut bytes = vec![0; CHUNK];
    let length = file.read(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes.into())
}
