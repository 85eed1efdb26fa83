//! One caller's share of what all callers share: calls, event streams, and bytes of bodies.
//!
//! A caller who takes all of its share waits for itself; the others do not notice.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reclaim::Reclaimer;

/// Calls of one caller that are worked on, or whose reply is being sent, at one time. One more
/// waits. Attaches, detaches and event streams do not count: they wait for other things.
const CALLS: usize = 16;
/// Event streams of one caller at one time.
pub(super) const STREAMS: usize = 64;
/// Bytes of one caller's bodies in memory at one time. A body that does not fit waits, unread.
const BODY_BYTES: usize = 4 << 20;
/// Bytes of the bodies of all callers who are not admin.
const ALL_BODY_BYTES: usize = 16 << 20;

/// What all callers share.
#[derive(Debug)]
pub(super) struct SharedBudget {
    body_bytes: Arc<Semaphore>,
    /// One for all who are not admin: it may take 64 MiB.
    large_bodies: Arc<Semaphore>,
    admin_large_bodies: Arc<Semaphore>,
    reclaimer: Reclaimer,
}

/// What one caller holds of it, over all of its connections.
#[derive(Debug)]
pub(super) struct Budget {
    admin: bool,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    shared: Arc<SharedBudget>,
}

/// A part of a budget; the caller has it again when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _own: OwnedSemaphorePermit,
    _shared: Option<OwnedSemaphorePermit>,
    bytes: usize,
    reclaimer: Reclaimer,
}

impl SharedBudget {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            body_bytes: Arc::new(Semaphore::new(ALL_BODY_BYTES)),
            large_bodies: Arc::new(Semaphore::new(1)),
            admin_large_bodies: Arc::new(Semaphore::new(1)),
            reclaimer: Reclaimer::default(),
        })
    }

    /// Memory that connections have held.
    pub(super) fn reclaimer(&self) -> &Reclaimer {
        &self.reclaimer
    }
}

impl Budget {
    /// A caller's, who has nothing yet. Admins do not wait for callers who are not.
    pub(super) fn new(shared: &Arc<SharedBudget>, admin: bool) -> Arc<Self> {
        Arc::new(Self {
            admin,
            calls: Arc::new(Semaphore::new(CALLS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            body_bytes: Arc::new(Semaphore::new(BODY_BYTES)),
            large_bodies: Arc::new(Semaphore::new(1)),
            shared: Arc::clone(shared),
        })
    }

    /// The turn of a call, from its head until its reply is sent.
    pub(super) async fn call(&self) -> Permit {
        self.permit(acquire(&self.calls, 1).await, None, 0)
    }

    /// Room for an event stream, if there is any.
    pub(super) fn stream(&self) -> Option<Permit> {
        let own = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(self.permit(own, None, 0))
    }

    /// Room for a body of so many bytes, all of it before the first is read: bodies that wait for
    /// each other half-way would wait for ever.
    pub(super) async fn body(&self, bytes: usize) -> Permit {
        let permits = u32::try_from(bytes.min(BODY_BYTES)).unwrap_or(u32::MAX);
        let own = acquire(&self.body_bytes, permits).await;
        let shared =
            if self.admin { None } else { Some(acquire(&self.shared.body_bytes, permits).await) };
        self.permit(own, shared, bytes)
    }

    /// Room for a body that holds a catalog. First among its own, so that a caller who sends many
    /// stands once in the line of all.
    pub(super) async fn large_body(&self) -> Permit {
        let own = acquire(&self.large_bodies, 1).await;
        let SharedBudget { large_bodies, admin_large_bodies, .. } = &*self.shared;
        let places = if self.admin { admin_large_bodies } else { large_bodies };
        let shared = acquire(places, 1).await;
        self.permit(own, Some(shared), 0)
    }

    fn permit(
        &self,
        own: OwnedSemaphorePermit,
        shared: Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> Permit {
        Permit { _own: own, _shared: shared, bytes, reclaimer: self.shared.reclaimer.clone() }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    let acquired = Arc::clone(semaphore).acquire_many_owned(permits).await;
    acquired.expect("nobody closes a budget's semaphores")
}

impl Permit {
    /// The same permit, which stands for so many bytes.
    pub(super) fn holding(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.reclaimer.freed(self.bytes);
    }
}
