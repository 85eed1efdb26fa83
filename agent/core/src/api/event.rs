//! What happened, as the event stream tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Health, Reason, SessionState};
use crate::id::{CredentialId, GatewayId, SessionId};

/// An event as `GET /v1/events` tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimedEvent {
    /// When it happened, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A session entered a state.
    Session {
        /// Which.
        session_id: SessionId,
        /// The state it entered.
        state: SessionState,
        /// The subject's user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Its gateway, as `provider/name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<String>,
        /// The name of the credential in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<String>,
        /// Why, where there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A credential's count of live connections or its limit changed. Of several changes at once
    /// the last is told.
    Connections {
        /// Which.
        credential_id: CredentialId,
        /// The new count.
        in_use: u32,
        /// How many it may carry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// News of a gateway's health.
    Gateway {
        /// Which.
        gateway_id: GatewayId,
        /// What is known now.
        health: Health,
    },
    /// The catalog changed.
    Catalog {
        /// Records added, changed and removed.
        changed: u32,
    },
    /// Events before this one are no longer kept: read the lists again.
    Reset,
}
