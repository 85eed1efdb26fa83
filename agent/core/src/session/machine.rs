//! What happens next to a session.
//!
//! [`Machine`] does no IO. Its driver hands in what happened with [`Machine::handle`] and wakes it
//! with [`Machine::handle_timeout`]; after either it carries out [`Machine::poll_action`] until
//! that is empty, in order, and answers each action with one [`Input::Done`], [`Input::Failed`] or
//! [`Input::Unknown`].
//! The container can reach the network in [`SessionState::Connected`] only.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::action::Action;
use super::input::Input;
use super::phase::Phase;
use super::reasons;
use crate::api::{Code, Reason, SessionState};
use crate::backoff::Backoff;

/// The first wait between two tries to bring a tunnel up again.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// One session's decisions.
#[derive(Debug)]
pub struct Machine {
    state: SessionState,
    phase: Phase,
    reason: Option<Reason>,
    /// Why the tunnel is not connected yet: more telling than that time is up.
    trouble: Option<Reason>,
    generation: u64,
    /// The tunnel is wanted; a session without a gateway stays sealed.
    with_gateway: bool,
    /// The lease is held already, from before a restart.
    leased: bool,
    deadline: Option<Instant>,
    wake: Option<Instant>,
    backoff: Backoff,
    actions: VecDeque<Action>,
    unanswered: usize,
}

impl Machine {
    fn new(state: SessionState, phase: Phase, seed: u64) -> Self {
        Self {
            state,
            phase,
            reason: None,
            trouble: None,
            generation: 0,
            with_gateway: true,
            leased: false,
            deadline: None,
            wake: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST, seed),
            actions: VecDeque::new(),
            unanswered: 0,
        }
    }

    /// A new attach, which must be connected by `deadline`. `seed` makes its waits its own.
    pub fn attach(with_gateway: bool, deadline: Instant, seed: u64) -> Self {
        let mut machine = Self::new(SessionState::Connecting, Phase::Sealing, seed);
        machine.with_gateway = with_gateway;
        machine.deadline = Some(deadline);
        machine.push(Action::Close);
        machine
    }

    /// A session from before a restart that is connected and whose tunnel the data plane still
    /// carries: nothing of it is touched, unless that turns out wrong.
    pub fn adopted(generation: u64, seed: u64) -> Self {
        let mut machine = Self::new(SessionState::Connected, Phase::Adopting, seed);
        machine.generation = generation;
        machine.leased = true;
        machine.push(Action::Adopt);
        machine
    }

    /// A session from before a restart whose tunnel is gone: sealed until it stands again.
    pub fn restored(generation: u64, seed: u64) -> Self {
        let mut machine = Self::new(SessionState::Reconnecting, Phase::Sealing, seed);
        machine.generation = generation;
        machine.leased = true;
        machine.reason = Some(reasons::restarted());
        machine.push(Action::Close);
        machine
    }

    /// A blocked session from before a restart: sealed once more, and left so.
    pub fn blocked(reason: Option<Reason>, seed: u64) -> Self {
        let mut machine = Self::new(SessionState::Blocked, Phase::Resting, seed);
        machine.reason = reason;
        machine.push(Action::Close);
        machine
    }

    /// Where the session stands.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// Why it stands there, where there is more to say.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// What the current tunnel's news is marked with.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the attach call must have its answer; `None` once it has.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the session has ended and nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.state == SessionState::Closed && self.actions.is_empty() && self.unanswered == 0
    }

    /// The next thing to do; each is answered with [`Input::Done`], [`Input::Failed`] or
    /// [`Input::Unknown`].
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front()?;
        self.unanswered += 1;
        Some(action)
    }

    /// When to call [`Machine::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.wake, self.deadline].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let trouble = self.trouble.take().filter(|_| self.phase == Phase::Handshaking);
            return self.block(trouble.unwrap_or_else(|| reasons::overdue(&self.phase)));
        }
        if self.wake.is_some_and(|wake| wake <= now) {
            self.wake = None;
            self.raise();
        }
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Done => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.step_done();
            }
            Input::Failed(reason) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.step_failed(reason, now);
            }
            Input::Unknown(reason) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.step_unknown(reason, now);
            }
            Input::Handshake { generation } if generation == self.generation => self.answered(),
            Input::Silent { generation } if generation == self.generation => self.look_again(),
            Input::Dead { generation } if generation == self.generation => self.died(),
            Input::Connected { generation } if generation == self.generation => self.given(),
            Input::Down { generation, reason } if generation == self.generation => {
                self.lost(reason);
            }
            Input::Refused { generation, reason } if generation == self.generation => {
                self.refused(reason);
            }
            Input::Ended { generation, reason } if generation == self.generation => {
                self.ended(reason, now);
            }
            // News of a former tunnel.
            Input::Handshake { .. }
            | Input::Silent { .. }
            | Input::Dead { .. }
            | Input::Connected { .. }
            | Input::Down { .. }
            | Input::Refused { .. }
            | Input::Ended { .. } => {}
            Input::HostRenumbered => self.open_again(),
            Input::NamespaceGone => self.namespace_gone(),
            Input::Cut { why } => self.cut(why),
            Input::Detach { release } => self.detach(release),
            Input::Shutdown => self.shutdown(),
        }
    }

    fn step_done(&mut self) {
        match self.phase.clone() {
            Phase::Sealing if !self.with_gateway => self.rest_sealed(),
            Phase::Sealing if self.leased => self.raise(),
            Phase::Sealing => self.enter(Phase::Claiming, Action::Claim),
            Phase::Claiming => {
                self.leased = true;
                self.raise();
            }
            Phase::Raising | Phase::Resealing => self.phase = Phase::Handshaking,
            Phase::Adopting => self.phase = Phase::Open,
            // The seal comes before it, where that was open.
            Phase::Configuring if !self.actions.is_empty() => {}
            Phase::Configuring => self.enter(Phase::Opening, Action::Open),
            Phase::Opening => self.connected(),
            Phase::Unwinding(then) => self.unwound(then),
            // What was done here is a repeated look-up or seal.
            Phase::Handshaking | Phase::Open | Phase::Waiting | Phase::Resting => {}
        }
    }

    fn step_failed(&mut self, reason: Reason, now: Instant) {
        match self.phase.clone() {
            Phase::Unwinding(then) => self.unwound(then),
            _ if reason.code == Code::NetnsGone => self.namespace_gone(),
            Phase::Sealing if self.deadline.is_some() => self.refuse(reason),
            Phase::Raising | Phase::Configuring | Phase::Opening | Phase::Claiming
                if self.deadline.is_some() =>
            {
                self.block(reason);
            }
            Phase::Adopting
            | Phase::Sealing
            | Phase::Claiming
            | Phase::Raising
            | Phase::Configuring
            | Phase::Opening
            | Phase::Resealing => self.try_again_later(reason, now),
            // A look-up that failed is tried again with the next silence.
            Phase::Handshaking | Phase::Open | Phase::Waiting | Phase::Resting => {}
        }
    }

    /// The container may be sealed by now: its session stays on the list until somebody ends it.
    fn step_unknown(&mut self, reason: Reason, now: Instant) {
        match self.phase {
            Phase::Sealing if self.deadline.is_some() => self.block(reason),
            Phase::Sealing
            | Phase::Adopting
            | Phase::Claiming
            | Phase::Raising
            | Phase::Handshaking
            | Phase::Configuring
            | Phase::Opening
            | Phase::Open
            | Phase::Resealing
            | Phase::Waiting
            | Phase::Unwinding(_)
            | Phase::Resting => self.step_failed(reason, now),
        }
    }

    fn answered(&mut self) {
        match self.phase {
            Phase::Handshaking => self.enter(Phase::Opening, Action::Open),
            Phase::Adopting
            | Phase::Sealing
            | Phase::Claiming
            | Phase::Raising
            | Phase::Configuring
            | Phase::Opening
            | Phase::Open
            | Phase::Resealing
            | Phase::Waiting
            | Phase::Unwinding(_)
            | Phase::Resting => {}
        }
    }

    fn given(&mut self) {
        if self.phase == Phase::Open {
            // Its addresses may be others: nothing leaves before the device has them.
            self.state = SessionState::Reconnecting;
            self.reason = Some(reasons::connected_anew());
            self.push(Action::Close);
        }
        if self.phase == Phase::Open || self.phase == Phase::Handshaking {
            self.enter(Phase::Configuring, Action::Configure);
        }
    }

    fn lost(&mut self, reason: Reason) {
        let connecting = self.phase == Phase::Handshaking;
        let attaching = connecting && self.deadline.is_some();
        if self.phase == Phase::Open {
            self.state = SessionState::Reconnecting;
            self.reason = Some(reason);
            self.enter(Phase::Resealing, Action::Close);
        } else if attaching && leads_nowhere(reason.code) {
            // Nor will it within a deadline.
            self.block(reason);
        } else if attaching {
            self.trouble = Some(reason);
        } else if connecting {
            self.reason = Some(reason);
        }
    }

    /// Not to be tried again before somebody has changed something.
    fn refused(&mut self, reason: Reason) {
        if self.has_tunnel() {
            self.block(reason);
        }
    }

    fn ended(&mut self, reason: Reason, now: Instant) {
        if self.has_tunnel() && self.deadline.is_some() {
            self.block(reason);
        } else if self.has_tunnel() {
            self.try_again_later(reason, now);
        }
    }

    /// Whether there is a tunnel to have news of.
    fn has_tunnel(&self) -> bool {
        match self.phase {
            Phase::Handshaking
            | Phase::Configuring
            | Phase::Opening
            | Phase::Open
            | Phase::Resealing => true,
            Phase::Adopting
            | Phase::Sealing
            | Phase::Claiming
            | Phase::Raising
            | Phase::Waiting
            | Phase::Unwinding(_)
            | Phase::Resting => false,
        }
    }

    /// A seal that is not open yet is opened for the addresses of then.
    fn open_again(&mut self) {
        if self.phase == Phase::Open {
            self.enter(Phase::Opening, Action::Open);
        }
    }

    fn died(&mut self) {
        if self.phase != Phase::Open {
            return self.look_again();
        }
        self.state = SessionState::Reconnecting;
        self.reason = Some(reasons::dead());
        self.enter(Phase::Resealing, Action::Close);
        self.push(Action::Resolve);
    }

    /// The gateway may be elsewhere.
    fn look_again(&mut self) {
        match self.phase {
            Phase::Open | Phase::Handshaking if self.actions.is_empty() => {
                self.push(Action::Resolve);
            }
            Phase::Open
            | Phase::Handshaking
            | Phase::Adopting
            | Phase::Sealing
            | Phase::Claiming
            | Phase::Raising
            | Phase::Configuring
            | Phase::Opening
            | Phase::Resealing
            | Phase::Waiting
            | Phase::Unwinding(_)
            | Phase::Resting => {}
        }
    }

    fn raise(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        self.enter(Phase::Raising, Action::BringUp { generation });
    }

    fn connected(&mut self) {
        self.state = SessionState::Connected;
        self.phase = Phase::Open;
        self.reason = None;
        self.trouble = None;
        self.deadline = None;
        self.backoff.reset();
    }

    fn rest_sealed(&mut self) {
        self.state = SessionState::Blocked;
        self.phase = Phase::Resting;
        self.deadline = None;
        self.reason = Some(reasons::no_gateway());
    }

    /// The tunnel could not be brought up, and nobody waits: undo it, wait, start over.
    fn try_again_later(&mut self, reason: Reason, now: Instant) {
        self.state = SessionState::Reconnecting;
        self.reason = Some(reason);
        self.phase = Phase::Waiting;
        self.actions.clear();
        self.push(Action::Close);
        self.push(Action::TearDown);
        self.wake = Some(now + self.backoff.next_wait());
    }

    fn enter(&mut self, phase: Phase, action: Action) {
        self.phase = phase;
        self.push(action);
    }

    fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// Tells whether an endpoint's name has no address, or none that a gateway may have.
fn leads_nowhere(code: Code) -> bool {
    matches!(code, Code::EndpointUnresolved | Code::EndpointRefused)
}

mod end;
#[cfg(test)]
mod tests;
