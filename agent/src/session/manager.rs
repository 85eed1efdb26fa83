//! Owns all sessions: who has which id, which namespace, which driver.

mod detach;
mod row;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use egress_core::api::{AttachRequest, Code, Refusal, SessionState, SessionView};
use egress_core::id::{GatewayId, SessionId};
use egress_core::session::Machine;
use egress_linux::netns::Netns;
use tokio::sync::{mpsc, watch};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span, warn};

use super::change_log;
use super::driver::Driver;
use super::ends::End;
use super::lifeline::{COMMANDS, Command, Lifeline, Status, tell};
use super::prepare::{self, Prepared};
use super::shell::Shell;
use super::view::view;
use crate::control::agent::Attached;
use crate::control::caller::Caller;
use crate::store::SessionRow;
use crate::telemetry::chain;

/// The most that undoing an attach may need of its deadline, and the most that is waited for beyond
/// it: who tries again finds everything given back.
const UNDOING: Duration = Duration::from_millis(1_500);

/// All sessions. Clones share them.
#[derive(Clone)]
pub struct Manager(Arc<Shared>);

struct Shared {
    shell: Arc<Shell>,
    sessions: Mutex<BTreeMap<SessionId, Entry>>,
    drivers: TaskTracker,
    stopping: CancellationToken,
}

struct Entry {
    request: AttachRequest,
    lifeline: Lifeline,
    /// The namespace it holds; `None` until it is known.
    cookie: Option<u64>,
}

/// What an attach finds under its id.
enum Place {
    New(Seat),
    Running(Lifeline),
    /// A blocked session, which makes room.
    Over(Lifeline),
}

/// The driver's ends of a lifeline.
struct Seat {
    lifeline: Lifeline,
    commands_rx: mpsc::Receiver<Command>,
    status_tx: watch::Sender<Status>,
}

impl Manager {
    /// A manager without sessions.
    pub fn new(shell: Shell) -> Self {
        Self(Arc::new(Shared {
            shell: Arc::new(shell),
            sessions: Mutex::default(),
            drivers: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// What its drivers work with.
    pub fn shell(&self) -> &Arc<Shell> {
        &self.0.shell
    }

    /// Gives a container its egress, or finds the running session of that id and request. Carried
    /// through when the future is dropped.
    pub async fn attach(
        &self,
        request: AttachRequest,
        caller: Caller,
    ) -> Result<Attached, Refusal> {
        let accepted = Instant::now();
        let asked = AttachRequest { challenge_response: None, ..request.clone() };
        let attached = self.attach_by(accepted, request, caller.clone()).await;
        if let Err(refusal) = &attached {
            self.0.shell.metrics.refused(refusal.code);
            change_log::refused(&asked, &caller, refusal);
        }
        attached
    }

    async fn attach_by(
        &self,
        accepted: Instant,
        request: AttachRequest,
        caller: Caller,
    ) -> Result<Attached, Refusal> {
        let id = request.session_id.clone();
        let deadline = accepted + Duration::from_millis(request.deadline_ms) + UNDOING;
        loop {
            match self.enter(&request)? {
                Place::New(seat) => {
                    let lifeline = seat.lifeline.clone();
                    self.launch(accepted, request, caller, seat);
                    let status = lifeline.settled(deadline).await;
                    self.forget_over(&id, &lifeline);
                    return self.answer(status, true);
                }
                Place::Running(lifeline) => {
                    return self.answer(lifeline.settled(deadline).await, false);
                }
                Place::Over(lifeline) => {
                    let ended = timeout_at(deadline.into(), self.end(&id, &lifeline, false)).await;
                    ended.map_err(|_| not_over(&id))?;
                }
            }
        }
    }

    fn answer(&self, status: Status, created: bool) -> Result<Attached, Refusal> {
        let refusal =
            status.refusal.clone().or_else(|| status.is_under_way().then(not_over_in_time));
        let without_gateway =
            refusal.as_ref().is_some_and(|refusal| refusal.code == Code::NoGateway);
        let session = self.shown(status);
        match session.state {
            SessionState::Connected | SessionState::Reconnecting => {
                Ok(Attached { session, created })
            }
            SessionState::Blocked if without_gateway => Ok(Attached { session, created }),
            SessionState::Connecting
            | SessionState::Disconnecting
            | SessionState::Blocked
            | SessionState::Closed => Err(refusal.unwrap_or_else(|| {
                Refusal::new(Code::Internal, "the attach broke off; the agent's log has more")
            })),
        }
    }

    /// Takes the id, in one step, so that of two attaches at once one is first.
    fn enter(&self, request: &AttachRequest) -> Result<Place, Refusal> {
        if self.0.stopping.is_cancelled() {
            let detail = "the agent is going down; attach again when it is back";
            return Err(Refusal::new(Code::ShuttingDown, detail));
        }
        let mut sessions = self.sessions();
        if let Some(entry) = sessions.get(&request.session_id) {
            return place(entry, request);
        }
        if sessions.len() >= self.0.shell.sessions.limit {
            let detail = format!(
                "the agent carries {} sessions, which is sessions.limit of agent.toml",
                sessions.len()
            );
            return Err(Refusal::new(Code::TooManySessions, detail));
        }
        let seat = Seat::new(row::blank_view(request), request.gateway, None);
        let lifeline = seat.lifeline.clone();
        let kept = AttachRequest { challenge_response: None, ..request.clone() };
        let entry = Entry { request: kept, lifeline, cookie: None };
        sessions.insert(request.session_id.clone(), entry);
        Ok(Place::New(seat))
    }

    fn launch(&self, accepted: Instant, request: AttachRequest, caller: Caller, seat: Seat) {
        let manager = self.clone();
        let (id, lifeline) = (request.session_id.clone(), seat.lifeline.clone());
        let task = async move { manager.start(accepted, request, caller, seat).await };
        self.spawn(id, lifeline, task);
    }

    /// Runs the task of a session that is on the list to its end, and takes it off the list then.
    fn spawn(
        &self,
        id: SessionId,
        lifeline: Lifeline,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let manager = self.clone();
        let span = info_span!("session", session = %id);
        let driver = tokio::spawn(task.instrument(span));
        self.0.drivers.spawn(async move {
            match driver.await {
                // One that stands while the agent stops stays on the list.
                Ok(()) => manager.forget_over(&id, &lifeline),
                Err(panic) => {
                    error!(session = %id, %panic, "a session's driver broke off");
                    manager.give_up(&id).await;
                    manager.forget(&id, &lifeline);
                }
            }
        });
    }

    /// Takes a session that is over off the list, before somebody is told so.
    fn forget_over(&self, id: &SessionId, lifeline: &Lifeline) {
        if lifeline.status_rx.borrow().view.state == SessionState::Closed {
            self.forget(id, lifeline);
        }
    }

    /// Takes it off the list, but not another one that has its id by now.
    fn forget(&self, id: &SessionId, lifeline: &Lifeline) {
        let mut sessions = self.sessions();
        let same = |entry: &Entry| entry.lifeline.commands_tx.same_channel(&lifeline.commands_tx);
        if sessions.get(id).is_some_and(same) {
            sessions.remove(id);
        }
    }

    async fn start(&self, accepted: Instant, request: AttachRequest, caller: Caller, seat: Seat) {
        let deadline = accepted + time_to_connect(request.deadline_ms);
        let status_tx = seat.status_tx.clone();
        // In memory of its own: else the session would keep the room for it to its end.
        let prepared = Box::pin(self.prepared(accepted, deadline, request, &caller, seat)).await;
        match prepared {
            Ok(driver) => driver.run().await,
            Err(refusal) => status_tx.send_modify(|status| {
                status.view.state = SessionState::Closed;
                status.view.reason = Some(refusal.reason());
                status.refusal = Some(refusal);
            }),
        }
    }

    /// A driver for a request that may be served. Until here nothing was changed; with it the
    /// session's row is written.
    async fn prepared(
        &self,
        accepted: Instant,
        deadline: Instant,
        request: AttachRequest,
        caller: &Caller,
        seat: Seat,
    ) -> Result<Box<Driver>, Refusal> {
        let shell = &self.0.shell;
        let left = deadline.saturating_duration_since(Instant::now());
        let hold = |cookie| self.hold(&request.session_id, cookie);
        let prepared = timeout(left, prepare::prepare(shell, &request, caller, hold)).await;
        let Prepared { netns, gateway } = prepared.map_err(|_| checked_too_long())??;
        let row = row::new(shell, request, netns.cookie());
        row::keep(shell, &row, deadline).await?;
        let watched = shell.deaths.watch(&netns, &row.found_by, seat.lifeline.commands_tx.clone());
        if let Err(error) = watched {
            shell.ends.add(End::of(&row));
            return Err(Refusal::new(Code::Internal, chain(&error)));
        }
        let machine = Machine::attach(row.gateway.is_some(), deadline, netns.cookie());
        let took = accepted.elapsed().as_secs_f64() * 1e3;
        let shell = Arc::clone(shell);
        let driver = Driver::new(shell, machine, row, gateway, seat.commands_rx, seat.status_tx);
        Ok(driver.holding(netns, took, accepted).called_by(caller))
    }

    /// Notes which namespace a session has; no other may have it.
    fn hold(&self, id: &SessionId, cookie: u64) -> Result<(), Refusal> {
        let mut sessions = self.sessions();
        let other =
            sessions.iter().find(|(other, entry)| *other != id && entry.cookie == Some(cookie));
        if let Some((other, _)) = other {
            let detail = format!("the namespace belongs to session {other}: detach that first");
            return Err(Refusal::new(Code::NetnsInUse, detail));
        }
        if let Some(entry) = sessions.get_mut(id) {
            entry.cookie = Some(cookie);
        }
        Ok(())
    }

    /// Takes up a session from before a restart, in its namespace.
    pub(super) fn resume(&self, row: SessionRow, netns: &Netns, machine: Machine) {
        let shell = Arc::clone(&self.0.shell);
        let gateway = row.gateway.and_then(|id| prepare::gateway_view(&shell.store.catalog(), id));
        let shown = view(&row, gateway.as_ref(), None);
        let Seat { lifeline, commands_rx, status_tx } =
            Seat::new(shown, row.gateway, row.secret_version);
        if let Err(error) = shell.deaths.watch(netns, &row.found_by, lifeline.commands_tx.clone()) {
            error!(session = %row.id(), error = %chain(&error), "its end will not be heard");
        }
        let (id, request, cookie) = (row.id().clone(), row.request.clone(), row.netns.cookie);
        let entry = Entry { request, lifeline: lifeline.clone(), cookie: Some(cookie) };
        self.sessions().insert(id.clone(), entry);
        let driver = Driver::new(shell, machine, row, gateway, commands_rx, status_tx);
        self.spawn(id, lifeline, driver.run());
    }

    /// One session.
    pub fn session(&self, id: &SessionId) -> Result<SessionView, Refusal> {
        self.lifeline(id).map(|lifeline| self.shown(lifeline.status()))
    }

    fn shown(&self, status: Status) -> SessionView {
        status.shown(&self.0.shell.store.catalog())
    }

    /// Every session, by id.
    pub fn views(&self) -> Vec<SessionView> {
        let catalog = self.0.shell.store.catalog();
        let lifelines = self.lifelines().into_iter();
        lifelines.map(|(_, lifeline)| lifeline.status().shown(&catalog)).collect()
    }

    /// Every session's lifeline.
    pub(super) fn lifelines(&self) -> Vec<(SessionId, Lifeline)> {
        let sessions = self.sessions();
        sessions.iter().map(|(id, entry)| (id.clone(), entry.lifeline.clone())).collect()
    }

    /// Ends the attaches that are under way; sessions that stand are left to the data plane. Waits
    /// at most `within`; true when nothing was left half-way.
    pub async fn stop(&self, within: Duration) -> bool {
        self.0.stopping.cancel();
        let lifelines = self.lifelines();
        info!(sessions = lifelines.len(), "the agent stops");
        for (_, lifeline) in lifelines {
            tell(lifeline.commands_tx, Command::Shutdown);
        }
        self.0.drivers.close();
        timeout(within, self.0.drivers.wait()).await.is_ok()
    }

    fn lifeline(&self, id: &SessionId) -> Result<Lifeline, Refusal> {
        let lifeline = self.sessions().get(id).map(|entry| entry.lifeline.clone());
        let detail = || format!("there is no session {id}: it has ended, or never was");
        lifeline.ok_or_else(|| Refusal::new(Code::NoSuchSession, detail()))
    }

    /// Ends rows that no driver has: what an attach that was given up left, say.
    pub fn end_without_drivers(&self, rows: Vec<(SessionId, u64)>) {
        // Held, so that no attach takes one of these ids before its end is known.
        let sessions = self.sessions();
        for (session_id, created_at) in rows {
            if !sessions.contains_key(&session_id) {
                warn!(session = %session_id, "a row without a session is taken out of the store");
                self.0.shell.ends.add(End { session_id, created_at, lease: Some(Duration::ZERO) });
            }
        }
    }

    /// What a driver that broke off may have left: its tunnel and its lease. The seal stays.
    async fn give_up(&self, id: &SessionId) {
        let shell = &self.0.shell;
        let rows = shell.store.sessions().await.unwrap_or_default();
        let Some(row) = rows.into_iter().find(|row| row.id() == id) else { return };
        if let Some(tunnel) = row.tunnel {
            let _ = shell.dataplane.remove(tunnel).await;
        }
        // One that is not written is tried again.
        let _ = shell.ends.write(&*shell.store, End::of(&row)).await;
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, Entry>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn new(view: SessionView, gateway: Option<GatewayId>, secret_version: Option<u64>) -> Self {
        let (commands_tx, commands_rx) = mpsc::channel(COMMANDS);
        let status = Status { view, gateway, secret_version, refusal: None };
        let (status_tx, status_rx) = watch::channel(status);
        Self { lifeline: Lifeline { commands_tx, status_rx }, commands_rx, status_tx }
    }
}

fn place(entry: &Entry, request: &AttachRequest) -> Result<Place, Refusal> {
    let lifeline = entry.lifeline.clone();
    let view = lifeline.status().view;
    let same = entry.request.asks_the_same_as(request);
    let without_gateway = request.gateway.is_none();
    match view.state {
        SessionState::Blocked if same && without_gateway => Ok(Place::Running(lifeline)),
        SessionState::Blocked | SessionState::Closed => Ok(Place::Over(lifeline)),
        SessionState::Connecting
        | SessionState::Connected
        | SessionState::Reconnecting
        | SessionState::Disconnecting
            if same =>
        {
            Ok(Place::Running(lifeline))
        }
        SessionState::Connecting
        | SessionState::Connected
        | SessionState::Reconnecting
        | SessionState::Disconnecting => {
            let detail = format!(
                "session {} runs with another request: detach it first, or choose another id",
                request.session_id
            );
            Err(Refusal::new(Code::SessionExists, detail))
        }
    }
}

/// What an attach has of its deadline; with the rest, what could not be finished is undone, so
/// that the refusal comes in time, too.
fn time_to_connect(deadline_ms: u64) -> Duration {
    let whole = Duration::from_millis(deadline_ms);
    whole.saturating_sub(UNDOING.min(whole / 6))
}

fn not_over(id: &SessionId) -> Refusal {
    let detail = format!("the deadline passed while the blocked session {id} was being ended");
    Refusal::new(Code::DeadlineExceeded, detail)
}

fn not_over_in_time() -> Refusal {
    let detail = "the deadline passed, and the attach is still being undone: until then its session \
                  is listed";
    Refusal::new(Code::DeadlineExceeded, detail)
}

fn checked_too_long() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "the deadline passed while the request was checked")
}
