//! Ends of sessions that the store has not taken yet, because its disk is full for instance.
//!
//! A session that has ended leaves nothing in the store: its lease is given back, and its row goes.
//! Where the store does not take that, the end is kept here and tried again until it does. A file in
//! the run directory, which is memory on most hosts, has it outlive the agent: a restart must not
//! bring back a session whose launcher knows it as ended.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use egress_core::id::SessionId;
use serde::{Deserialize, Serialize};
use tokio::sync::{self, Notify};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::notes;
use crate::store::{SessionRow, Store, StoreError};
use crate::telemetry::chain;

/// How long the store may take for an end before it counts as not taken.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// An end of a session: the row and the lease that are to go from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Session that has ended.
    pub session_id: SessionId,
    /// Time at which its attach was accepted: another session may have the same id later.
    pub created_at: u64,
    /// Time for which the lease is to cool; `None` when it has been given back.
    pub lease: Option<Duration>,
}

/// Ends that are being written, and those that the store did not take.
pub struct Ends {
    dir: PathBuf,
    pending: Mutex<BTreeMap<SessionId, Slot>>,
    left: Notify,
}

/// Held while the end is being written: whoever needs the id waits for that.
type Slot = Arc<sync::Mutex<Option<Left>>>;

struct Left {
    end: End,
    /// A file has it, too.
    in_file: bool,
}

impl End {
    /// The end of a session that still may have its lease.
    pub fn of(row: &SessionRow) -> Self {
        let lease = Some(Duration::ZERO);
        Self { session_id: row.id().clone(), created_at: row.created_at, lease }
    }

    /// Tells whether it is the end of this row's session, and not of a former one of that id.
    pub fn is_of(&self, row: &SessionRow) -> bool {
        (&self.session_id, self.created_at) == (row.id(), row.created_at)
    }

    async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        let written = async {
            // The row outlives the lease: who finds it can still give the lease back.
            if let Some(cool_for) = self.lease {
                store.release(&self.session_id, cool_for).await?;
            }
            store.forget(&self.session_id).await
        };
        let operation = "write the end of a session";
        timeout(PATIENCE, written).await.unwrap_or(Err(StoreError::Unavailable { operation }))
    }
}

impl Ends {
    /// Keeps ends that are not written in this directory, too.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, pending: Mutex::default(), left: Notify::new() }
    }

    /// Writes an end. One that the store does not take is kept, and the error says why.
    pub async fn write(&self, store: &dyn Store, end: End) -> Result<(), StoreError> {
        self.write_left(store, Left { end, in_file: false }).await
    }

    /// Writes an end that a former life of the agent has left behind.
    pub async fn write_again(&self, store: &dyn Store, end: End) -> Result<(), StoreError> {
        self.write_left(store, Left { end, in_file: true }).await
    }

    /// Keeps an end for the next [`Ends::settle`].
    pub fn add(&self, end: End) {
        self.insert(Left { end, in_file: false });
        self.left.notify_one();
    }

    /// Writes what is left, up to the first that the store does not take.
    pub async fn settle(&self, store: &dyn Store) {
        let slots: Vec<_> =
            self.pending().iter().map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect();
        for (id, slot) in slots {
            match self.settle_slot(store, &id, &slot).await {
                Ok(()) => info!(session = %id, "the end of a session is written now"),
                Err(error) => {
                    debug!(error = %chain(&error), "ends of sessions are written another time");
                    return;
                }
            }
        }
    }

    /// Writes what is left of a former session of this id, before another one begins.
    pub async fn settle_one(&self, store: &dyn Store, id: &SessionId) -> Result<(), StoreError> {
        let slot = self.pending().get(id).cloned();
        match slot {
            Some(slot) => self.settle_slot(store, id, &slot).await,
            None => Ok(()),
        }
    }

    /// Waits until there is an end that the store did not take.
    pub async fn some_left(&self) {
        self.left.notified().await;
    }

    /// Ends that a former life of the agent could not write.
    pub async fn left_behind(&self) -> BTreeMap<SessionId, End> {
        let dir = self.dir.clone();
        let read = spawn_blocking(move || notes::read_all::<End>(&dir)).await;
        let ends = read.unwrap_or_default();
        ends.into_iter().map(|end| (end.session_id.clone(), end)).collect()
    }

    /// Forgets an end that a former life of the agent has left behind.
    pub async fn drop_file(&self, id: &SessionId) {
        let path = self.path(id);
        // One that is not there is what is wanted.
        let _ = spawn_blocking(move || fs::remove_file(path)).await;
    }

    async fn write_left(&self, store: &dyn Store, left: Left) -> Result<(), StoreError> {
        let id = left.end.session_id.clone();
        let slot = self.insert(left);
        self.settle_slot(store, &id, &slot).await
    }

    fn insert(&self, left: Left) -> Slot {
        let id = left.end.session_id.clone();
        let slot = Arc::new(sync::Mutex::new(Some(left)));
        self.pending().insert(id, Arc::clone(&slot));
        slot
    }

    async fn settle_slot(
        &self,
        store: &dyn Store,
        id: &SessionId,
        slot: &Slot,
    ) -> Result<(), StoreError> {
        let mut held = slot.lock().await;
        let Some(left) = &mut *held else { return Ok(()) };
        if let Err(error) = left.end.write(store).await {
            self.keep(left).await;
            self.left.notify_one();
            return Err(error);
        }
        if left.in_file {
            self.drop_file(id).await;
        }
        *held = None;
        let mut pending = self.pending();
        if pending.get(id).is_some_and(|it| Arc::ptr_eq(it, slot)) {
            pending.remove(id);
        }
        Ok(())
    }

    async fn keep(&self, left: &mut Left) {
        if left.in_file {
            return;
        }
        let (dir, end) = (self.dir.clone(), left.end.clone());
        let kept = spawn_blocking(move || notes::write(&dir, end.session_id.as_str(), &end)).await;
        match kept.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => left.in_file = true,
            Err(error) => {
                let (session, error) = (&left.end.session_id, chain(&error));
                warn!(%session, %error, "the end of a session is kept in memory only");
            }
        }
    }

    fn path(&self, id: &SessionId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<SessionId, Slot>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MasterKey, SqliteStore};

    fn end(id: &str) -> End {
        End { session_id: id.parse().unwrap(), created_at: 7, lease: Some(Duration::ZERO) }
    }

    #[tokio::test]
    async fn an_end_that_the_store_does_not_take_outlives_the_agent_until_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/store.sqlite");
        let key = MasterKey::generate();
        let store = SqliteStore::open(&path, key.clone()).unwrap();
        store.close().await;
        let ends = Ends::new(dir.path().join("ended"));
        ends.write(&store, end("a")).await.unwrap_err();
        ends.some_left().await;
        ends.settle_one(&store, &end("a").session_id).await.unwrap_err();

        let next_life = Ends::new(dir.path().join("ended"));
        let left = next_life.left_behind().await;
        assert_eq!(left.into_values().collect::<Vec<_>>(), [end("a")]);
        let store = SqliteStore::open(&path, key).unwrap();
        next_life.write_again(&store, end("a")).await.unwrap();
        assert!(next_life.left_behind().await.is_empty(), "it is written, and still on file");
        assert!(next_life.pending().is_empty());
    }

    #[tokio::test]
    async fn a_file_whose_writer_was_killed_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".tmpabc"), "{\"session_id\":\"a\",").unwrap();
        let ends = Ends::new(dir.path().to_owned());
        assert!(ends.left_behind().await.is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
