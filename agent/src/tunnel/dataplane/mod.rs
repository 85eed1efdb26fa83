//! The packet process, as control sees it: kept running, told what to carry, heard.

mod connection;
mod heartbeat;
mod held;
mod launch;
mod start;
mod supervisor;
mod waiting;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use egress_dataplane::protocol::{Event, TunnelConfig, TunnelId, TunnelStats};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub use launch::Launch;

use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// Requests that wait for the data plane; past that a caller waits to ask.
const QUEUE: usize = 256;
/// How long the data plane has for what a session cannot stand without. It is replaced sooner if
/// it does not answer at all.
const NEEDED: Duration = Duration::from_secs(30);
/// How long it has for what is done whether its answer comes or not, or asked for again.
const WANTED: Duration = Duration::from_secs(5);
/// How long it has to count, and to hear goodbye.
const SHOWN: Duration = Duration::from_secs(2);
/// News of one tunnel that its session has not taken yet; past that the newest are dropped, which
/// the data plane repeats while they stay true.
pub const NEWS: usize = 64;

/// Why the data plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// It does not run and cannot be started, or died before it answered.
    #[error("the data plane is not running")]
    Gone,
    /// It runs, and did not answer in time.
    #[error("the data plane does not answer")]
    Silent,
    /// The kernel does not take the request.
    #[error("ask the data plane")]
    Unsendable(#[source] std::io::Error),
    /// It refused.
    #[error("the data plane refused: {0}")]
    Refused(String),
    /// It could not be started.
    #[error("start the data plane")]
    Start(#[source] std::io::Error),
    /// It said something that is not of the protocol.
    #[error("the data plane answered out of turn")]
    Confused,
}

/// A tunnel in the data plane's hands. Control keeps it too, fds and keys, so that another data
/// plane can go on where one died.
pub struct Carried {
    /// What the data plane is told.
    pub config: TunnelConfig,
    /// The device.
    pub device: OwnedFd,
    /// One connected UDP socket for each peer.
    pub sockets: Vec<OwnedFd>,
}

/// News of a tunnel, and when it was heard.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// A tunnel taken up from before a restart.
pub struct Adopted {
    /// Its device.
    pub device: OwnedFd,
    /// What it is, with the endpoints that its peers have now.
    pub config: TunnelConfig,
}

/// What a data plane that was found has.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Tunnels that it carries.
    pub carried: Vec<TunnelId>,
    /// Devices that it keeps for tunnels that others carry.
    pub kept: Vec<TunnelId>,
}

/// A handle to the data plane; clones talk to the same one.
#[derive(Clone)]
pub struct Dataplane {
    jobs: mpsc::Sender<Job>,
}

/// What the supervisor is asked.
enum Job {
    Add {
        carried: Carried,
        news_tx: mpsc::Sender<News>,
        done_tx: Done<()>,
    },
    Adopt {
        tunnel: TunnelId,
        news_tx: mpsc::Sender<News>,
        done_tx: Done<Adopted>,
    },
    Keep {
        tunnel: TunnelId,
        device: OwnedFd,
        done_tx: Done<()>,
    },
    Retake {
        tunnel: TunnelId,
        done_tx: Done<OwnedFd>,
    },
    Export {
        tunnel: TunnelId,
        done_tx: Done<Vec<OwnedFd>>,
    },
    SetEndpoint {
        tunnel: TunnelId,
        peer: u16,
        endpoint: SocketAddr,
        socket: OwnedFd,
        done_tx: Done<()>,
    },
    Listen {
        tunnel: TunnelId,
        peer: u16,
        done_tx: Done<()>,
    },
    Remove {
        tunnel: TunnelId,
        done_tx: Done<()>,
    },
    Stats {
        done_tx: Done<Vec<TunnelStats>>,
    },
    Bye {
        done_tx: Done<()>,
    },
}

type Done<T> = oneshot::Sender<Result<T, DataplaneError>>;

impl Dataplane {
    /// Finds the data plane that runs, or starts one, and keeps one running from now on. Also
    /// gives what the one it found has.
    pub async fn start(
        launch: Launch,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<(Self, Found), DataplaneError> {
        let (jobs, jobs_rx) = mpsc::channel(QUEUE);
        let found = supervisor::start(launch, metrics, readiness, jobs_rx).await?;
        Ok((Self { jobs }, found))
    }

    /// Carries a tunnel, whose news goes to `news_tx`, and goes on carrying it when the data plane
    /// has to be started again.
    pub async fn add(
        &self,
        carried: Carried,
        news_tx: mpsc::Sender<News>,
    ) -> Result<(), DataplaneError> {
        self.ask(NEEDED, |done_tx| Job::Add { carried, news_tx, done_tx }).await
    }

    /// Takes up a tunnel that the data plane carries already, keys and all: the catalog may have
    /// changed since it was added.
    pub async fn adopt(
        &self,
        tunnel: TunnelId,
        news_tx: mpsc::Sender<News>,
    ) -> Result<Adopted, DataplaneError> {
        self.ask(NEEDED, |done_tx| Job::Adopt { tunnel, news_tx, done_tx }).await
    }

    /// Keeps a device whose packets another process moves, and goes on keeping it when the data plane
    /// has to be started again: the device lives for as long as control or the data plane does.
    pub async fn keep(&self, tunnel: TunnelId, device: OwnedFd) -> Result<(), DataplaneError> {
        self.ask(NEEDED, |done_tx| Job::Keep { tunnel, device, done_tx }).await
    }

    /// Takes up a device that the data plane keeps from before a restart.
    pub async fn retake(&self, tunnel: TunnelId) -> Result<OwnedFd, DataplaneError> {
        self.ask(NEEDED, |done_tx| Job::Retake { tunnel, done_tx }).await
    }

    /// Duplicates of a tunnel's fds: its device, then its sockets where it has any.
    pub async fn export(&self, tunnel: TunnelId) -> Result<Vec<OwnedFd>, DataplaneError> {
        self.ask(NEEDED, |done_tx| Job::Export { tunnel, done_tx }).await
    }

    /// Sends a peer's packets elsewhere, through another socket.
    pub async fn set_endpoint(
        &self,
        tunnel: TunnelId,
        peer: u16,
        endpoint: SocketAddr,
        socket: OwnedFd,
    ) -> Result<(), DataplaneError> {
        self.ask(WANTED, |done_tx| Job::SetEndpoint { tunnel, peer, endpoint, socket, done_tx })
            .await
    }

    /// Lets a peer that moved be found by its own authenticated packets.
    pub async fn listen(&self, tunnel: TunnelId, peer: u16) -> Result<(), DataplaneError> {
        self.ask(WANTED, |done_tx| Job::Listen { tunnel, peer, done_tx }).await
    }

    /// Forgets a tunnel or a kept device, here and there; none of that id is fine. The device is gone
    /// then, unless the caller holds it too. Done as well where nobody waits for it to the end.
    pub async fn remove(&self, tunnel: TunnelId) -> Result<(), DataplaneError> {
        let (done_tx, done_rx) = oneshot::channel();
        let (jobs, job) = (self.jobs.clone(), Job::Remove { tunnel, done_tx });
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => drop(tokio::spawn(async move { jobs.send(job).await })),
            Err(TrySendError::Closed(_)) => return Err(DataplaneError::Gone),
        }
        answer(WANTED, done_rx).await
    }

    /// Counters of every tunnel.
    pub async fn stats(&self) -> Result<Vec<TunnelStats>, DataplaneError> {
        self.ask(SHOWN, |done_tx| Job::Stats { done_tx }).await
    }

    /// Control is going: a data plane without tunnels ends, one with tunnels carries on.
    pub async fn bye(&self) -> Result<(), DataplaneError> {
        self.ask(SHOWN, |done_tx| Job::Bye { done_tx }).await
    }

    async fn ask<T>(
        &self,
        within: Duration,
        job: impl FnOnce(Done<T>) -> Job,
    ) -> Result<T, DataplaneError> {
        let (done_tx, done_rx) = oneshot::channel();
        let asked = timeout(within, self.jobs.send(job(done_tx))).await;
        asked.map_err(|_| DataplaneError::Silent)?.map_err(|_| DataplaneError::Gone)?;
        answer(within, done_rx).await
    }
}

async fn answer<T>(
    within: Duration,
    done_rx: oneshot::Receiver<Result<T, DataplaneError>>,
) -> Result<T, DataplaneError> {
    let answered = timeout(within, done_rx).await;
    answered.map_err(|_| DataplaneError::Silent)?.map_err(|_| DataplaneError::Gone)?
}
