//! What a launcher asks for when it attaches a container.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Subject;
use crate::id::{GatewayId, SessionId};

/// The longest an attach may be told to wait: 5 minutes.
pub const DEADLINE_MAX_MS: u64 = 300_000;
/// How long an attach may take unless told otherwise: 10 s.
pub const DEADLINE_DEFAULT_MS: u64 = 10_000;

/// `POST /v1/sessions`: give a container an egress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// The launcher's name for it; the same id and request again finds the running session.
    pub session_id: SessionId,
    /// The container's network namespace.
    pub netns: NetnsRef,
    /// Who is asking.
    pub subject: Subject,
    /// The way out; `null` only where the workspace's egress is optional.
    pub gateway: Option<GatewayId>,
    /// How the container is connected and sealed.
    #[serde(default)]
    pub profile: ContainmentProfile,
    /// How long the call may take, 1 to 300,000 ms.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
}

fn default_deadline_ms() -> u64 {
    DEADLINE_DEFAULT_MS
}

impl AttachRequest {
    /// Whether this asks for the same egress: everything but the deadline.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        Self { deadline_ms: 0, ..self.clone() } == Self { deadline_ms: 0, ..other.clone() }
    }
}

/// How a request names a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum NetnsRef {
    /// A file of the namespace file system under one of the configured roots; no part of the path
    /// may be a symbolic link.
    #[schema(value_type = String)]
    Path(PathBuf),
    /// A process in it, which the caller could send a signal to.
    Pid(i32),
}

/// How a container is connected and sealed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ContainmentProfile {
    /// The namespace has nothing but loopback, and gets the tunnel's device.
    #[default]
    Sealed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attach_with_four_fields_has_the_documented_defaults() {
        let request: AttachRequest = serde_json::from_str(
            r#"{"session_id":"c-41","netns":{"path":"/run/netns/x"},
                "subject":{"user":"ann@example.org"},
                "gateway":"018f0000-0000-7000-8000-000000000001"}"#,
        )
        .unwrap();
        assert_eq!(request.deadline_ms, DEADLINE_DEFAULT_MS);
        assert_eq!(request.profile, ContainmentProfile::Sealed);
    }

    #[test]
    fn unknown_fields_of_an_attach_are_errors() {
        let text = r#"{"session_id":"c","netns":{"pid":1},"subject":{},"gateway":null,"x":1}"#;
        let error = serde_json::from_str::<AttachRequest>(text).unwrap_err();
        assert!(error.to_string().contains("unknown field `x`"), "{error}");
    }
}
