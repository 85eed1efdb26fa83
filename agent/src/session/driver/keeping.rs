//! What the store has of a session, and what it did not take.

use std::time::{Duration, Instant};

use egress_core::api::{Code, SessionState};
use tokio::time::timeout;
use tracing::warn;

use super::Driver;
use crate::session::ends::{End, PATIENCE};
use crate::session::hands::Hands;
use crate::session::sealed::{Former, Left};
use crate::session::view::view;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Between two tries to have the store take what it did not.
const AGAIN: Duration = Duration::from_secs(5);

impl Driver {
    /// Has the store know the row as it is. What the store does not take is tried again.
    pub(super) async fn remember(&mut self) {
        if self.hands.kept_as.take() == Some(self.hands.row.state) {
            return;
        }
        self.keep_at = match self.save().await {
            Ok(()) => None,
            Err(error) => {
                warn!(error = %chain(&error), "the session's row was not saved");
                Some(Instant::now() + AGAIN)
            }
        };
    }

    async fn save(&self) -> Result<(), StoreError> {
        let saved = timeout(PATIENCE, self.hands.shell.store.save(&self.hands.row)).await;
        saved.unwrap_or(Err(StoreError::Unavailable { operation: "save a session" }))
    }

    /// Has the store take what it did not before.
    pub(super) async fn catch_up(&mut self, now: Instant) {
        if self.keep_at.is_none_or(|at| now < at) {
            return;
        }
        self.remember().await;
        // A blocked session has none; one that is brought up again sees to it by itself.
        let over = self.hands.row.state == SessionState::Blocked;
        if let Some(cool_for) = self.hands.unreleased.filter(|_| over && self.keep_at.is_none()) {
            let released = self.hands.shell.store.release(self.hands.row.id(), cool_for).await;
            self.hands.unreleased = released.is_err().then_some(cool_for);
            self.keep_at = self.hands.unreleased.map(|_| now + AGAIN);
        }
    }

    /// Before somebody is told that the session has ended, and may begin another in the same place.
    pub(super) async fn leave_nothing(&mut self) {
        self.hands.shell.deaths.forget(self.hands.row.netns.cookie);
        self.hands.shell.metrics.forget(self.hands.row.id());
        self.leave_container().await;
        let (ends, store) = (&self.hands.shell.ends, &*self.hands.shell.store);
        let end = End { lease: self.hands.unreleased, ..End::of(&self.hands.row) };
        if let Err(error) = ends.write(store, end).await {
            let error = chain(&error);
            warn!(%error, "the session's end was not written; it is tried again");
            let what = if self.hands.unreleased.is_some() { "lease and row" } else { "row" };
            self.unwritten = Some(format!(
                "the session's {what} could not be taken out of the store ({error}): the agent \
                 tries again until they are, and the session has ended all the same"
            ));
        }
    }

    /// What is sealed can be released later.
    async fn leave_container(&self) {
        let Hands { row, shell, gateway, seal, sealed, .. } = &self.hands;
        let gone = row.reason.as_ref().is_some_and(|reason| reason.code == Code::NetnsGone);
        match *sealed {
            Some(_) if gone => shell.sealed.forget(row.netns.cookie).await,
            Some(sealed) => {
                let former = Former::of(row, view(row, gateway.as_ref(), None));
                shell.sealed.add(Left { former, sealed, turn: seal.clone() }).await;
            }
            None => {}
        }
    }
}
