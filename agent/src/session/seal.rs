//! Putting a policy in place in a container's namespace.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use egress_core::api::{Code, Reason};
use egress_core::firewall::{Opening, Policy, TABLE};
use egress_linux::netns::{EnterError, Netns};
use egress_linux::nft::{self, NftError};
use egress_linux::tun;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::telemetry::chain;
use crate::tunnel::device::DeviceError;

/// How long a change is waited for. It takes a millisecond, unless somebody in the container keeps
/// the kernel busy; it may still come about afterwards.
const PATIENCE: Duration = Duration::from_secs(15);

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
pub async fn close(netns: Arc<Netns>) -> Result<(), SealError> {
    inside(netns, || Ok(nft::enforce(TABLE, &Policy::Closed.ruleset())?)).await
}

/// Opens the container for this device of a tunnel, and reads back that it is open for nothing else.
/// `opening` is given the device's number in the container.
pub async fn open(
    netns: Arc<Netns>,
    device: OwnedFd,
    opening: impl FnOnce(u32) -> Opening + Send + 'static,
) -> Result<(), SealError> {
    let open = move || {
        let index = tun::index(device).map_err(|it| SealError::Device(DeviceError::Lost(it)))?;
        Ok(nft::enforce(TABLE, &Policy::Open(opening(index)).ruleset())?)
    };
    inside(netns, open).await
}

/// Takes the ruleset away, and looks that it is gone: the container is the launcher's again. None is
/// fine.
pub async fn release(netns: Arc<Netns>) -> Result<(), SealError> {
    inside(netns, || Ok(nft::remove(TABLE)?)).await
}

async fn inside(
    netns: Arc<Netns>,
    work: impl FnOnce() -> Result<(), SealError> + Send + 'static,
) -> Result<(), SealError> {
    let work = spawn_blocking(move || netns.run(work)?);
    let done = timeout(PATIENCE, work).await.map_err(|_| SealError::Slow)?;
    done.unwrap_or(Err(SealError::Broken))
}
