//! A session as the API shows it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ContainmentProfile, GatewayView, Reason};
use crate::catalog::Subject;
use crate::id::{CredentialId, SessionId};

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
    /// What the credential is called now; absent when it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_name: Option<String>,
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
    /// How long each step of the attach took; absent where the agent has been restarted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings_ms: Option<Timings>,
    /// Seconds since the epoch at which the attach was accepted.
    pub created_at: u64,
    /// Parts of the session's end that the store did not take, with a full disk for instance. The
    /// container is what the state says; the agent goes on trying, and until then the lease counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<String>,
    /// In the reply of an attach: what keeps the container from using its egress, as far as the
    /// agent sees. Where the request named a process, that `/etc/resolv.conf` in the container
    /// names other resolvers than `dns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `GET /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// Every session the agent keeps a row of, by id.
    pub sessions: Vec<SessionView>,
    /// Where there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
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
