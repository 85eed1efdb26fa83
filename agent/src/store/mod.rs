//! The agent's memory: the catalog, the leases that keep its limits, one row per session.
//!
//! [`Store`] is a handle on one thread that owns an SQLite file; the agent has one store, and a
//! file is open in one agent. Secrets are sealed in the file (`seal.rs`) and nowhere in it in clear.

mod applied;
mod catalog;
mod claim;
mod columns;
mod connections;
mod file;
mod in_use;
mod key_file;
mod lease;
mod records;
mod schema;
mod seal;
mod session;
mod wall_clock;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use egress_core::api::{ApplyReport, ConnectionList};
use egress_core::catalog::{Candidate, Catalog, Document};
use egress_core::id::SessionId;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub use catalog::{ApplyError, LoadError};
pub use file::OpenError;
pub use in_use::InUseSnapshot;
pub use key_file::KeyError;
pub use lease::{Claim, Lease};
pub use records::RecordError;
pub use seal::{KeyId, MasterKey, Unsealable};
pub use session::{NetnsIdentity, SessionRow};

use catalog::Shelf;
use in_use::Change;
use writer::{Desk, Job, Queue};

/// Calls that may wait for the writer; one more is refused.
const QUEUE_MAX: usize = 1024;
/// How long a full queue is left to shrink before it is asked to close again.
const CLOSE_RETRY: Duration = Duration::from_millis(10);

/// Why a call on the store came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue is full, the store is closed, or the transaction could not be written, for
    /// instance because the disk is full; then the log says so.
    #[error("{operation}: the store is unavailable")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
    },
    /// A record could not be read or sealed again.
    #[error("read the store's records")]
    Records(#[source] RecordError),
    /// The database refused.
    #[error("{operation} in the store")]
    Failed {
        /// What was asked.
        operation: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

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

/// A handle on the store; clones share it. The file is closed with [`Store::close`] or after the
/// last handle is gone.
///
/// Every call is carried out whole or not at all, in the order in which the calls were made, also
/// when its future is dropped: a caller that gives up on [`Store::claim`] still has to
/// [`Store::release`].
#[derive(Clone)]
pub struct Store {
    jobs: SyncSender<Job>,
    catalog: watch::Receiver<Arc<Catalog>>,
    in_use: watch::Receiver<Arc<InUseSnapshot>>,
    tunnel_ids: Arc<AtomicU64>,
    starts: u32,
}

impl Store {
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

    /// The catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// The catalog, now and whenever it changes. The sender is gone when the store is closed.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    /// Applies a document whole or not at all; what it reports is on disk and in
    /// [`Store::catalog`], but for a dry run. `prune` removes what earlier applies of the same
    /// source made and this one does not name. Sessions of records that go keep running.
    pub async fn apply(
        &self,
        document: Document,
        prune: bool,
        dry_run: bool,
    ) -> Result<ApplyReport, ApplyError> {
        self.alone("apply to the catalog", move |desk| {
            desk.shelf.apply(&mut desk.db, &document, prune, dry_run)
        })
        .await?
    }

    /// Makes a new master key, seals every record's key with it, and puts it in the place of the
    /// file at `key_path`. Whenever this is cut short, that file or the one beside it, with `.next`
    /// behind its name, opens the store.
    pub async fn rotate_key(&self, key_path: &Path) -> Result<(), RotateError> {
        let key_path = key_path.to_owned();
        self.alone("rotate the master key", move |desk| {
            let next = MasterKey::generate();
            next.write_next(&key_path)?;
            desk.shelf.rotate(&mut desk.db, next)?;
            Ok(key_file::promote_next(&key_path)?)
        })
        .await?
    }

    /// Takes a lease for the session on the first candidate that has room. A session that has one
    /// already gets it again.
    pub async fn claim(
        &self,
        session: SessionId,
        candidates: Vec<Candidate>,
    ) -> Result<Claim, StoreError> {
        self.shared("claim a lease", move |db, changes| {
            let (claim, change) = claim::claim(db, &session, &candidates)?;
            changes.extend(change);
            Ok(claim)
        })
        .await
    }

    /// Notes that the tunnel of the session's lease has stood. Twice is fine, none is fine.
    pub async fn commit(&self, session: &SessionId) -> Result<(), StoreError> {
        let session = session.clone();
        self.shared("commit a lease", move |db, _| lease::commit(db, &session)).await
    }

    /// Ends the session's lease. Its slot is free at once, or after `cool_for` where the VPN
    /// server may count an unclean end for longer. Twice is fine, none is fine.
    pub async fn release(&self, session: &SessionId, cool_for: Duration) -> Result<(), StoreError> {
        let session = session.clone();
        self.shared("release a lease", move |db, changes| {
            changes.extend(lease::release(db, &session, cool_for)?);
            Ok(())
        })
        .await
    }

    /// Every lease a session has, in the order in which they were taken: a restarted agent goes on
    /// with these.
    pub async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.shared("read the leases", |db, _| lease::all(db)).await
    }

    /// Ends the leases of sessions that have no row, and names them.
    pub async fn release_orphans(&self) -> Result<Vec<SessionId>, StoreError> {
        self.shared("release leases without a session", |db, changes| {
            let (sessions, freed) = lease::release_orphans(db)?;
            changes.extend(freed);
            Ok(sessions)
        })
        .await
    }

    /// What counts against limits now.
    pub fn in_use(&self) -> Arc<InUseSnapshot> {
        self.in_use.borrow().clone()
    }

    /// What counts against limits, now and whenever it changes. The sender is gone when the store
    /// is closed.
    pub fn watch_in_use(&self) -> watch::Receiver<Arc<InUseSnapshot>> {
        self.in_use.clone()
    }

    /// Live connections of every credential, account and key, those of credentials that were
    /// removed while in use included.
    pub fn connections(&self) -> ConnectionList {
        connections::list(&self.catalog(), &self.in_use())
    }

    /// Writes the session's row, whether it is new or known.
    pub async fn save(&self, row: &SessionRow) -> Result<(), StoreError> {
        let row = row.clone();
        self.shared("save a session", move |db, _| session::save(db, &row)).await
    }

    /// Removes the session's row; its lease stays. None is fine.
    pub async fn forget(&self, session: &SessionId) -> Result<(), StoreError> {
        let session = session.clone();
        self.shared("forget a session", move |db, _| session::forget(db, &session)).await
    }

    /// Every session's row, oldest first.
    pub async fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        self.shared("read the sessions", |db, _| session::all(db)).await
    }

    /// How often this store was opened, this time included.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// A number that no tunnel of this store has had, not even before a restart.
    pub fn next_tunnel_id(&self) -> u64 {
        self.tunnel_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that `wireguard_key` (a digest of the public key) sent the wall time `unix_s` to its
    /// peers, and gives the newest it ever sent. When that is later than `unix_s`, the clock was
    /// set back and peers ignore its handshakes.
    pub async fn note_wall_clock(
        &self,
        wireguard_key: [u8; 32],
        unix_s: u64,
    ) -> Result<u64, StoreError> {
        self.shared("note the wall clock", move |db, _| {
            wall_clock::note(db, &wireguard_key, unix_s)
        })
        .await
    }

    /// Finishes what was asked before and closes the file; other handles get
    /// [`StoreError::Unavailable`] from then on.
    pub async fn close(self) {
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

    async fn shared<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection, &mut Vec<Change>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Shared(Box::new(move |db, changes| {
            let result = in_savepoint(db, changes, work);
            // A caller that has gone does not want it.
            Box::new(move || drop(reply.send(result)))
        }));
        self.jobs.try_send(job).map_err(|_| StoreError::Unavailable { operation })?;
        let result = answer.await.map_err(|_| StoreError::Unavailable { operation })?;
        result.map_err(|source| StoreError::Failed { operation, source })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
