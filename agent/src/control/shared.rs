//! What every call of the API works with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::Events;

/// What every call works with.
#[derive(Debug)]
pub struct Shared<A> {
    pub agent: Arc<A>,
    pub events: Events,
    /// Work that goes on when its caller hangs up.
    pub carried_through: TaskTracker,
    /// Ends the streams that have no end of their own.
    pub stop: CancellationToken,
}

impl<A> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Self {
            agent: Arc::clone(&self.agent),
            events: self.events.clone(),
            carried_through: self.carried_through.clone(),
            stop: self.stop.clone(),
        }
    }
}
