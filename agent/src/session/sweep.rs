//! Ends what sessions left in the store, since that took nothing just then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use egress_core::id::SessionId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Ends;
use crate::store::{Store, StoreError};
use crate::telemetry::chain;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(30);
/// Between two tries while it is known that something is left.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks for what is left in the store until `stop`, and is quick to where `ends` knows of
/// something. `end_others` is given every session that has a row, and ends those that nobody acts
/// for.
pub async fn sweep(
    store: Arc<dyn Store>,
    ends: Arc<Ends>,
    end_others: impl Fn(Vec<(SessionId, u64)>) + Send,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut round = std::pin::pin!(sleep(ROUND));
    loop {
        let left = async {
            ends.some_left().await;
            sleep(AGAIN).await;
        };
        let wake = async {
            tokio::select! {
                () = &mut round => true,
                () = left => false,
            }
        };
        let Some(whole) = stop.run_until_cancelled(wake).await else { return Ok(()) };
        if whole {
            round.set(sleep(ROUND));
            if let Err(error) = look(&*store, &end_others).await {
                debug!(error = %chain(&error), "the store is looked through another time");
            }
        }
        ends.settle(&*store).await;
    }
}

/// A session has its row before it takes a lease, and gives the lease back before its row goes or
/// says that it is blocked: a lease that is found without is nobody's.
async fn look(
    store: &dyn Store,
    end_others: &impl Fn(Vec<(SessionId, u64)>),
) -> Result<(), StoreError> {
    let freed = store.release_orphans().await?;
    if !freed.is_empty() {
        warn!(sessions = ?freed, "leases that had not been given back are free");
    }
    end_others(store.session_ids().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use egress_core::api::{AttachRequest, SessionState};
    use egress_core::catalog::Candidate;
    use egress_core::id::CredentialId;

    use super::*;
    use crate::session::ends::End;
    use crate::store::{MasterKey, NetnsIdentity, SessionRow, SqliteStore};

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
        let ends = Arc::new(Ends::new(dir.path().join("ended")));
        let task = tokio::spawn(sweep(store, ends, |_| {}, stop.clone()));
        in_use.changed().await.unwrap();
        assert_eq!(in_use.borrow().holders().count(), 0);
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_nobody_acts_for_is_gone_after_a_round_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/store.sqlite");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&path, MasterKey::generate()).unwrap());
        for name in ["driven", "orphan"] {
            store.save(&row(name)).await.unwrap();
        }
        let ends = Arc::new(Ends::new(dir.path().join("ended")));
        let orphans = {
            let ends = Arc::clone(&ends);
            move |rows: Vec<(SessionId, u64)>| {
                let orphans = rows.into_iter().filter(|(id, _)| id.as_str() == "orphan");
                for (session_id, created_at) in orphans {
                    ends.add(End { session_id, created_at, lease: Some(Duration::ZERO) });
                }
            }
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(sweep(Arc::clone(&store), ends, orphans, stop.clone()));
        while store.session_ids().await.unwrap().len() > 1 {
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(store.session_ids().await.unwrap()[0].0.as_str(), "driven");
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    fn row(name: &str) -> SessionRow {
        let request = serde_json::json!({
            "session_id": name, "netns": { "path": "/run/netns/a" }, "gateway": null,
            "subject": {}, "profile": "sealed",
        });
        let request: AttachRequest = serde_json::from_value(request).unwrap();
        SessionRow {
            found_by: request.netns.clone(),
            request,
            gateway: None,
            credential: None,
            secret_version: None,
            netns: NetnsIdentity { boot_id: "boot".to_owned(), cookie: 7 },
            interface: None,
            tunnel: None,
            addresses: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
            mtu: None,
            generation: 0,
            state: SessionState::Connected,
            reason: None,
            endpoint: None,
            created_at: 1,
        }
    }
}
