//! Ends of a session: what is undone, in which order, and where that leaves it.

use super::{Machine, reasons};
use crate::api::{Reason, SessionState};
use crate::session::action::Action;
use crate::session::phase::Phase;

impl Machine {
    /// Nothing was changed yet, and nothing is.
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.unwind(SessionState::Closed, [Action::Release]);
    }

    pub(super) fn block(&mut self, reason: Reason) {
        self.reason = Some(reason);
        let undo = [Action::Close, Action::TearDown, Action::Release];
        self.unwind(SessionState::Blocked, undo);
    }

    pub(super) fn cut(&mut self, why: String) {
        match self.phase {
            Phase::Unwinding(_) | Phase::Resting => {}
            Phase::Adopting
            | Phase::Sealing
            | Phase::Claiming
            | Phase::Raising
            | Phase::Handshaking
            | Phase::Configuring
            | Phase::Opening
            | Phase::Open
            | Phase::Resealing
            | Phase::Waiting => self.block(reasons::cut(why)),
        }
    }

    pub(super) fn namespace_gone(&mut self) {
        self.reason = Some(reasons::namespace_gone());
        self.unwind(SessionState::Closed, [Action::TearDown, Action::Release]);
    }

    pub(super) fn detach(&mut self, release: bool) {
        self.reason = Some(reasons::detached());
        let undo = [Action::Close, Action::TearDown, Action::Release];
        let unseal = release.then_some(Action::Unseal);
        self.unwind(SessionState::Closed, undo.into_iter().chain(unseal));
    }

    pub(super) fn shutdown(&mut self) {
        if self.state != SessionState::Connecting {
            return;
        }
        self.reason = Some(reasons::shutting_down());
        let undo = [Action::Close, Action::TearDown, Action::Release];
        self.unwind(SessionState::Closed, undo);
    }

    fn unwind(&mut self, then: SessionState, undo: impl IntoIterator<Item = Action>) {
        if self.state == SessionState::Closed {
            return;
        }
        self.state = SessionState::Disconnecting;
        self.phase = Phase::Unwinding(then);
        self.deadline = None;
        self.wake = None;
        self.leased = false;
        self.actions = undo.into_iter().collect();
    }

    pub(super) fn unwound(&mut self, then: SessionState) {
        if self.actions.is_empty() && self.unanswered == 0 {
            self.state = then;
            self.phase = Phase::Resting;
        }
    }
}
