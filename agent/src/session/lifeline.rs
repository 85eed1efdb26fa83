//! What passes between a session's driver and everybody else.

use std::time::Instant;

use egress_core::api::{Refusal, SessionState, SessionView};
use egress_core::catalog::Catalog;
use egress_core::id::GatewayId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout_at;

use super::counters::{Carrier, Measured};

/// Commands a driver has not taken yet; past that the sender waits.
pub const COMMANDS: usize = 16;

/// What a driver is told.
#[derive(Debug)]
pub enum Command {
    /// End the session; `release` also takes the seal off.
    Detach {
        /// Whether the container is the launcher's again.
        release: bool,
    },
    /// What it runs on was taken away or replaced, and its sessions are to end.
    Cut {
        /// Why, in a sentence.
        why: String,
    },
    /// The container's namespace is gone.
    NamespaceGone,
    /// Deaths were lost: look whether the namespace is still there.
    LookForNamespace,
    /// The host's links, addresses or routes are others: the way to the gateway may be too.
    HostChanged,
    /// The host's own addresses are others.
    HostRenumbered,
    /// Read the counters.
    Measure(oneshot::Sender<Option<Measured>>),
    /// Say what carries the session.
    Carrier(oneshot::Sender<Carrier>),
    /// The agent stops.
    Shutdown,
}

/// How a session stands, for whoever waits on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// As the API shows it, but for what the catalog has to say of it.
    pub view: SessionView,
    /// Its way out.
    pub gateway: Option<GatewayId>,
    /// Which of its credential's secrets its tunnel was made of.
    pub secret_version: Option<u64>,
    /// Why the attach was refused, with the input's faults where it has any.
    pub refusal: Option<Refusal>,
}

impl Status {
    /// The session as the API shows it.
    pub fn shown(self, catalog: &Catalog) -> SessionView {
        let stale_credential = self.has_stale_credential(catalog);
        let credential = self.view.credential_id.and_then(|id| catalog.credential(id));
        let credential_name = credential.map(|credential| credential.name.clone());
        SessionView { stale_credential, credential_name, ..self.view }
    }

    /// Whether it is still being connected or ended.
    pub fn is_under_way(&self) -> bool {
        is_under_way(self.view.state)
    }

    /// Whether its tunnel is made of a secret that the catalog no longer has.
    fn has_stale_credential(&self, catalog: &Catalog) -> bool {
        let has_tunnel =
            matches!(self.view.state, SessionState::Connected | SessionState::Reconnecting);
        let used = self.view.credential_id.zip(self.secret_version);
        has_tunnel
            && used.is_some_and(|(id, version)| {
                catalog.credential(id).is_none_or(|now| now.secret_version != version)
            })
    }
}

/// A handle on a driver.
#[derive(Debug, Clone)]
pub struct Lifeline {
    /// Tells it something.
    pub commands_tx: mpsc::Sender<Command>,
    /// Hears how it stands. Closed when the session is over.
    pub status_rx: watch::Receiver<Status>,
}

/// Tells a driver something without waiting: where its queue is full, a task of its own does.
pub fn tell(commands_tx: mpsc::Sender<Command>, command: Command) {
    if let Err(mpsc::error::TrySendError::Full(command)) = commands_tx.try_send(command) {
        tokio::spawn(async move { commands_tx.send(command).await });
    }
}

impl Lifeline {
    /// How it stands now.
    pub fn status(&self) -> Status {
        self.status_rx.borrow().clone()
    }

    /// Waits until the attach has its answer, or until its deadline.
    pub async fn settled(&self, deadline: Instant) -> Status {
        let settled = self.until(|state| !is_under_way(state));
        timeout_at(deadline.into(), settled).await.unwrap_or_else(|_| self.status())
    }

    /// Ends the session, and waits until it has.
    pub async fn detach(&self, release: bool) -> Status {
        // A driver that is gone has ended the session.
        let _ = self.commands_tx.send(Command::Detach { release }).await;
        self.until(|state| state == SessionState::Closed).await
    }

    /// Has the session sealed for good, and waits until it is.
    pub async fn cut(&self, why: String) {
        // A driver that is gone has ended the session.
        let _ = self.commands_tx.send(Command::Cut { why }).await;
        self.until(|state| matches!(state, SessionState::Blocked | SessionState::Closed)).await;
    }

    /// Waits for a state, or for the driver's end, whichever is first.
    async fn until(&self, reached: impl Fn(SessionState) -> bool) -> Status {
        let mut status_rx = self.status_rx.clone();
        let _ = status_rx.wait_for(|status| reached(status.view.state)).await;
        let status = status_rx.borrow();
        status.clone()
    }
}

fn is_under_way(state: SessionState) -> bool {
    match state {
        SessionState::Connecting | SessionState::Disconnecting => true,
        SessionState::Connected
        | SessionState::Reconnecting
        | SessionState::Blocked
        | SessionState::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(state: SessionState) -> Status {
        let view = serde_json::json!({
            "session_id": "a", "state": state, "subject": {}, "profile": "sealed", "addresses": [],
            "dns": [], "environment": {}, "created_at": 0,
            "timings_ms": { "seal": 0.0, "select": 0.0, "tunnel": 0.0, "handshake": 0.0,
                            "open": 0.0, "total": 0.0 },
        });
        let view = serde_json::from_value(view).unwrap();
        Status { view, gateway: None, secret_version: None, refusal: None }
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_attaches_is_answered_in_time_also_while_the_attach_is_being_undone() {
        let (commands_tx, _commands_rx) = mpsc::channel(COMMANDS);
        let (status_tx, status_rx) = watch::channel(status(SessionState::Connecting));
        let lifeline = Lifeline { commands_tx, status_rx };
        let deadline = now() + Duration::from_secs(3);
        status_tx.send_replace(status(SessionState::Disconnecting));
        let answer = lifeline.settled(deadline).await;
        assert!(answer.is_under_way());
        assert_eq!(now(), deadline);
        status_tx.send_replace(status(SessionState::Blocked));
        assert!(!lifeline.settled(deadline).await.is_under_way());
    }
}
