//! What launchers and operators say to the agent and hear back: requests, replies, refusals.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Subject;
use crate::fault::Finding;
use crate::id::{CredentialId, GatewayId, ProviderId, SessionId};

/// The most bytes a request body may have: 1 MiB.
pub const BODY_MAX: usize = 1 << 20;
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

/// Where a session stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Sealed; the tunnel is being brought up for the first time.
    Connecting,
    /// The tunnel carries traffic: the only state that lets a packet out.
    Connected,
    /// Sealed; a tunnel that stood is being brought up again.
    Reconnecting,
    /// Sealed; being taken down.
    Disconnecting,
    /// Sealed, and nothing is left to try.
    Blocked,
    /// Gone: its lease is released. The container stays sealed unless it was released.
    Closed,
}

impl SessionState {
    /// Every state, in the order of a session's life.
    pub const ALL: [Self; 6] = [
        Self::Connecting,
        Self::Connected,
        Self::Reconnecting,
        Self::Disconnecting,
        Self::Blocked,
        Self::Closed,
    ];

    /// The state's name in the API, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Disconnecting => "disconnecting",
            Self::Blocked => "blocked",
            Self::Closed => "closed",
        }
    }
}

/// One session, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// The launcher's name for it.
    pub session_id: SessionId,
    /// Where it stands.
    pub state: SessionState,
    /// Why it is blocked, reconnecting or closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who asked.
    pub subject: Subject,
    /// How the container is sealed.
    pub profile: ContainmentProfile,
    /// The way out; absent when the attach named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayView>,
    /// The credential in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<CredentialId>,
    /// The credential's secret has changed since: the next attach uses the new one.
    #[serde(default)]
    pub stale_credential: bool,
    /// The tunnel's device inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The device's addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpNet>,
    /// The resolvers the container must use; nothing else on port 53 or 853 gets out.
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// Search domains of the tunnel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// The device's MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Variables for the container that say where its traffic comes out.
    pub environment: BTreeMap<String, String>,
    /// How long each step of the attach took.
    pub timings_ms: Timings,
    /// Seconds since the epoch at which the attach was accepted.
    pub created_at: u64,
}

/// A gateway as launchers see it: no config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayView {
    /// Its id.
    pub id: GatewayId,
    /// Its name, unique in its provider.
    pub name: String,
    /// Its provider's id.
    pub provider_id: ProviderId,
    /// Its provider's name.
    pub provider: String,
    /// For the launch menu.
    pub country: String,
    /// For the launch menu.
    pub city: String,
}

/// Milliseconds each step of an attach took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    /// Opening and checking the namespace, and closing it.
    pub seal: f64,
    /// Choosing a credential and taking its lease.
    pub select: f64,
    /// Resolving the endpoint, creating the device, handing it to the data plane, moving it.
    pub tunnel: f64,
    /// From the first handshake message to the answer; runs beside the end of `tunnel`.
    pub handshake: f64,
    /// Opening the seal for the tunnel's device.
    pub open: f64,
    /// The whole call.
    pub total: f64,
}

/// A stable word for why something was refused or ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body is not JSON of the documented form, or a value is out of range.
    InvalidRequest,
    /// The body is over [`BODY_MAX`].
    BodyTooLarge,
    /// The caller's role may not make this call.
    Forbidden,
    /// No such call.
    NotFound,
    /// The call exists with another method.
    MethodNotAllowed,
    /// No session of that id.
    NoSuchSession,
    /// The id is taken by a session with another request.
    SessionExists,
    /// No gateway of that id or name.
    NoSuchGateway,
    /// A bare name that more than one provider's gateway has.
    AmbiguousGateway,
    /// The subject may not use the gateway; `reasons` say why.
    NotOffered,
    /// `gateway` is null and the workspace's egress is not optional.
    GatewayRequired,
    /// Every usable credential is at its limit.
    LimitReached,
    /// Every usable WireGuard key is live towards that gateway already.
    KeyInUse,
    /// The netns path is outside the allowed roots, a symbolic link, or not a network namespace.
    NetnsInvalid,
    /// The path or process is not there, or the namespace is gone.
    NetnsGone,
    /// The host's own network namespace.
    NetnsIsHost,
    /// The namespace belongs to another session.
    NetnsInUse,
    /// The namespace has a device that is not loopback, which the sealed profile does not allow.
    NetnsNotEmpty,
    /// The ruleset could not be put in place or did not read back.
    SealFailed,
    /// The device could not be created, moved or configured.
    DeviceFailed,
    /// The endpoint's name has no address.
    EndpointUnresolved,
    /// No answer from the gateway within the deadline.
    HandshakeTimeout,
    /// Another step did not end within the deadline; the detail names it.
    DeadlineExceeded,
    /// The gateway's config and the credential do not make a profile.
    ConfigInvalid,
    /// The provider's type cannot be attached by this agent.
    UnsupportedType,
    /// The agent carries as many sessions as `agent.toml` allows.
    TooManySessions,
    /// The store did not answer.
    StoreUnavailable,
    /// The data plane is not running.
    DataplaneUnavailable,
    /// The agent is going down.
    ShuttingDown,
    /// The session was detached.
    Detached,
    /// The tunnel stopped answering.
    TunnelDown,
    /// The agent was restarted and is bringing the tunnel up again.
    AgentRestarted,
    /// A fault of the agent's own; its log has more.
    Internal,
}

impl Code {
    /// The code as it stands in replies, logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::BodyTooLarge => "body_too_large",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoSuchSession => "no_such_session",
            Self::SessionExists => "session_exists",
            Self::NoSuchGateway => "no_such_gateway",
            Self::AmbiguousGateway => "ambiguous_gateway",
            Self::NotOffered => "not_offered",
            Self::GatewayRequired => "gateway_required",
            Self::LimitReached => "limit_reached",
            Self::KeyInUse => "key_in_use",
            Self::NetnsInvalid => "netns_invalid",
            Self::NetnsGone => "netns_gone",
            Self::NetnsIsHost => "netns_is_host",
            Self::NetnsInUse => "netns_in_use",
            Self::NetnsNotEmpty => "netns_not_empty",
            Self::SealFailed => "seal_failed",
            Self::DeviceFailed => "device_failed",
            Self::EndpointUnresolved => "endpoint_unresolved",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ConfigInvalid => "config_invalid",
            Self::UnsupportedType => "unsupported_type",
            Self::TooManySessions => "too_many_sessions",
            Self::StoreUnavailable => "store_unavailable",
            Self::DataplaneUnavailable => "dataplane_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::Detached => "detached",
            Self::TunnelDown => "tunnel_down",
            Self::AgentRestarted => "agent_restarted",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status a refusal with this code has.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::NetnsInvalid | Self::NetnsIsHost => 400,
            Self::Forbidden | Self::NotOffered => 403,
            Self::NotFound | Self::NoSuchSession | Self::NoSuchGateway => 404,
            Self::MethodNotAllowed => 405,
            Self::SessionExists
            | Self::AmbiguousGateway
            | Self::KeyInUse
            | Self::NetnsInUse
            | Self::NetnsNotEmpty
            | Self::Detached => 409,
            Self::NetnsGone => 410,
            Self::BodyTooLarge => 413,
            Self::ConfigInvalid | Self::GatewayRequired | Self::UnsupportedType => 422,
            Self::LimitReached => 429,
            Self::SealFailed | Self::DeviceFailed | Self::Internal => 500,
            Self::EndpointUnresolved | Self::TunnelDown => 502,
            Self::TooManySessions
            | Self::StoreUnavailable
            | Self::DataplaneUnavailable
            | Self::ShuttingDown
            | Self::AgentRestarted => 503,
            Self::HandshakeTimeout | Self::DeadlineExceeded => 504,
        }
    }
}

/// Why a session is where it is, or why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step. Never a secret.
    pub detail: String,
}

/// A refusal, on its way to becoming a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .code.as_str())]
pub struct Refusal {
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step. Never a secret.
    pub detail: String,
    /// Every fault of the input, where the input is at fault.
    pub faults: Vec<Finding>,
}

impl Refusal {
    /// A refusal without faults.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), faults: Vec::new() }
    }

    /// The same refusal with these faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Finding>) -> Self {
        self.faults = faults;
        self
    }

    /// The document that goes over the wire.
    pub fn problem(self) -> Problem {
        Problem {
            kind: format!("urn:egress-agent:{}", self.code.as_str()),
            title: self.code.as_str().replace('_', " "),
            status: self.code.status(),
            code: self.code,
            detail: self.detail,
            faults: self.faults,
        }
    }
}

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:egress-agent:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step.
    pub detail: String,
    /// Every fault of the input, with field and line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Finding>,
}

/// One line of the launch menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// The gateway.
    #[serde(flatten)]
    pub gateway: GatewayView,
    /// What the agent knows of it from its sessions.
    pub health: Health,
}

/// What the agent knows of a gateway from the sessions it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No session has used it since the agent started.
    Unknown,
    /// The newest news of it is a handshake.
    Up,
    /// The newest news of it is a failure.
    Down,
}

/// Live connections of one credential, with its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionsView {
    /// The credential.
    pub credential_id: CredentialId,
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Leases held, those being brought up included.
    pub in_use: u32,
    /// How many it may carry; absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Who holds them.
    pub sessions: Vec<SessionId>,
}

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
    /// A credential's count of live connections changed.
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

/// `POST /v1/catalog:apply`: records to add or change, as an apply file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// Records made, as `kind name`.
    pub created: Vec<String>,
    /// Records changed.
    pub updated: Vec<String>,
    /// Records removed by `prune`.
    pub removed: Vec<String>,
    /// Records that were as asked already.
    pub unchanged: u32,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_word_in_json_and_in_logs() {
        for code in [Code::NoSuchGateway, Code::NetnsIsHost, Code::LimitReached, Code::Internal] {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.as_str()));
        }
    }

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
