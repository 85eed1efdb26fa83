//! Acts for one session: asks its machine what comes next, does it, and tells what happened.

mod keeping;

use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::api::{
    Code, Event as ApiEvent, GatewayView, Reason, Refusal, SessionState, SessionView,
};
use egress_core::openvpn::machine::News as OpenvpnNews;
use egress_core::session::{Action, Input, Machine};
use egress_dataplane::protocol::Event;
use egress_linux::netns::Netns;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout_at};
use tracing::{info, warn};

use super::hands::Hands;
use super::lifeline::{Command, Status};
use super::shell::Shell;
use super::standing::Standing;
use super::step::Mishap;
use super::{change_log, counters, openvpn, step, view};
use crate::control::caller::Caller;
use crate::store::SessionRow;
use crate::tunnel::dataplane::{NEWS, News};
use crate::tunnel::wireguard;

/// A gateway that has answered nothing for this long is dead: WireGuard makes it send at least a
/// keepalive (`KEEPALIVE_TIMEOUT` + `REKEY_TIMEOUT`).
const DEAD_MS: u64 = 15_000;

/// One session's hands.
pub struct Driver {
    hands: Hands,
    machine: Machine,
    news_rx: mpsc::Receiver<News>,
    commands_rx: mpsc::Receiver<Command>,
    status_tx: watch::Sender<Status>,
    refusal: Option<Refusal>,
    /// When the attach came, where that was in this life of the agent.
    accepted: Option<Instant>,
    /// When the store is asked again to take what it did not.
    keep_at: Option<Instant>,
    /// What the store did not take of the session's end.
    unwritten: Option<String>,
}

impl Driver {
    /// A driver for a row whose machine has been started. It has memory of its own: a future keeps
    /// room for whatever is moved into it, once for each move.
    pub fn new(
        shell: Arc<Shell>,
        machine: Machine,
        row: SessionRow,
        gateway: Option<GatewayView>,
        commands_rx: mpsc::Receiver<Command>,
        status_tx: watch::Sender<Status>,
    ) -> Box<Self> {
        let (news_tx, news_rx) = mpsc::channel(NEWS);
        Box::new(Self {
            hands: Hands::new(shell, row, gateway, news_tx),
            machine,
            news_rx,
            commands_rx,
            status_tx,
            refusal: None,
            accepted: None,
            keep_at: None,
            unwritten: None,
        })
    }

    /// Sets up in this namespace, which stays alive until the attach has its answer.
    pub fn holding(
        mut self: Box<Self>,
        netns: Arc<Netns>,
        seal: f64,
        accepted: Instant,
    ) -> Box<Self> {
        self.hands.netns = Some(netns);
        self.hands.timings.seal = seal;
        let deadline = Duration::from_millis(self.hands.row.request.deadline_ms);
        // What comes after the tunnel takes a moment too.
        self.hands.answer_by = Some(accepted + deadline * 19 / 20);
        self.accepted = Some(accepted);
        self
    }

    /// Notes who asked for the attach.
    pub fn called_by(mut self: Box<Self>, caller: &Caller) -> Box<Self> {
        self.hands.client = Some(caller.identity.to_string());
        self
    }

    /// Acts until the session is over.
    pub async fn run(mut self: Box<Self>) {
        loop {
            self.act().await;
            if self.machine.is_over() || !self.listen().await {
                return;
            }
        }
    }

    async fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            let result = self.carry_out_in_time(&action).await;
            let input = match result {
                Ok(()) => Input::Done,
                Err(Mishap::Failed(refusal)) => Input::Failed(self.note(&action, refusal)),
                Err(Mishap::Unknown(refusal)) => Input::Unknown(self.note(&action, refusal)),
            };
            if matches!((&action, &input), (Action::BringUp { .. }, Input::Done)) {
                self.follow_tunnel().await;
            }
            self.machine.handle(input, Instant::now());
            self.follow().await;
        }
    }

    /// Why an action is not done, for the log and for whoever waits.
    fn note(&mut self, action: &Action, refusal: Refusal) -> Reason {
        // A container that has ended is no news by then.
        if refusal.code != Code::NetnsGone {
            warn!(action = ?action, code = refusal.code.as_str(), "{}", refusal.detail);
        }
        let reason = refusal.reason();
        self.refusal = Some(refusal);
        reason
    }

    async fn carry_out_in_time(&mut self, action: &Action) -> Result<(), Mishap> {
        let deadline = self.machine.deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Mishap::Failed(step::out_of_time(action)));
        }
        // In memory of its own: else the session would keep the room for it to its end.
        let carried_out = Box::pin(step::carry_out(&mut self.hands, action));
        let Some(deadline) = deadline else { return carried_out.await };
        match timeout_at(deadline.into(), carried_out).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Mishap::Unknown(step::overdue(action))),
        }
    }

    /// Waits for one thing to happen. False when the agent is stopping and the session stands.
    async fn listen(&mut self) -> bool {
        let wake = [self.machine.poll_timeout(), self.keep_at].into_iter().flatten().min();
        let input = tokio::select! {
            command = self.commands_rx.recv() => match command {
                Some(Command::Shutdown) if self.stands() => {
                    openvpn::say_goodbye(&mut self.hands).await;
                    return false;
                }
                Some(command) => self.understand(command).await,
                None => return false,
            },
            Some(news) = self.news_rx.recv() => self.hear(news),
            news = next_of_openvpn(&mut self.hands.tunnel) => self.hear_openvpn(news),
            () = until(wake) => {
                let now = Instant::now();
                self.machine.handle_timeout(now);
                self.catch_up(now).await;
                None
            }
        };
        if let Some(input) = input {
            self.machine.handle(input, Instant::now());
        }
        self.follow().await;
        true
    }

    fn stands(&self) -> bool {
        !matches!(self.hands.row.state, SessionState::Connecting | SessionState::Disconnecting)
    }

    async fn understand(&mut self, command: Command) -> Option<Input> {
        match command {
            Command::Detach { release } => Some(Input::Detach { release }),
            Command::Cut { why } => Some(Input::Cut { why }),
            Command::NamespaceGone => Some(Input::NamespaceGone),
            Command::Shutdown => Some(Input::Shutdown),
            Command::HostChanged => {
                let generation = self.machine.generation();
                let changed = self.wireguard().is_some_and(wireguard::Standing::source_changed);
                changed.then_some(Input::Silent { generation })
            }
            Command::HostRenumbered => Some(Input::HostRenumbered),
            Command::Measure(measured_tx) => {
                // The scrape may have been given up meanwhile.
                let _ = measured_tx.send(counters::read(&self.hands).await);
                None
            }
            Command::Carrier(carrier_tx) => {
                let _ = carrier_tx.send(counters::carrier(&self.hands).await);
                None
            }
            Command::LookForNamespace => {
                let gone = self.hands.namespace().await.is_none();
                gone.then_some(Input::NamespaceGone)
            }
        }
    }

    fn hear(&mut self, news: News) -> Option<Input> {
        let generation = self.machine.generation();
        let standing = self.wireguard();
        let (current, main) =
            standing.map(|standing| (standing.tunnel, standing.main_peer)).unzip();
        match news.event {
            Event::Handshake { tunnel, peer } if Some(tunnel) == current && Some(peer) == main => {
                self.hands.answered(news.at);
                Some(Input::Handshake { generation })
            }
            Event::Silent { tunnel, peer, quiet_ms, .. } if Some(tunnel) == current => {
                let dead = Some(peer) == main && quiet_ms >= DEAD_MS;
                Some(if dead && self.hands.is_outdated() {
                    self.hands.renew = true;
                    Input::Ended { generation, reason: outdated() }
                } else if dead {
                    Input::Dead { generation }
                } else {
                    Input::Silent { generation }
                })
            }
            Event::Moved { tunnel, peer, endpoint } if Some(tunnel) == current => {
                info!(peer, %endpoint, "the gateway moved");
                let standing = self.wireguard()?;
                *standing.endpoints.get_mut(usize::from(peer))? = endpoint;
                standing.moved.insert(peer);
                None
            }
            Event::DeviceGone { tunnel } if Some(tunnel) == current => Some(Input::NamespaceGone),
            // News of a former tunnel, or of a peer that is not waited for.
            Event::Handshake { .. }
            | Event::Silent { .. }
            | Event::Moved { .. }
            | Event::DeviceGone { .. } => None,
        }
    }

    /// What an openvpn tells, in the machine's words. `None`: its supervisor is gone.
    fn hear_openvpn(&mut self, news: Option<OpenvpnNews>) -> Option<Input> {
        let generation = self.machine.generation();
        Some(match news {
            Some(OpenvpnNews::Connected { endpoint, pushed }) => {
                self.hands.answered(Instant::now());
                let standing = self.hands.tunnel.as_mut().and_then(Standing::openvpn)?;
                standing.given = Some((endpoint, pushed));
                Input::Connected { generation }
            }
            Some(OpenvpnNews::Trouble(reason) | OpenvpnNews::Down(reason)) => {
                Input::Down { generation, reason }
            }
            Some(OpenvpnNews::Refused(reason)) => Input::Refused { generation, reason },
            Some(OpenvpnNews::DeviceGone) => Input::NamespaceGone,
            None => {
                let detail = "openvpn is no longer looked after; the agent's log has more";
                let reason = Reason { code: Code::OpenvpnFailed, detail: detail.to_owned() };
                Input::Ended { generation, reason }
            }
        })
    }

    fn wireguard(&mut self) -> Option<&mut wireguard::Standing> {
        self.hands.tunnel.as_mut().and_then(Standing::wireguard)
    }

    /// Another tunnel may be on another credential, without a change of state. The attach's own is
    /// told with the attach's answer.
    async fn follow_tunnel(&mut self) {
        if self.hands.row.state != SessionState::Connecting {
            self.remember().await;
            self.show();
        }
    }

    /// Tells a change of state to the store, the log, the metrics and whoever waits.
    async fn follow(&mut self) {
        let (state, reason) = (self.machine.state(), self.machine.reason());
        if self.hands.row.state == state && self.hands.row.reason.as_ref() == reason {
            return;
        }
        let was = self.hands.row.state;
        if state == SessionState::Disconnecting {
            self.hands.note_end(was, reason);
        }
        self.hands.row.state = state;
        self.hands.row.reason = reason.cloned();
        self.hands.row.generation = self.machine.generation();
        self.settle_accounts(was);
        if state == SessionState::Closed {
            self.leave_nothing().await;
        } else {
            self.remember().await;
        }
        self.tell();
    }

    /// What ends with the attach's answer.
    fn settle_accounts(&mut self, was: SessionState) {
        let attached =
            was == SessionState::Connecting && self.hands.row.state == SessionState::Connected;
        if let Some(accepted) = self.accepted.filter(|_| attached) {
            self.hands.timings.total = accepted.elapsed().as_secs_f64() * 1e3;
            self.hands.shell.metrics.attached(&self.hands.timings);
        }
        if self.hands.row.state != SessionState::Connecting && self.machine.deadline().is_none() {
            let unwinding = self.hands.row.state == SessionState::Disconnecting;
            self.hands.answer_by = self.hands.answer_by.filter(|_| unwinding);
            self.hands.netns = self.hands.netns.take().filter(|_| unwinding);
        }
        if self.hands.row.state == SessionState::Reconnecting && was == SessionState::Connected {
            self.hands
                .shell
                .metrics
                .reconnects
                .with_label_values(&[self.hands.row.id().as_str()])
                .inc();
        }
    }

    fn tell(&self) {
        change_log::state_changed(&self.hands);
        self.hands.shell.health.learn(&self.hands.row, &self.hands.shell.events);
        self.hands.shell.rejected.learn(&self.hands.row, &self.hands.shell.store.catalog());
        self.hands.shell.events.publish(ApiEvent::Session {
            session_id: self.hands.row.id().clone(),
            state: self.hands.row.state,
            user: self.hands.row.request.subject.user.clone(),
            gateway: self.hands.gateway_name(),
            credential: self.hands.credential_name(),
            reason: self.hands.row.reason.clone(),
        });
        self.show();
    }

    /// Shows the row to whoever looks.
    fn show(&self) {
        let refusal = self.hands.row.reason.as_ref().map(|reason| match &self.refusal {
            Some(refusal) if refusal.code == reason.code => refusal.clone(),
            _ => Refusal::new(reason.code, reason.detail.clone()),
        });
        let timings = self.accepted.map(|_| self.hands.timings);
        let view = view::view(&self.hands.row, self.hands.gateway.as_ref(), timings);
        let view = SessionView { unwritten: self.unwritten.clone(), ..view };
        let SessionRow { gateway, secret_version, .. } = self.hands.row;
        self.status_tx.send_replace(Status { view, gateway, secret_version, refusal });
    }
}

/// The next news of the session's openvpn, if it has one.
async fn next_of_openvpn(tunnel: &mut Option<Standing>) -> Option<OpenvpnNews> {
    match tunnel {
        Some(Standing::Openvpn(standing)) => standing.news_rx.recv().await,
        Some(Standing::Wireguard(_)) | None => std::future::pending().await,
    }
}

/// Why a tunnel that went silent is made anew.
fn outdated() -> Reason {
    let detail = "the gateway does not answer, and its config or the credential was changed \
                  meanwhile: the tunnel is made anew; the container is sealed until it stands";
    Reason { code: Code::TunnelDown, detail: detail.to_owned() }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
