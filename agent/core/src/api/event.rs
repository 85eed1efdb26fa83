//! What happened, as the event stream tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Health, Reason, SessionState};
use crate::id::{CredentialId, GatewayId, SessionId};

/// Something that happened, as `GET /v1/events` tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A session entered a state.
    Session {
        /// Which.
        session_id: SessionId,
        /// The state it entered.
        state: SessionState,
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
