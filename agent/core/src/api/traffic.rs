//! What tunnels carry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::SessionId;

/// `GET /v1/traffic`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficList {
    /// Every session with a tunnel, by id.
    pub traffic: Vec<TrafficView>,
}

/// What one session's tunnel has carried since it was made; one that is made anew begins at 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficView {
    /// Whose.
    pub session_id: SessionId,
    /// Seconds since the last handshake with the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_age_s: Option<f64>,
    /// Bytes that the container received.
    pub received_bytes: u64,
    /// Bytes that the container sent.
    pub sent_bytes: u64,
    /// Packets that the tunnel did not carry.
    pub dropped_packets: u64,
}
