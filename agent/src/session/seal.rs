//! Putting a policy in place in a container's namespace.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use egress_core::api::{Code, Reason};
use egress_core::firewall::{Opening, Policy, TABLE};
use egress_linux::netns::{EnterError, Netns};
use egress_linux::nft::{self, NftError};
use egress_linux::tun;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::telemetry::chain;
use crate::tunnel::device::DeviceError;

/// How long a change is waited for. It takes a millisecond, unless somebody in the container keeps
/// the kernel busy; it may still come about afterwards.
const PATIENCE: Duration = Duration::from_secs(15);

/// A turn that has come.
pub type Held = OwnedMutexGuard<()>;

/// Has the changes of a container's ruleset done in the order in which they were asked for. One whose
/// caller has given up is done before the next: what stands at last is what was asked for last.
/// Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Waits for the turn of one change.
    pub async fn take(&self) -> Held {
        Arc::clone(&self.0).lock_owned().await
    }
}

/// Why a policy does not stand, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The ruleset was not applied, or did not read back.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The tunnel's device is not in the namespace.
    #[error(transparent)]
    Device(DeviceError),
    /// The kernel has not answered in time.
    #[error("nftables of the container has not answered for {} s", PATIENCE.as_secs())]
    Slow,
    /// A thread of ours died.
    #[error("applying the ruleset broke off")]
    Broken,
}

impl SealError {
    /// Whether the policy may stand all the same, now or later.
    pub fn is_unclear(&self) -> bool {
        match self {
            Self::Enter(EnterError::Panicked(_))
            | Self::Nft(NftError::Read { .. } | NftError::Different { .. })
            | Self::Slow
            | Self::Broken => true,
            // What the kernel refuses has changed nothing; it may also have said nothing.
            Self::Nft(NftError::Apply { source, .. }) => source.raw_os_error().is_none(),
            Self::Enter(EnterError::Thread(_) | EnterError::Enter(_) | EnterError::Cookie(_))
            | Self::Device(_) => false,
        }
    }

    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Device(error) => error.code(),
            Self::Enter(_) | Self::Nft(_) | Self::Slow | Self::Broken => Code::SealFailed,
        };
        Reason { code, detail: chain(self) }
    }
}

/// Closes the container, and reads back that it is.
pub async fn close(netns: Arc<Netns>, turn: &Turn) -> Result<(), SealError> {
    inside(netns, turn.take(), || Ok(nft::enforce(TABLE, &Policy::Closed.ruleset())?)).await
}

/// Opens the container for this device of a tunnel, and reads back that it is open for nothing else.
/// `opening` is given the device's number in the container.
pub async fn open(
    netns: Arc<Netns>,
    turn: &Turn,
    device: OwnedFd,
    opening: impl FnOnce(u32) -> Opening + Send + 'static,
) -> Result<(), SealError> {
    let open = move || {
        let index = tun::index(device).map_err(|it| SealError::Device(DeviceError::Lost(it)))?;
        Ok(nft::enforce(TABLE, &Policy::Open(opening(index)).ruleset())?)
    };
    inside(netns, turn.take(), open).await
}

/// Takes the ruleset away, and looks that it is gone: the container is the launcher's again. None is
/// fine.
pub async fn release(netns: Arc<Netns>, turn: &Turn) -> Result<(), SealError> {
    inside(netns, turn.take(), remove).await
}

/// The same in a turn that has come.
pub async fn release_held(netns: Arc<Netns>, held: Held) -> Result<(), SealError> {
    inside(netns, async { held }, remove).await
}

fn remove() -> Result<(), SealError> {
    Ok(nft::remove(TABLE)?)
}

/// Whether there is no ruleset of ours. What cannot be read may be there.
pub async fn is_gone(netns: Arc<Netns>) -> bool {
    let stands = spawn_blocking(move || netns.run(|| nft::exists(TABLE)));
    matches!(stands.await, Ok(Ok(Ok(false))))
}

async fn inside(
    netns: Arc<Netns>,
    turn: impl Future<Output = Held>,
    work: impl FnOnce() -> Result<(), SealError> + Send + 'static,
) -> Result<(), SealError> {
    let done = async {
        let turn = turn.await;
        let work = move || {
            // Held until it is done, whoever waits for that.
            let _turn = turn;
            netns.run(work)?
        };
        spawn_blocking(work).await.unwrap_or(Err(SealError::Broken))
    };
    timeout(PATIENCE, done).await.unwrap_or(Err(SealError::Slow))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_any_more_is_done_before_the_next() {
        let netns = Arc::new(Netns::create().unwrap());
        let turn = Turn::default();
        let (done_tx, done_rx) = mpsc::channel();
        let (go_tx, go_rx) = mpsc::channel();
        let (begun_tx, begun_rx) = tokio::sync::oneshot::channel();
        let opens_tx = done_tx.clone();
        let open = inside(Arc::clone(&netns), turn.take(), move || {
            begun_tx.send(()).unwrap();
            go_rx.recv().unwrap();
            opens_tx.send("open").unwrap();
            Ok(())
        });
        tokio::select! {
            _ = open => unreachable!("it waits to be told"),
            begun = begun_rx => begun.unwrap(),
        }
        let close = inside(netns, turn.take(), move || {
            done_tx.send("close").unwrap();
            Ok(())
        });
        let mut close = std::pin::pin!(close);
        let waits = futures_util::poll!(&mut close).is_pending();
        assert!(waits && done_rx.try_recv().is_err(), "it did not wait its turn");
        go_tx.send(()).unwrap();
        close.await.unwrap();
        assert_eq!(done_rx.iter().collect::<Vec<_>>(), ["open", "close"]);
    }
}
