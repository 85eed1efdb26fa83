//! What control holds of all that the data plane carries and keeps, so that another one can go on
//! where one died.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use egress_dataplane::protocol::{TunnelConfig, TunnelId};
use tokio::sync::mpsc;

use super::{Adopted, Carried, DataplaneError, News};

/// Tunnels that are carried and devices that are kept.
#[derive(Default)]
pub struct Held {
    tunnels: BTreeMap<TunnelId, Tunnel>,
    devices: BTreeMap<TunnelId, Arc<OwnedFd>>,
}

/// A tunnel that is carried.
pub struct Tunnel {
    /// What the data plane is told.
    pub config: TunnelConfig,
    /// Where its news goes.
    pub news_tx: mpsc::Sender<News>,
    device: Arc<OwnedFd>,
    sockets: Vec<Arc<OwnedFd>>,
}

impl Held {
    /// How many tunnels and devices.
    pub fn count(&self) -> (usize, usize) {
        (self.tunnels.len(), self.devices.len())
    }

    /// The number of each, tunnels first.
    pub fn all(&self) -> impl Iterator<Item = TunnelId> {
        self.tunnels.keys().chain(self.devices.keys()).copied()
    }

    /// A tunnel that is carried.
    pub fn tunnel(&self, tunnel: TunnelId) -> Option<&Tunnel> {
        self.tunnels.get(&tunnel)
    }

    /// A device that is kept.
    pub fn device(&self, tunnel: TunnelId) -> Option<&Arc<OwnedFd>> {
        self.devices.get(&tunnel)
    }

    /// Holds a tunnel, in the place of a former one of that number.
    pub fn carry(&mut self, carried: Carried, news_tx: mpsc::Sender<News>) {
        let Carried { config, device, sockets } = carried;
        let sockets = sockets.into_iter().map(Arc::new).collect();
        let tunnel = Tunnel { config, news_tx, device: Arc::new(device), sockets };
        self.tunnels.insert(tunnel.config.tunnel, tunnel);
    }

    /// Holds a device that is kept.
    pub fn keep(&mut self, tunnel: TunnelId, device: OwnedFd) {
        self.devices.insert(tunnel, Arc::new(device));
    }

    /// Lets go of a tunnel or a device, and gives what was held of it.
    pub fn forget(&mut self, tunnel: TunnelId) -> Vec<Arc<OwnedFd>> {
        let carried = self.tunnels.remove(&tunnel).map(|tunnel| tunnel.device);
        carried.into_iter().chain(self.devices.remove(&tunnel)).collect()
    }

    /// Holds a tunnel that the data plane has exported: its device, then its sockets.
    pub fn adopt(
        &mut self,
        config: TunnelConfig,
        news_tx: mpsc::Sender<News>,
        fds: Vec<OwnedFd>,
    ) -> Result<Adopted, DataplaneError> {
        let mut fds = fds.into_iter();
        let device = fds.next().ok_or(DataplaneError::Confused)?;
        let sockets: Vec<_> = fds.collect();
        if sockets.len() != config.peers.len() {
            return Err(DataplaneError::Confused);
        }
        let ours = device.try_clone().map_err(DataplaneError::Start)?;
        self.carry(Carried { config: config.clone(), device: ours, sockets }, news_tx);
        Ok(Adopted { device, config })
    }

    /// Holds a device that the data plane has exported.
    pub fn retake(
        &mut self,
        tunnel: TunnelId,
        fds: Vec<OwnedFd>,
    ) -> Result<OwnedFd, DataplaneError> {
        let device = fds.into_iter().next().ok_or(DataplaneError::Confused)?;
        self.keep(tunnel, device.try_clone().map_err(DataplaneError::Start)?);
        Ok(device)
    }

    /// A peer's packets go elsewhere, perhaps through another socket.
    pub fn moved(
        &mut self,
        tunnel: TunnelId,
        peer: u16,
        endpoint: SocketAddr,
        socket: Option<Arc<OwnedFd>>,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&tunnel) else { return };
        let index = usize::from(peer);
        if let Some(peer) = tunnel.config.peers.get_mut(index) {
            peer.endpoint = endpoint;
        }
        if let (Some(held), Some(socket)) = (tunnel.sockets.get_mut(index), socket) {
            *held = socket;
        }
    }
}

impl Tunnel {
    /// Its device, then its sockets.
    pub fn fds(&self) -> Vec<Arc<OwnedFd>> {
        std::iter::once(&self.device).chain(&self.sockets).cloned().collect()
    }
}
