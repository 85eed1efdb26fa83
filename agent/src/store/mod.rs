//! The agent's memory: the catalog, the leases that keep its limits, one row per session.
//!
//! [`Store`] is what an engine has to do. [`SqliteStore`] does it in one file on one host: secrets
//! are sealed in it (`seal.rs`) and nowhere in it in clear.

mod applied;
mod apply;
mod catalog;
mod change;
mod claim;
mod columns;
mod connections;
mod copy;
mod edit;
mod file;
mod in_use;
mod key_file;
mod lease;
mod push;
mod records;
mod schema;
mod seal;
mod session;
mod sqlite;
mod wal;
mod wall_clock;
mod writer;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use egress_core::api::ConnectionList;
use egress_core::catalog::{Candidate, Catalog};
use egress_core::id::SessionId;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use apply::{Applied, ApplyError};
pub use catalog::LoadError;
pub use change::{ChangeError, RecordChange};
pub use copy::CopyError;
pub use edit::{Edit, Revision, Source};
pub use file::OpenError;
pub use in_use::InUseSnapshot;
pub use key_file::KeyError;
pub use lease::{Claim, Lease};
pub use push::PushFailure;
pub use records::RecordError;
pub use seal::{KeyId, MasterKey, Unsealable};
pub use session::{NetnsIdentity, SessionRow};
pub use sqlite::{RotateError, SqliteStore};

/// Why a call on the store came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many calls wait, the store is closed, or it could not write, for instance because the
    /// disk is full; then the log says so.
    #[error("{operation}: the store is unavailable")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
    },
    /// The engine refused.
    #[error("{operation} in the store")]
    Failed {
        /// What was asked.
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// The engine's own error, met while it did `operation`.
    pub(crate) fn failed(
        operation: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { operation, source: source.into() }
    }
}

/// What a call on the store comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What the agent asks of an engine.
///
/// Opening one registers this agent: it goes on with the leases and rows it had, and
/// [`Store::starts`] tells its lives apart. On one host there is no heartbeat, since nobody else
/// may have the file; leases of sessions that need none any more are reaped with
/// [`Store::release_orphans`].
///
/// Every call is carried out whole or not at all, in the order in which the calls were made, also
/// when its future is dropped: a caller that gives up on [`Store::claim`] still has to
/// [`Store::release`]. What was answered survives the agent's death; an edit of the catalog
/// survives the machine's.
pub trait Store: Send + Sync {
    /// The catalog as it is now.
    fn catalog(&self) -> Arc<Catalog>;

    /// The catalog, now and whenever it changes. The sender is gone when the store is closed.
    fn subscribe(&self) -> watch::Receiver<Arc<Catalog>>;

    /// Changes the catalog to what the edit plans. Nobody else changes it in between, and once
    /// this returns the new one is on disk and in [`Store::catalog`]. Sessions of records that go
    /// keep running.
    fn edit(&self, edit: Edit) -> Answer<'_, ()>;

    /// Takes a lease for the session on the first candidate that has room. A session that has one
    /// already gets it again.
    fn claim(&self, session: SessionId, candidates: Vec<Candidate>) -> Answer<'_, Claim>;

    /// Notes that the tunnel of the session's lease has stood. Twice is fine, none is fine.
    fn commit(&self, session: &SessionId) -> Answer<'_, ()>;

    /// Ends the session's lease. Its slot is free at once, or after `cool_for` where the VPN
    /// server may count an unclean end for longer. Twice is fine, none is fine.
    fn release(&self, session: &SessionId, cool_for: Duration) -> Answer<'_, ()>;

    /// Every lease a session has, in the order in which they were taken: a restarted agent goes on
    /// with these.
    fn leases(&self) -> Answer<'_, Vec<Lease>>;

    /// Ends the leases of sessions that have no row or are blocked, and names them.
    fn release_orphans(&self) -> Answer<'_, Vec<SessionId>>;

    /// What counts against limits now.
    fn in_use(&self) -> Arc<InUseSnapshot>;

    /// What counts against limits, now and whenever it changes. The sender is gone when the store
    /// is closed.
    fn watch_in_use(&self) -> watch::Receiver<Arc<InUseSnapshot>>;

    /// Writes the session's row, whether it is new or known.
    fn save(&self, row: &SessionRow) -> Answer<'_, ()>;

    /// Removes the session's row; its lease stays. None is fine.
    fn forget(&self, session: &SessionId) -> Answer<'_, ()>;

    /// The id of every session that has a row, and when its attach was accepted.
    fn session_ids(&self) -> Answer<'_, Vec<(SessionId, u64)>>;

    /// Every session's row, oldest first.
    fn sessions(&self) -> Answer<'_, Vec<SessionRow>>;

    /// How often this store was opened, this time included.
    fn starts(&self) -> u32;

    /// A number that no tunnel of this store has had, not even before a restart.
    fn next_tunnel_id(&self) -> u64;

    /// Notes that `wireguard_key` (a digest of the public key) sent the wall time `unix_s` to its
    /// peers, and gives the newest it ever sent. When that is later than `unix_s`, the clock was
    /// set back and peers ignore its handshakes.
    fn note_wall_clock(&self, wireguard_key: [u8; 32], unix_s: u64) -> Answer<'_, u64>;

    /// Finishes what was asked before and closes the store; calls get
    /// [`StoreError::Unavailable`] from then on.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl dyn Store + '_ {
    /// Live connections of every credential, account and key, those of credentials that were
    /// removed while in use included.
    pub fn connections(&self) -> ConnectionList {
        connections::list(&self.catalog(), &self.in_use())
    }
}

#[cfg(test)]
mod tests;
