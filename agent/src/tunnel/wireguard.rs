//! A `WireGuard` tunnel: its device inside the container, its sockets in the host's namespace,
//! its packets in the data plane's hands.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use egress_core::api::{Code, Reason};
use egress_core::id::GatewayId;
use egress_core::wireguard::{Peer, Profile};
use egress_dataplane::protocol::{Key, PeerConfig, TunnelConfig, TunnelId, Uncut, message_packets};
use egress_linux::link::Interface;
use egress_linux::netns::Netns;
use egress_linux::tun::{self, Device, Offload};
use egress_linux::udp;
use ipnet::IpNet;
use tokio::sync::mpsc;

use super::dataplane::{Adopted, Carried, Dataplane, DataplaneError, News};
use super::device::{DeviceError, Devices, configure, least_mtu};
use super::resolve::{ResolveError, addresses};
use crate::config::{self, DevicePlacement};
use crate::telemetry::chain;

/// What `WireGuard` adds to a packet: IPv4 20 or IPv6 40, UDP 8, header and tag 32 (whitepaper
/// 5.4.6).
const OVERHEAD_V4: u16 = 60;
/// The same over IPv6.
const OVERHEAD_V6: u16 = 80;

/// Makes tunnels, and takes them down.
#[derive(Clone)]
pub struct Wireguard {
    /// Who carries them.
    pub dataplane: Dataplane,
    /// Sockets and devices.
    pub settings: config::Wireguard,
    /// Who makes devices.
    pub devices: Devices,
}

/// A tunnel that the data plane carries.
pub struct Standing {
    /// Its number there.
    pub tunnel: TunnelId,
    /// Its device, by which its namespace is found again.
    pub device: OwnedFd,
    /// The device's MTU in bytes.
    pub mtu: u16,
    /// Where each peer's packets go.
    pub endpoints: Vec<SocketAddr>,
    /// The host's address on the way to each peer, while there is a way.
    pub sources: Vec<Option<IpAddr>>,
    /// The peer that the tunnel stands and falls with: the one with the default route, or else
    /// the first.
    pub main_peer: u16,
    /// Peers that were heard from elsewhere since their names were last looked up.
    pub moved: BTreeSet<u16>,
}

/// Why a tunnel does not stand.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// A peer has no address to go to.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No socket to a peer: the host has no route to it.
    #[error("open a socket to {endpoint}")]
    Socket {
        /// The peer's.
        endpoint: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The device was not made, moved or configured.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data plane did not take it.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
}

impl Standing {
    /// Whether the host now sends from another address than before, and remembers which.
    pub fn source_changed(&mut self) -> bool {
        let now = sources(&self.endpoints);
        let changed = now.iter().zip(&self.sources).any(|(now, was)| now.is_some() && now != was);
        self.sources = now;
        changed
    }
}

impl TunnelError {
    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Resolve(error) => error.code(),
            Self::Socket { .. } => Code::EndpointUnreachable,
            Self::Device(error) => error.code(),
            Self::Dataplane(_) => Code::DataplaneUnavailable,
        };
        Reason { code, detail: chain(self) }
    }
}

impl Wireguard {
    /// Makes tunnels that `dataplane` carries.
    pub fn new(dataplane: Dataplane, settings: config::Wireguard, devices: Devices) -> Self {
        Self { dataplane, settings, devices }
    }

    /// Brings a tunnel up in `netns`; its news, the first handshake among it, goes to `news_tx`.
    ///
    /// The handshake runs while the device is moved and configured. What an error or a dropped
    /// future leaves behind is taken away by [`Wireguard::tear_down`].
    pub async fn bring_up(
        &self,
        tunnel: TunnelId,
        gateway: Option<GatewayId>,
        profile: &Profile,
        netns: Arc<Netns>,
        news_tx: mpsc::Sender<News>,
    ) -> Result<Standing, TunnelError> {
        let mut endpoints = Vec::with_capacity(profile.peers().len());
        for peer in profile.peers() {
            endpoints.push(addresses(&peer.endpoint).await?[0]);
        }
        let sockets = self.sockets(&endpoints)?;
        let mtu = profile.mtu().map_or_else(|| path_mtu(&sockets, &endpoints, profile), Ok)?;
        let burst = self.settings.burst_for(gateway);
        let device = self.create(tunnel, mtu, burst, &netns).await?;
        let held = device.fd.try_clone().map_err(DataplaneError::Start)?;
        let carried = Carried {
            config: TunnelConfig {
                uncut: uncut(device.uncut),
                burst,
                ..tunnel_config(tunnel, mtu, profile, &endpoints)
            },
            device: device.fd.try_clone().map_err(DataplaneError::Start)?,
            sockets,
        };
        self.dataplane.add(carried, news_tx).await?;
        self.settle(device, netns, interface(mtu, profile)).await?;
        let main_peer = main_peer(profile.peers().iter().map(|peer| peer.allowed_ips.as_slice()));
        let sources = sources(&endpoints);
        Ok(Standing {
            tunnel,
            device: held,
            mtu,
            endpoints,
            sources,
            main_peer,
            moved: BTreeSet::new(),
        })
    }

    /// Takes up a tunnel that the data plane carries from before a restart.
    pub async fn adopt(
        &self,
        tunnel: TunnelId,
        news_tx: mpsc::Sender<News>,
    ) -> Result<Standing, TunnelError> {
        let Adopted { device, config } = self.dataplane.adopt(tunnel, news_tx).await?;
        let endpoints: Vec<_> = config.peers.iter().map(|peer| peer.endpoint).collect();
        let main_peer = main_peer(config.peers.iter().map(|peer| peer.allowed_ips.as_slice()));
        let sources = sources(&endpoints);
        Ok(Standing {
            tunnel,
            device,
            mtu: config.mtu,
            endpoints,
            sources,
            main_peer,
            moved: BTreeSet::new(),
        })
    }

    /// Looks the peers' names up again. A peer whose address is no longer among what its name
    /// says, or was `given_up` where there are others, gets a socket to the next one; the others
    /// are listened for, in case they moved.
    pub async fn resolve_again(
        &self,
        standing: &mut Standing,
        profile: &Profile,
        given_up: bool,
    ) -> Result<(), TunnelError> {
        for (index, peer) in profile.peers().iter().enumerate() {
            let number = u16::try_from(index).unwrap_or(u16::MAX);
            // Where it was just heard from counts more than what its name says. News of the silence
            // before that may still be on the way.
            if standing.moved.remove(&number) {
                self.dataplane.listen(standing.tunnel, number).await?;
                continue;
            }
            let found = addresses(&peer.endpoint).await?;
            let Some(known) = standing.endpoints.get_mut(index) else { continue };
            if found.contains(known) && (found.len() == 1 || !given_up) {
                self.dataplane.listen(standing.tunnel, number).await?;
                continue;
            }
            let next = after(&found, *known);
            let socket = self.socket(next)?;
            self.dataplane.set_endpoint(standing.tunnel, number, next, socket).await?;
            *known = next;
        }
        Ok(())
    }

    /// Takes a tunnel out of the data plane: its keys are wiped there, its device and sockets
    /// closed. The device is gone then if the caller's [`Standing`] was dropped before.
    pub async fn tear_down(&self, tunnel: TunnelId) -> Result<(), DataplaneError> {
        self.dataplane.remove(tunnel).await
    }

    fn sockets(&self, endpoints: &[SocketAddr]) -> Result<Vec<OwnedFd>, TunnelError> {
        endpoints.iter().map(|endpoint| self.socket(*endpoint)).collect()
    }

    fn socket(&self, endpoint: SocketAddr) -> Result<OwnedFd, TunnelError> {
        let mark = (self.settings.mark != 0).then_some(self.settings.mark);
        let options = udp::Options { mark, buffer: self.settings.buffer };
        udp::connected(endpoint, &options)
            .map_err(|source| TunnelError::Socket { endpoint, source })
    }

    async fn create(
        &self,
        tunnel: TunnelId,
        mtu: u16,
        burst: u16,
        netns: &Arc<Netns>,
    ) -> Result<Device, DeviceError> {
        let offload = match self.settings.offload {
            config::Offload::Auto => Offload::VnetHeader { segments: message_packets(mtu, burst) },
            config::Offload::Off => Offload::Off,
        };
        self.devices.create(tunnel, mtu, offload, self.settings.device, netns).await
    }

    async fn settle(
        &self,
        device: Device,
        netns: Arc<Netns>,
        interface: Interface,
    ) -> Result<(), DeviceError> {
        if self.settings.device == DevicePlacement::Moved {
            self.devices.move_into(device.index, &netns).await?;
        }
        configure(netns, device.fd, interface).await
    }
}

/// The next of several addresses, so that a dead one is not tried for ever.
fn after(found: &[SocketAddr], known: SocketAddr) -> SocketAddr {
    let next = found.iter().position(|address| *address == known).map_or(0, |index| index + 1);
    found[next % found.len()]
}

/// The address that the host's routes lead to each endpoint from.
fn sources(endpoints: &[SocketAddr]) -> Vec<Option<IpAddr>> {
    endpoints.iter().map(|endpoint| source(*endpoint).ok()).collect()
}

/// Connecting a UDP socket sends nothing: it only chooses the route.
fn source(endpoint: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match endpoint {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(endpoint)?;
    Ok(probe.local_addr()?.ip())
}

fn main_peer<'a>(allowed_ips: impl Iterator<Item = &'a [IpNet]>) -> u16 {
    let defaults = (0..).zip(allowed_ips).filter(|(_, nets)| {
        // Two halves are a default route too.
        nets.iter().any(|net| net.prefix_len() <= 1)
    });
    defaults.map(|(index, _)| index).next().unwrap_or(0)
}

fn path_mtu(
    sockets: &[OwnedFd],
    endpoints: &[SocketAddr],
    profile: &Profile,
) -> Result<u16, TunnelError> {
    let mut mtu = u16::MAX;
    for (socket, endpoint) in sockets.iter().zip(endpoints) {
        let overhead = if endpoint.is_ipv4() { OVERHEAD_V4 } else { OVERHEAD_V6 };
        let path = udp::path_mtu(socket)
            .map_err(|source| TunnelError::Socket { endpoint: *endpoint, source })?;
        mtu = mtu.min(path.saturating_sub(overhead));
    }
    Ok(mtu.max(least_mtu(has_v6(profile))))
}

fn has_v6(profile: &Profile) -> bool {
    profile.addresses().iter().any(|net| net.addr().is_ipv6())
}

fn interface(mtu: u16, profile: &Profile) -> Interface {
    let routes = profile.peers().iter().flat_map(|peer| peer.allowed_ips.iter().copied());
    Interface { addresses: profile.addresses().to_vec(), mtu, routes: routes.collect() }
}

fn uncut(device: tun::Uncut) -> Uncut {
    match device {
        tun::Uncut::Nothing => Uncut::Nothing,
        tun::Uncut::Tcp => Uncut::Tcp,
        tun::Uncut::TcpAndUdp => Uncut::TcpAndUdp,
    }
}

/// What the data plane is told of a profile, over a device that leaves nothing uncut.
pub fn tunnel_config(
    tunnel: TunnelId,
    mtu: u16,
    profile: &Profile,
    endpoints: &[SocketAddr],
) -> TunnelConfig {
    let peers = profile.peers().iter().zip(endpoints);
    TunnelConfig {
        tunnel,
        private_key: Key(*profile.private_key().expose()),
        mtu,
        uncut: Uncut::Nothing,
        burst: 1,
        peers: peers.map(|(peer, endpoint)| peer_config(peer, *endpoint)).collect(),
    }
}

fn peer_config(peer: &Peer, endpoint: SocketAddr) -> PeerConfig {
    PeerConfig {
        public_key: peer.public_key,
        preshared_key: peer.preshared_key.as_ref().map(|key| Key(*key.expose())),
        endpoint,
        allowed_ips: peer.allowed_ips.clone(),
        keepalive: peer.keepalive.map(std::num::NonZeroU16::get),
    }
}
