//! What passes between a session's driver and everybody else.

use egress_core::api::{Refusal, SessionState, SessionView};
use tokio::sync::{mpsc, oneshot, watch};

use super::counters::Measured;

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
    /// The container's namespace is gone.
    NamespaceGone,
    /// Deaths were lost: look whether the namespace is still there.
    LookForNamespace,
    /// The host's links, addresses or routes are others: the way to the gateway may be too.
    HostChanged,
    /// Read the counters.
    Measure(oneshot::Sender<Option<Measured>>),
    /// The agent stops.
    Shutdown,
}

/// How a session stands, for whoever waits on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// As the API shows it.
    pub view: SessionView,
    /// Why the attach was refused, with the input's faults where it has any.
    pub refusal: Option<Refusal>,
}

/// A handle on a driver.
#[derive(Debug, Clone)]
pub struct Lifeline {
    /// Tells it something.
    pub commands_tx: mpsc::Sender<Command>,
    /// Hears how it stands. Closed when the session is over.
    pub status_rx: watch::Receiver<Status>,
}

impl Lifeline {
    /// The newest view.
    pub fn view(&self) -> SessionView {
        self.status_rx.borrow().view.clone()
    }

    /// Waits until the attach has its answer.
    pub async fn settled(&self) -> Status {
        self.until(|state| !matches!(state, SessionState::Connecting | SessionState::Disconnecting))
            .await
    }

    /// Ends the session, and waits until it has.
    pub async fn detach(&self, release: bool) -> Status {
        // A driver that is gone has ended the session.
        let _ = self.commands_tx.send(Command::Detach { release }).await;
        self.until(|state| state == SessionState::Closed).await
    }

    /// Waits for a state, or for the driver's end, whichever is first.
    async fn until(&self, reached: impl Fn(SessionState) -> bool) -> Status {
        let mut status_rx = self.status_rx.clone();
        let _ = status_rx.wait_for(|status| reached(status.view.state)).await;
        let status = status_rx.borrow();
        status.clone()
    }
}
