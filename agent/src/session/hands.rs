//! One session's hands: what a step works with and leaves behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::api::{Code, GatewayView, Reason, SessionState, Timings};
use egress_core::catalog::select::keeps;
use egress_core::profile::Profile;
use egress_core::secret::Secret;
use egress_linux::netns::Netns;
use tokio::sync::mpsc;

use super::container;
use super::seal::Turn;
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
    /// The lease was to be given back, and the store did not take it: how long it is to cool.
    pub unreleased: Option<Duration>,
    /// The row is in the store with this state already.
    pub kept_as: Option<SessionState>,
    /// Changes of the container's ruleset.
    pub seal: Turn,
    /// Whether the container is sealed, open or closed; `None` until something was done to it.
    pub sealed: Option<bool>,
    /// The next tunnel is made of what the catalog has then, with a lease for that.
    pub renew: bool,
    /// Where the data plane's news of the tunnel goes.
    pub news_tx: mpsc::Sender<News>,
    /// Who asked for the attach, where that was in this life of the agent.
    pub client: Option<String>,
    /// How long each step took.
    pub timings: Timings,
    /// When the tunnel began to connect, until it first has.
    pub handed_over: Option<Instant>,
    /// When an attach that is being undone has its answer, until it has.
    pub answer_by: Option<Instant>,
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
        let sealed = (row.state != SessionState::Connecting).then_some(true);
        Self {
            seal: shell.sealed.turn(row.netns.cookie),
            sealed,
            shell,
            row,
            gateway,
            netns: None,
            profile: None,
            tunnel: None,
            challenge,
            cool_for: Duration::ZERO,
            unreleased: None,
            kept_as: None,
            renew: false,
            news_tx,
            client: None,
            timings: Timings::default(),
            handed_over: None,
            answer_by: None,
        }
    }

    /// Its gateway, as `provider/name`.
    pub fn gateway_name(&self) -> Option<String> {
        let gateway = self.gateway.as_ref()?;
        Some(format!("{}/{}", gateway.provider, gateway.name))
    }

    /// What the credential in use is called now.
    pub fn credential_name(&self) -> Option<String> {
        let catalog = self.shell.store.catalog();
        Some(catalog.credential(self.row.credential?)?.name.clone())
    }

    /// The gateway has answered.
    pub fn answered(&mut self, at: Instant) {
        if let Some(handed_over) = self.handed_over.take() {
            let took = at.saturating_duration_since(handed_over);
            self.timings.handshake = took.as_secs_f64() * 1e3;
        }
    }

    /// Notes how the tunnel ends, on the way from this state to an end for this reason. One of
    /// WireGuard's has no way to say goodbye: its gateway goes on counting it unless it was
    /// detached while it stood.
    pub fn note_end(&mut self, was: SessionState, reason: Option<&Reason>) {
        let container_gone = reason.is_some_and(|reason| reason.code == Code::NetnsGone);
        let unclean = match was {
            SessionState::Connected => container_gone,
            SessionState::Reconnecting => true,
            SessionState::Connecting
            | SessionState::Disconnecting
            | SessionState::Blocked
            | SessionState::Closed => false,
        };
        if unclean && !matches!(self.tunnel, Some(Standing::Openvpn(_))) {
            self.cool_for = self.cool_for.max(release_delay(&self.shell, &self.row));
        }
    }

    /// Whether a tunnel that was made now would be made of something else. Not where the session
    /// may run on but would not be let in again.
    pub fn is_outdated(&self) -> bool {
        let catalog = self.shell.store.catalog();
        let (Some(gateway), Some(credential)) = (self.row.gateway, self.row.credential) else {
            return false;
        };
        if keeps(&catalog, &self.row.request.subject, gateway, credential).is_err() {
            return false;
        }
        let now = Profile::merge(&catalog, gateway, credential);
        let differs =
            self.profile.as_ref().zip(now.ok().as_ref()).is_some_and(|(used, now)| used != now);
        differs || self.secret_is_outdated()
    }

    /// Whether the credential has another secret by now.
    pub fn secret_is_outdated(&self) -> bool {
        let catalog = self.shell.store.catalog();
        let used = self.row.credential.zip(self.row.secret_version);
        used.is_some_and(|(id, version)| {
            catalog.credential(id).is_some_and(|now| now.secret_version != version)
        })
    }

    /// Whether the session has the lease of its credential.
    pub fn holds_lease(&self) -> bool {
        let wanted = (self.row.id(), self.row.credential);
        let in_use = self.shell.store.in_use();
        in_use.holders().any(|(session, credential)| (session, Some(credential)) == wanted)
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

/// How long the provider's servers count a connection that ended without a word, where it is known.
pub fn release_delay(shell: &Shell, row: &SessionRow) -> Duration {
    let catalog = shell.store.catalog();
    let gateway = row.gateway.and_then(|gateway| catalog.gateway(gateway));
    let provider = gateway.and_then(|gateway| catalog.provider(gateway.provider_id));
    let seconds = provider.map_or(0, |provider| provider.release_delay_s);
    Duration::from_secs(seconds.into())
}
