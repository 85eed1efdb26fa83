//! The store of one host: one thread that owns an SQLite file.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use egress_core::catalog::{Candidate, Catalog};
use egress_core::id::SessionId;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use super::catalog::Shelf;
use super::in_use::{Change, InUseSnapshot};
use super::key_file::KeyError;
use super::lease::{Claim, Lease};
use super::seal::{KeyId, MasterKey};
use super::session::SessionRow;
use super::writer::{self, Desk, Job, Queue};
use super::{Answer, Edit, OpenError, Store, StoreError};
use super::{claim, copy, file, key_file, lease, session, wall_clock};

/// Calls that may wait for the writer; one more is refused.
pub(super) const QUEUE_MAX: usize = 1024;
/// How long a full queue is left to shrink before it is asked to close again.
const CLOSE_RETRY: Duration = Duration::from_millis(10);

/// Why the master key is not another one now, or not at its place.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The new key's file.
    #[error("keep the new master key")]
    Key(#[from] KeyError),
    /// The records.
    #[error("seal the records with the new master key")]
    Store(#[from] StoreError),
}

/// A handle on the store's file, which is open in one agent; clones share it. The file is closed
/// with [`Store::close`] or after the last handle is gone.
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) jobs: SyncSender<Job>,
    catalog: watch::Receiver<Arc<Catalog>>,
    in_use: watch::Receiver<Arc<InUseSnapshot>>,
    tunnel_ids: Arc<AtomicU64>,
    starts: u32,
}

impl SqliteStore {
    /// Opens the file at `path`, which is made (mode 0600, in a directory of mode 0700) when there
    /// is none, and starts its writer. Blocks for as long as SQLite takes to check the file.
    pub fn open(path: &Path, key: MasterKey) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sql { path: path.to_owned(), source };
        let db = file::open(path, &key)?;
        let starts = count_start(&db).map_err(failed)?;
        let shelf = Shelf::load(&db, key)
            .map_err(|source| OpenError::Load { path: path.to_owned(), source })?;
        let held = lease::restore(&db).map_err(failed)?;
        let (catalog, in_use_tx) = (shelf.subscribe(), watch::Sender::default());
        let in_use = in_use_tx.subscribe();
        let mut desk = Desk::new(db, shelf, in_use_tx);
        desk.publish(held);
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        thread::Builder::new()
            .name(String::from("store-writer"))
            .spawn(move || writer::run(desk, Queue::new(queue)))
            .map_err(OpenError::Thread)?;
        let tunnel_ids = Arc::new(AtomicU64::new(u64::from(starts) << 32));
        Ok(Self { jobs, catalog, in_use, tunnel_ids, starts })
    }

    /// Opens the file at `path` with the master key at `key_path`, as [`SqliteStore::open`] does.
    /// Makes the key for a store that is new; finishes a rotation of keys that was cut short.
    pub fn open_with_key_file(path: &Path, key_path: &Path) -> Result<Self, OpenError> {
        let key = match MasterKey::load(key_path)? {
            None if file::has_a_store(path) => {
                let (path, key_path) = (path.to_owned(), key_path.to_owned());
                return Err(OpenError::NoKey { path, key_path });
            }
            None => MasterKey::load_or_create(key_path)?,
            Some(key) => {
                if !file::has_a_store(path) {
                    warn!(
                        path = %path.display(),
                        "there is no store, but there is its master key: an empty store is made, \
                         without gateways, credentials and sessions"
                    );
                }
                key
            }
        };
        match Self::open(path, key) {
            Err(OpenError::WrongKey { path, sealed_with, given }) => {
                let next = key_file::next(key_path)?.filter(|next| next.id() == sealed_with);
                let wrong = OpenError::WrongKey { path: path.clone(), sealed_with, given };
                let store = Self::open(&path, next.ok_or(wrong)?)?;
                key_file::promote_next(key_path)?;
                warn!("finished a rotation of the store's master key that was cut short");
                Ok(store)
            }
            opened => opened,
        }
    }

    /// Makes a new master key, seals every record's key with it, and puts it in the place of the
    /// file at `key_path`. Whenever this is cut short, that file or the one beside it, with `.next`
    /// behind its name, opens the store.
    pub async fn rotate_key(&self, key_path: &Path) -> Result<KeyId, RotateError> {
        let key_path = key_path.to_owned();
        self.alone("rotate the master key", move |desk| {
            let next = MasterKey::generate();
            let id = next.id();
            next.write_next(&key_path)?;
            desk.shelf.rotate(&mut desk.db, next)?;
            key_file::promote_next(&key_path)?;
            Ok(id)
        })
        .await?
    }

    /// A copy of the whole store as it is between two changes: an SQLite file without a name, read
    /// from its beginning. It needs the master key of this moment.
    pub async fn backup(&self) -> Result<File, StoreError> {
        let operation = "copy the store";
        let copied = self.alone(operation, |desk| copy::of(&desk.db)).await?;
        copied.map_err(|source| StoreError::failed(operation, source))
    }

    async fn close_file(&self) {
        let (done, closed) = oneshot::channel();
        let mut job = Job::Close(done);
        loop {
            job = match self.jobs.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(job)) => job,
                // A writer that is gone has closed the file.
                Err(TrySendError::Disconnected(_)) => return,
            };
            tokio::time::sleep(CLOSE_RETRY).await;
        }
        let _ = closed.await;
    }

    /// Has the database to itself.
    async fn alone<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        // A caller that has gone does not want the answer.
        let job = Job::Alone(Box::new(move |desk| drop(reply.send(work(desk)))));
        self.jobs.try_send(job).map_err(|_| StoreError::Unavailable { operation })?;
        answer.await.map_err(|_| StoreError::Unavailable { operation })
    }

    /// Shares a transaction with what waits beside it.
    pub(super) fn shared<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection, &mut Vec<Change>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Job::Shared(Box::new(move |db, changes| {
                let result = in_savepoint(db, changes, work);
                // A caller that has gone does not want it.
                Box::new(move || drop(reply.send(result)))
            }));
            self.jobs.try_send(job).map_err(|_| StoreError::Unavailable { operation })?;
            let result = answer.await.map_err(|_| StoreError::Unavailable { operation })?;
            result.map_err(|source| StoreError::failed(operation, source))
        })
    }
}

impl Store for SqliteStore {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    fn edit(&self, edit: Edit) -> Answer<'_, ()> {
        Box::pin(async move {
            self.alone(edit.operation, move |desk| desk.shelf.edit(&mut desk.db, edit)).await?
        })
    }

    fn claim(&self, session: SessionId, candidates: Vec<Candidate>) -> Answer<'_, Claim> {
        self.shared("claim a lease", move |db, changes| {
            let (claim, change) = claim::claim(db, &session, &candidates)?;
            changes.extend(change);
            Ok(claim)
        })
    }

    fn commit(&self, session: &SessionId) -> Answer<'_, ()> {
        let session = session.clone();
        self.shared("commit a lease", move |db, _| lease::commit(db, &session))
    }

    fn release(&self, session: &SessionId, cool_for: Duration) -> Answer<'_, ()> {
        let session = session.clone();
        self.shared("release a lease", move |db, changes| {
            changes.extend(lease::release(db, &session, cool_for)?);
            Ok(())
        })
    }

    fn leases(&self) -> Answer<'_, Vec<Lease>> {
        self.shared("read the leases", |db, _| lease::all(db))
    }

    fn release_orphans(&self) -> Answer<'_, Vec<SessionId>> {
        self.shared("release leases without a session", |db, changes| {
            let (sessions, freed) = lease::release_orphans(db)?;
            changes.extend(freed);
            Ok(sessions)
        })
    }

    fn in_use(&self) -> Arc<InUseSnapshot> {
        self.in_use.borrow().clone()
    }

    fn watch_in_use(&self) -> watch::Receiver<Arc<InUseSnapshot>> {
        self.in_use.clone()
    }

    fn save(&self, row: &SessionRow) -> Answer<'_, ()> {
        let row = row.clone();
        self.shared("save a session", move |db, _| session::save(db, &row))
    }

    fn forget(&self, session: &SessionId) -> Answer<'_, ()> {
        let session = session.clone();
        self.shared("forget a session", move |db, _| session::forget(db, &session))
    }

    fn session_ids(&self) -> Answer<'_, Vec<(SessionId, u64)>> {
        self.shared("read the sessions' ids", |db, _| session::ids(db))
    }

    fn sessions(&self) -> Answer<'_, Vec<SessionRow>> {
        self.shared("read the sessions", |db, _| session::all(db))
    }

    fn starts(&self) -> u32 {
        self.starts
    }

    fn next_tunnel_id(&self) -> u64 {
        self.tunnel_ids.fetch_add(1, Ordering::Relaxed)
    }

    fn note_wall_clock(&self, wireguard_key: [u8; 32], unix_s: u64) -> Answer<'_, u64> {
        self.shared("note the wall clock", move |db, _| {
            wall_clock::note(db, &wireguard_key, unix_s)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close_file())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// Does the work whole or not at all, whatever else its transaction holds.
fn in_savepoint<T>(
    db: &Connection,
    changes: &mut Vec<Change>,
    work: impl FnOnce(&Connection, &mut Vec<Change>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let before = changes.len();
    db.prepare_cached("SAVEPOINT work")?.execute([])?;
    let result = work(db, changes);
    if result.is_err() {
        changes.truncate(before);
        db.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    db.prepare_cached("RELEASE work")?.execute([])?;
    result
}

/// Counts this start; the count is the high half of its tunnels' numbers.
fn count_start(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("UPDATE meta SET starts = starts + 1 RETURNING starts", [], |row| row.get(0))
}
