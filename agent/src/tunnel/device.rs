//! Tunnels' devices: made in containers or moved there, and configured.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use egress_core::api::{Code, Reason};
use egress_dataplane::protocol::TunnelId;
use egress_linux::link::{self, Interface, LinkError};
use egress_linux::netns::{EnterError, Netns};
use egress_linux::tun::{self, Device, Offload, TunError};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::config::DevicePlacement;
use crate::telemetry::chain;

/// What IPv6 needs (RFC 8200).
const MTU_MIN_V6: u16 = 1280;
/// The least that any IPv4 host takes (RFC 791).
const MTU_MIN_V4: u16 = 576;

/// Makes devices. Clones share the queue.
#[derive(Clone)]
pub struct Devices {
    /// A device's name in a container.
    pub interface: String,
    /// Held while a device is made or moved. The kernel does one at a time under its RTNL lock,
    /// and many threads that wait there were measured to take four times as long as a queue here.
    turn: Arc<Mutex<()>>,
}

/// Why there is no device, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It was not made or moved.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// Somebody has taken it out of the container.
    #[error("find the tunnel's device in the container")]
    Lost(#[source] io::Error),
    /// It was not configured.
    #[error("configure the tunnel's device")]
    Configure(#[source] LinkError),
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// A thread of ours died.
    #[error("a step of the bring-up broke off")]
    Broken,
}

impl DeviceError {
    /// The API's word for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Tun(_) | Self::Lost(_) | Self::Configure(_) | Self::Enter(_) => {
                Code::DeviceFailed
            }
            Self::Broken => Code::Internal,
        }
    }

    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        Reason { code: self.code(), detail: chain(self) }
    }
}

impl Devices {
    /// Makes devices of this name.
    pub fn new(interface: String) -> Self {
        Self { interface, turn: Arc::default() }
    }

    /// A device for a tunnel, down and without addresses.
    pub async fn create(
        &self,
        tunnel: TunnelId,
        mtu: u16,
        offload: Offload,
        placement: DevicePlacement,
        netns: &Arc<Netns>,
    ) -> Result<Device, DeviceError> {
        let (name, netns) = (self.interface.clone(), Arc::clone(netns));
        let _turn = self.turn.lock().await;
        blocking(move || match placement {
            DevicePlacement::Moved => Ok(tun::create(&format!("eg{tunnel:x}"), mtu, offload)?),
            DevicePlacement::Inside => Ok(netns.run(|| tun::create(&name, mtu, offload))??),
        })
        .await
    }

    /// Takes away the device that a former life of the session's has left in its container, where
    /// the kernel has not done so yet: it ends a dead process's devices one after another.
    pub async fn clear(&self, netns: &Arc<Netns>) -> Result<(), DeviceError> {
        let (name, netns) = (self.interface.clone(), Arc::clone(netns));
        let removed = move || {
            let removed = netns.run(|| tun::remove(&name))?;
            removed.map_err(|source| TunError::Remove { name, source }.into())
        };
        blocking(removed).await
    }

    /// Puts a device that was made in the host's namespace into a container's, under its name
    /// there.
    pub async fn move_into(&self, index: u32, netns: &Arc<Netns>) -> Result<(), DeviceError> {
        let (name, netns) = (self.interface.clone(), Arc::clone(netns));
        let _turn = self.turn.lock().await;
        blocking(move || Ok(tun::move_into(index, &netns, &name)?)).await
    }
}

/// Makes a device that is in a container so.
pub async fn configure(
    netns: Arc<Netns>,
    device: OwnedFd,
    interface: Interface,
) -> Result<(), DeviceError> {
    let configure = move || {
        let index = tun::index(&device).map_err(DeviceError::Lost)?;
        link::configure(index, &interface).map_err(DeviceError::Configure)
    };
    blocking(move || netns.run(configure)?).await
}

/// The least MTU of a device, in bytes.
pub fn least_mtu(has_v6: bool) -> u16 {
    if has_v6 { MTU_MIN_V6 } else { MTU_MIN_V4 }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeviceError> + Send + 'static,
) -> Result<T, DeviceError> {
    spawn_blocking(work).await.unwrap_or(Err(DeviceError::Broken))
}
