//! Gives back the leases that a session's end could not, since the store took nothing just then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::store::Store;
use crate::telemetry::chain;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(30);

/// Looks for them until `stop`. A session has its row before it takes a lease, and gives the lease
/// back before its row goes or says that it is blocked: what is found is nobody's.
pub async fn sweep(store: Arc<dyn Store>, stop: CancellationToken) -> io::Result<()> {
    while stop.run_until_cancelled(sleep(ROUND)).await.is_some() {
        match store.release_orphans().await {
            Ok(freed) if freed.is_empty() => {}
            Ok(freed) => warn!(sessions = ?freed, "leases that had not been given back are free"),
            Err(error) => debug!(error = %chain(&error), "leases are looked for another time"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use egress_core::catalog::Candidate;
    use egress_core::id::{CredentialId, SessionId};

    use super::*;
    use crate::store::{MasterKey, SqliteStore};

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_gave_back_is_free_after_a_round() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/store.sqlite");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&path, MasterKey::generate()).unwrap());
        let credential = CredentialId::from_bytes([1; 16]);
        let candidate =
            Candidate { credential, limit: Some(1), account: None, conflict_keys: Vec::new() };
        let session: SessionId = "a".parse().unwrap();
        store.claim(session, vec![candidate]).await.unwrap();
        let (mut in_use, stop) = (store.watch_in_use(), CancellationToken::new());
        assert_eq!(in_use.borrow_and_update().holders().count(), 1);
        let task = tokio::spawn(sweep(store, stop.clone()));
        in_use.changed().await.unwrap();
        assert_eq!(in_use.borrow().holders().count(), 0);
        stop.cancel();
        task.await.unwrap().unwrap();
    }
}
