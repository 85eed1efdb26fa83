//! Who waits for which of a data plane's replies.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use egress_dataplane::protocol::{TunnelId, TunnelStats};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Adopted, DataplaneError, Done, News};

/// Who waits for a reply.
pub enum Waiting {
    /// Whoever asked.
    Done(Done<()>),
    /// Nobody: the next control is to find the data plane at another socket.
    Served,
    /// Whoever wants this tunnel carried or this device kept; nobody where it was carried or kept
    /// by a former data plane.
    Handed {
        /// Which.
        tunnel: TunnelId,
        /// Who.
        done_tx: Option<Done<()>>,
    },
    /// What was held of a removed tunnel is closed last, and not here.
    Removed {
        /// Its device.
        held: Vec<Arc<OwnedFd>>,
        /// Who wants it gone.
        done_tx: Done<()>,
    },
    /// The tunnel is taken up once its fds are here.
    Adopt {
        /// Where its news goes.
        news_tx: mpsc::Sender<News>,
        /// Who takes it up.
        done_tx: Done<Adopted>,
    },
    /// Whoever wants fds.
    Export(Done<Vec<OwnedFd>>),
    /// The device is held here too once it is here.
    Retake {
        /// Which.
        tunnel: TunnelId,
        /// Who takes it up.
        done_tx: Done<OwnedFd>,
    },
    /// More replies may come.
    Stats {
        /// Those before.
        so_far: Vec<TunnelStats>,
        /// Who counts.
        done_tx: Done<Vec<TunnelStats>>,
    },
}

impl Waiting {
    /// There will be no reply, or one that is a refusal.
    pub fn fail(self, error: DataplaneError) {
        match self {
            Self::Served => {}
            Self::Done(done_tx) | Self::Removed { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Handed { done_tx, .. } => drop(done_tx.map(|done_tx| done_tx.send(Err(error)))),
            Self::Adopt { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Export(done_tx) => drop(done_tx.send(Err(error))),
            Self::Retake { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Stats { done_tx, .. } => drop(done_tx.send(Err(error))),
        }
    }
}

/// With its last descriptor a device is taken away, and its packets' last ways are waited for (RCU):
/// 16 ms and more, which many threads wait for together.
pub fn close(held: Vec<Arc<OwnedFd>>, done_tx: Done<()>) {
    spawn_blocking(move || {
        drop(held);
        let _ = done_tx.send(Ok(()));
    });
}
