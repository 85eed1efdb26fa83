//! One session's hands: what a step works with and leaves behind.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use egress_core::api::{GatewayView, Timings};
use egress_core::wireguard::Profile;
use egress_linux::netns::Netns;
use tokio::sync::mpsc;

use super::container;
use super::shell::Shell;
use crate::store::SessionRow;
use crate::tunnel::dataplane::News;
use crate::tunnel::wireguard::Standing;

/// What a session's steps work with and leave behind.
pub struct Hands {
    /// What all sessions share.
    pub shell: Arc<Shell>,
    /// The session, as the store keeps it.
    pub row: SessionRow,
    /// The way out, for the replies.
    pub gateway: Option<GatewayView>,
    /// Held while the container is being set up; afterwards it is found through the device.
    pub netns: Option<Arc<Netns>>,
    /// What the tunnel is made of.
    pub profile: Option<Profile>,
    /// The tunnel, while it stands.
    pub tunnel: Option<Standing>,
    /// Where the tunnel's news goes.
    pub news_tx: mpsc::Sender<News>,
    /// How long each step took.
    pub timings: Timings,
    /// When the tunnel was handed to the data plane, until its first handshake.
    pub handed_over: Option<Instant>,
}

impl Hands {
    /// Hands that hold nothing yet.
    pub fn new(
        shell: Arc<Shell>,
        row: SessionRow,
        gateway: Option<GatewayView>,
        news_tx: mpsc::Sender<News>,
    ) -> Self {
        Self {
            shell,
            row,
            gateway,
            netns: None,
            profile: None,
            tunnel: None,
            news_tx,
            timings: Timings::default(),
            handed_over: None,
        }
    }

    /// The container's namespace, if it is still the same one.
    pub async fn namespace(&self) -> Option<Arc<Netns>> {
        if let Some(netns) = &self.netns {
            return Some(Arc::clone(netns));
        }
        let device = self.tunnel.as_ref().map(|standing| standing.device.as_fd());
        let roots = &self.shell.sessions.netns_roots;
        container::find(device, &self.row.found_by, roots, self.row.netns.cookie).await
    }
}
