//! The stable words for why something was refused or ended.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stable word for why something was refused or ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body is not JSON of the documented form, or a value is out of range.
    InvalidRequest,
    /// The body is over [`super::BODY_MAX`](super::BODY_MAX).
    BodyTooLarge,
    /// The body's media type is not the one the call takes.
    UnsupportedMediaType,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The agent has as many API connections open as it allows.
    TooManyConnections,
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
    /// No record of that id or name.
    NoSuchRecord,
    /// The provider is not for plugin services: `managed` is off.
    ProviderNotManaged,
    /// A newer snapshot was pushed already.
    SnapshotOutdated,
    /// Another snapshot of the same version was pushed already.
    SnapshotReused,
    /// A record of that id or name is there already.
    RecordExists,
    /// Other records need it; the faults name them.
    RecordNeeded,
    /// The record has another version than `If-Match` says.
    PreconditionFailed,
    /// The call takes an `If-Match`, so that nobody overwrites what they have not seen.
    PreconditionRequired,
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
    /// The endpoint is at an address that no gateway may have, as this host's own are.
    EndpointRefused,
    /// The tunnel names a resolver that no container may ask, as one at this host's own addresses.
    ResolverRefused,
    /// The host has no route to the endpoint.
    EndpointUnreachable,
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
    /// No gateway was asked for; a sealed container then has no egress.
    NoGateway,
    /// What the session ran on was taken away or replaced, and its sessions were to be cut.
    Cut,
    /// The tunnel stopped answering.
    TunnelDown,
    /// The server does not take the name and password; the detail has its words.
    AuthFailed,
    /// TLS with the server failed; the detail says what was wrong with a certificate.
    TlsFailed,
    /// The server asks something that the attach did not answer: `challenge_response`.
    ChallengeRequired,
    /// The server ended the session.
    ServerPushedExit,
    /// openvpn or the agent does not take what the server sends for the tunnel; the detail says
    /// why.
    PushRefused,
    /// openvpn is not installed where `agent.toml` says.
    OpenvpnMissing,
    /// The installed openvpn is older than 2.6.
    OpenvpnTooOld,
    /// openvpn ended by itself, or does not do what is asked of it.
    OpenvpnFailed,
    /// The agent was restarted and is bringing the tunnel up again.
    AgentRestarted,
    /// No agent answers. A client says it; no agent does.
    NoAgent,
    /// A fault of the agent's own; its log has more.
    Internal,
}

impl Code {
    /// The code as it stands in replies, logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RequestTimeout => "request_timeout",
            Self::TooManyConnections => "too_many_connections",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoSuchSession => "no_such_session",
            Self::SessionExists => "session_exists",
            Self::NoSuchGateway => "no_such_gateway",
            Self::AmbiguousGateway => "ambiguous_gateway",
            Self::NotOffered => "not_offered",
            Self::NoSuchRecord => "no_such_record",
            Self::ProviderNotManaged => "provider_not_managed",
            Self::SnapshotOutdated => "snapshot_outdated",
            Self::SnapshotReused => "snapshot_reused",
            Self::RecordExists => "record_exists",
            Self::RecordNeeded => "record_needed",
            Self::PreconditionFailed => "precondition_failed",
            Self::PreconditionRequired => "precondition_required",
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
            Self::EndpointRefused => "endpoint_refused",
            Self::ResolverRefused => "resolver_refused",
            Self::EndpointUnreachable => "endpoint_unreachable",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ConfigInvalid => "config_invalid",
            Self::UnsupportedType => "unsupported_type",
            Self::TooManySessions => "too_many_sessions",
            Self::StoreUnavailable => "store_unavailable",
            Self::DataplaneUnavailable => "dataplane_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::Detached => "detached",
            Self::NoGateway => "no_gateway",
            Self::Cut => "cut",
            Self::TunnelDown => "tunnel_down",
            Self::AuthFailed => "auth_failed",
            Self::TlsFailed => "tls_failed",
            Self::ChallengeRequired => "challenge_required",
            Self::ServerPushedExit => "server_pushed_exit",
            Self::PushRefused => "push_refused",
            Self::OpenvpnMissing => "openvpn_missing",
            Self::OpenvpnTooOld => "openvpn_too_old",
            Self::OpenvpnFailed => "openvpn_failed",
            Self::AgentRestarted => "agent_restarted",
            Self::NoAgent => "no_agent",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status a refusal with this code has.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::NetnsInvalid | Self::NetnsIsHost => 400,
            Self::Forbidden | Self::NotOffered => 403,
            Self::NotFound | Self::NoSuchSession | Self::NoSuchGateway | Self::NoSuchRecord => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::SessionExists
            | Self::AmbiguousGateway
            | Self::KeyInUse
            | Self::NetnsInUse
            | Self::NetnsNotEmpty
            | Self::Detached
            | Self::NoGateway
            | Self::ProviderNotManaged
            | Self::SnapshotOutdated
            | Self::SnapshotReused
            | Self::RecordExists
            | Self::RecordNeeded
            | Self::Cut => 409,
            Self::NetnsGone => 410,
            Self::PreconditionFailed => 412,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ConfigInvalid
            | Self::GatewayRequired
            | Self::UnsupportedType
            | Self::ChallengeRequired => 422,
            Self::PreconditionRequired => 428,
            Self::LimitReached => 429,
            Self::SealFailed | Self::DeviceFailed | Self::OpenvpnFailed | Self::Internal => 500,
            Self::EndpointUnresolved
            | Self::EndpointRefused
            | Self::ResolverRefused
            | Self::EndpointUnreachable
            | Self::TunnelDown
            | Self::AuthFailed
            | Self::TlsFailed
            | Self::ServerPushedExit
            | Self::PushRefused => 502,
            Self::TooManyConnections
            | Self::TooManySessions
            | Self::StoreUnavailable
            | Self::DataplaneUnavailable
            | Self::ShuttingDown
            | Self::NoAgent
            | Self::OpenvpnMissing
            | Self::OpenvpnTooOld
            | Self::AgentRestarted => 503,
            Self::HandshakeTimeout | Self::DeadlineExceeded => 504,
        }
    }
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
}
