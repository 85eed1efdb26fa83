//! An OpenVPN tunnel: openvpn as a process that may do nothing but move packets, its device inside
//! the container, its socket in the host's namespace.

mod lookup;
mod place;
mod process;
mod stops;
mod supervisor;
mod users;
mod version;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use egress_core::api::{Code, Reason};
use egress_core::openvpn::machine::{Farewell, News};
use egress_core::openvpn::{Login, OpenvpnConfig, Unsayable};
use egress_core::secret::Secret;
use egress_dataplane::protocol::TunnelId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use self::place::Place;
use self::stops::Stops;
use self::supervisor::Supervisor;
use self::users::Users;
use self::version::Version;
use crate::config;
use crate::telemetry::chain;

/// How long a server is believed to count a session of which nothing is known.
const UNKNOWN: Duration = Duration::from_mins(2);

/// Starts tunnels. Clones are the same one.
#[derive(Clone)]
pub struct Openvpn {
    settings: Arc<config::Openvpn>,
    dir: PathBuf,
    users: Users,
    version: Version,
    stops: Stops,
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

/// A tunnel whose process is kept running. Dropping it ends the tunnel too, with nobody to hear
/// how.
pub struct Running {
    stop: DropGuard,
    task: JoinHandle<Farewell>,
    counters: Arc<Counters>,
}

/// Bytes that went between the server and us since the tunnel was started, at most some seconds
/// ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the server.
    pub received: u64,
    /// To the server.
    pub sent: u64,
}

#[derive(Default)]
struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
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
    /// It lacks what the agent needs of it.
    #[error("{path} is OpenVPN {found}: install 2.6 or later")]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// It does not say which version it is.
    #[error("ask {path} for its version")]
    Version {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// As many tunnels run as there are users for them.
    #[error("all {count} users of OpenVPN tunnels are in use: raise openvpn.uid_count")]
    NoUser {
        /// How many there are.
        count: u32,
    },
    /// A file or directory of its own was not made.
    #[error("make {path}")]
    Place {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// openvpn cannot be told a path, or the name and password.
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
    /// The device cannot be watched.
    #[error("watch the tunnel's device")]
    Device(#[source] io::Error),
    /// Children of the agent cannot be watched.
    #[error("watch for processes that a signal stops")]
    Stops(#[source] io::Error),
}

impl OpenvpnError {
    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Missing { .. } => Code::OpenvpnMissing,
            Self::TooOld { .. } => Code::OpenvpnTooOld,
            Self::Version { .. } => Code::OpenvpnFailed,
            Self::Unsayable(_) => Code::ConfigInvalid,
            Self::NoUser { .. } => Code::TooManySessions,
            Self::Place { .. } | Self::Stops(_) => Code::Internal,
            Self::Device(_) => Code::DeviceFailed,
        };
        Reason { code, detail: chain(self) }
    }
}

impl Openvpn {
    /// Gets ready to start tunnels, with what they need below `run_dir`. Processes that an agent
    /// which died has left behind are ended. Once, before any tunnel is started.
    pub async fn open(settings: config::Openvpn, run_dir: PathBuf) -> Result<Self, OpenvpnError> {
        let dir = run_dir.join("openvpn");
        place::sweep(&dir).await?;
        let users = Users::new(settings.uid_first, settings.uid_count);
        let stops = Stops::start().map_err(OpenvpnError::Stops)?;
        let version = Version::default();
        Ok(Self { settings: Arc::new(settings), dir, users, version, stops })
    }

    /// The version of the installed openvpn, where it is one that will do.
    pub async fn version(&self) -> Result<String, OpenvpnError> {
        self.version.check(&self.settings).await.map(str::to_owned)
    }

    /// Starts a tunnel. What happens to it goes to `news_tx`; where nobody takes it, a
    /// bounded number of news wait, and the oldest are dropped.
    pub async fn start(
        &self,
        order: Order,
        news_tx: mpsc::Sender<News>,
    ) -> Result<Running, OpenvpnError> {
        self.version.check(&self.settings).await?;
        let count = self.settings.uid_count;
        let user = self.users.take().ok_or(OpenvpnError::NoUser { count })?;
        let place = Place::make(&self.dir, order.tunnel, user.uid())?;
        let counters = Arc::<Counters>::default();
        let binary = self.settings.binary.clone();
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(
            (binary, self.stops.clone()),
            order,
            (place, user),
            (news_tx, Arc::clone(&counters), stop.clone()),
        )?;
        let task = tokio::spawn(supervisor.run().in_current_span());
        Ok(Running { stop: stop.drop_guard(), task, counters })
    }
}

impl Running {
    /// Bytes so far.
    pub fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    /// Ends the tunnel within three seconds, and tells the server if it can. Also where it has
    /// ended by itself.
    pub async fn stop(self) -> Farewell {
        drop(self.stop);
        self.task.await.unwrap_or(Farewell::NotTold { cool_for: UNKNOWN })
    }
}

impl Counters {
    fn read(&self) -> Traffic {
        Traffic {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }

    fn set(&self, traffic: Traffic) {
        self.received.store(traffic.received, Ordering::Relaxed);
        self.sent.store(traffic.sent, Ordering::Relaxed);
    }
}
