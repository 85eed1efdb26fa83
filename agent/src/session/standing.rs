//! A session's tunnel, whichever protocol it speaks.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use egress_core::openvpn::Pushed;
use egress_core::openvpn::machine::News;
use egress_dataplane::protocol::TunnelId;
use tokio::sync::mpsc;

use crate::tunnel::openvpn::Running;
use crate::tunnel::wireguard;

/// A session's tunnel, from its bring-up to its end.
pub enum Standing {
    /// The data plane moves its packets.
    Wireguard(wireguard::Standing),
    /// An openvpn of its own moves them; the data plane keeps the device.
    Openvpn(Openvpn),
}

/// A tunnel that an openvpn carries.
pub struct Openvpn {
    /// Its number, in the data plane too.
    pub tunnel: TunnelId,
    /// Its device, by which its namespace is found again.
    pub device: OwnedFd,
    /// The process.
    pub running: Running,
    /// What is heard of it.
    pub news_rx: mpsc::Receiver<News>,
    /// Where its server is and what that gave it, once it has been connected.
    pub given: Option<(SocketAddr, Pushed)>,
}

impl Standing {
    /// Its number.
    pub fn tunnel(&self) -> TunnelId {
        match self {
            Self::Wireguard(standing) => standing.tunnel,
            Self::Openvpn(standing) => standing.tunnel,
        }
    }

    /// Its device.
    pub fn device(&self) -> BorrowedFd<'_> {
        match self {
            Self::Wireguard(standing) => standing.device.as_fd(),
            Self::Openvpn(standing) => standing.device.as_fd(),
        }
    }

    /// What the data plane carries, if it does.
    pub fn wireguard(&mut self) -> Option<&mut wireguard::Standing> {
        match self {
            Self::Wireguard(standing) => Some(standing),
            Self::Openvpn(_) => None,
        }
    }

    /// What an openvpn carries, if it does.
    pub fn openvpn(&mut self) -> Option<&mut Openvpn> {
        match self {
            Self::Openvpn(standing) => Some(standing),
            Self::Wireguard(_) => None,
        }
    }
}
