//! One session's hands: what a step works with and leaves behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::api::{GatewayView, Timings};
use egress_core::profile::Profile;
use egress_core::secret::Secret;
use egress_linux::netns::Netns;
use tokio::sync::mpsc;

use super::container;
use super::shell::Shell;
use super::standing::Standing;
use crate::store::SessionRow;
use crate::tunnel::dataplane::News;

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
    /// What the user answers to the gateway's question; gone with the first tunnel.
    pub challenge: Option<Secret<String>>,
    /// How long the lease stays taken after its release: servers go on counting a connection that
    /// ended without a word.
    pub cool_for: Duration,
    /// Where the data plane's news of the tunnel goes.
    pub news_tx: mpsc::Sender<News>,
    /// How long each step took.
    pub timings: Timings,
    /// When the tunnel began to connect, until it first has.
    pub handed_over: Option<Instant>,
}

impl Hands {
    /// Hands that hold nothing yet.
    pub fn new(
        shell: Arc<Shell>,
        mut row: SessionRow,
        gateway: Option<GatewayView>,
        news_tx: mpsc::Sender<News>,
    ) -> Self {
        let challenge = row.request.challenge_response.take();
        Self {
            shell,
            row,
            gateway,
            netns: None,
            profile: None,
            tunnel: None,
            challenge,
            cool_for: Duration::ZERO,
            news_tx,
            timings: Timings::default(),
            handed_over: None,
        }
    }

    /// The gateway has answered.
    pub fn answered(&mut self, at: Instant) {
        if let Some(handed_over) = self.handed_over.take() {
            let took = at.saturating_duration_since(handed_over);
            self.timings.handshake = took.as_secs_f64() * 1e3;
        }
    }

    /// The container's namespace, if it is still the same one.
    pub async fn namespace(&self) -> Option<Arc<Netns>> {
        if let Some(netns) = &self.netns {
            return Some(Arc::clone(netns));
        }
        let device = self.tunnel.as_ref().map(Standing::device);
        let roots = &self.shell.sessions.netns_roots;
        container::find(device, &self.row.found_by, roots, self.row.netns.cookie).await
    }
}
