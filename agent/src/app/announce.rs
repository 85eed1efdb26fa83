//! Tells what changes in the store as events: counts of connections, and the catalog.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use egress_core::api::Event;
use egress_core::catalog::Catalog;
use egress_core::id::CredentialId;
use tokio_util::sync::CancellationToken;

use crate::control::events::Events;
use crate::store::{InUseSnapshot, Store};

/// Credentials in use: connections and limit.
type Counts = BTreeMap<CredentialId, (u32, Option<u32>)>;

/// Publishes changes from now on until `stop` or until the store is closed.
///
/// What changes several times before it is looked at is told once, with its newest value.
pub async fn announce(
    store: Arc<dyn Store>,
    events: Events,
    stop: CancellationToken,
) -> io::Result<()> {
    let (mut catalogs, mut uses) = (store.subscribe(), store.watch_in_use());
    let mut catalog = catalogs.borrow_and_update().clone();
    let mut counts = counts(&catalog, &uses.borrow_and_update());
    // The store is closed by whoever holds it last, not kept open from here.
    drop(store);
    loop {
        let changed = async {
            tokio::select! {
                changed = catalogs.changed() => changed,
                changed = uses.changed() => changed,
            }
        };
        if !matches!(stop.run_until_cancelled(changed).await, Some(Ok(()))) {
            return Ok(());
        }
        let newest = catalogs.borrow_and_update().clone();
        if !Arc::ptr_eq(&newest, &catalog) {
            tell_catalog(&newest, &catalog, &events);
            catalog = newest;
        }
        let in_use = uses.borrow_and_update().clone();
        counts = tell_counts(&counts, self::counts(&catalog, &in_use), &events, &catalog);
    }
}

fn tell_catalog(newest: &Catalog, former: &Catalog, events: &Events) {
    let changed = newest.since(former).count();
    if changed > 0 {
        events.publish(Event::Catalog { changed: u32::try_from(changed).unwrap_or(u32::MAX) });
    }
}

fn counts(catalog: &Catalog, in_use: &InUseSnapshot) -> Counts {
    in_use.by_credential().map(|(id, count)| (id, (count, limit(catalog, id)))).collect()
}

fn limit(catalog: &Catalog, id: CredentialId) -> Option<u32> {
    catalog.credential(id).and_then(|credential| catalog.limit(credential))
}

/// Publishes what differs, and gives the newer counts.
fn tell_counts(former: &Counts, newest: Counts, events: &Events, catalog: &Catalog) -> Counts {
    let free = former.keys().filter(|id| !newest.contains_key(id));
    let free = free.map(|id| (*id, (0, limit(catalog, *id))));
    let changed = newest.iter().filter(|(id, count)| former.get(id) != Some(count));
    let changed = changed.map(|(id, count)| (*id, *count));
    for (credential_id, (in_use, limit)) in free.chain(changed) {
        events.publish(Event::Connections { credential_id, in_use, limit });
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use egress_core::catalog::{Candidate, Document};
    use serde_json::json;

    use super::*;
    use crate::control::events::Subscription;
    use crate::store::{MasterKey, SqliteStore};

    async fn next(reader: &mut Subscription) -> Event {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next());
        next.await.expect("an event is told").event.event
    }

    #[tokio::test]
    async fn changes_of_the_catalog_and_of_counts_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("state/store.sqlite");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&store, MasterKey::generate()).unwrap());
        let (events, stop) = (Events::starting_at(1), CancellationToken::new());
        let mut reader = events.subscribe(None);
        let task = tokio::spawn(announce(store.clone(), events, stop.clone()));
        tokio::task::yield_now().await;

        let document = json!({
            "provider": [{"name": "nordic", "type": "custom"}],
            "credential": [{"provider": "nordic", "name": "ann", "user": "ann", "custom": "x",
                "active_connection_limit": 2}],
        });
        let document = Document::from_value(document).unwrap().0;
        store.apply(document, false, false).await.unwrap();
        assert_eq!(next(&mut reader).await, Event::Catalog { changed: 2 });

        let credential = store.catalog().credentials().next().unwrap().id;
        let candidate =
            Candidate { credential, limit: Some(2), account: None, conflict_keys: Vec::new() };
        let session: egress_core::id::SessionId = "a".parse().unwrap();
        store.claim(session.clone(), vec![candidate]).await.unwrap();
        let count =
            |in_use| Event::Connections { credential_id: credential, in_use, limit: Some(2) };
        assert_eq!(next(&mut reader).await, count(1));
        store.release(&session, Duration::ZERO).await.unwrap();
        assert_eq!(next(&mut reader).await, count(0));

        stop.cancel();
        task.await.unwrap().unwrap();
    }
}
