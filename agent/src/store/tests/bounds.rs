//! What the writer does at its bounds, and with work that fails.

use egress_core::catalog::InUse;
use tokio::sync::oneshot;

use super::*;
use crate::store::in_use::Change;
use crate::store::sqlite::QUEUE_MAX;
use crate::store::writer::Job;

#[tokio::test]
async fn one_call_that_fails_does_not_undo_its_neighbours() {
    let store = Fixture::new().open();
    let good = store.claim(session("a"), vec![candidate(1, None)]);
    let bad = store.shared("fail on purpose", |db, changes| {
        db.execute("DELETE FROM lease", [])?;
        changes.push(Change::Freed { lease: 1 });
        db.execute("SELECT nonsense", [])
    });
    let (good, bad) = tokio::join!(good, bad);
    assert_eq!(credential_of(&good.unwrap()), credential(1));
    assert!(matches!(bad, Err(StoreError::Failed { .. })), "{bad:?}");
    assert_eq!(store.leases().await.unwrap().len(), 1);
    assert_eq!(store.in_use().credential(credential(1)), 1);
}
#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let store = Fixture::new().open();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (began, has_begun) = oneshot::channel();
    let busy = Job::Alone(Box::new(move |_| {
        began.send(()).unwrap();
        wait.recv().unwrap();
    }));
    store.jobs.try_send(busy).unwrap();
    has_begun.await.unwrap();
    let nothing = || Job::Alone(Box::new(|_| {}));
    let jobs = std::iter::repeat_with(nothing);
    let queued = jobs.map_while(|job| store.jobs.try_send(job).ok()).count();
    assert_eq!(queued, QUEUE_MAX);
    let refused = tokio::time::timeout(Duration::from_secs(1), store.save(&row("a"))).await;
    let refused = refused.expect("the call waited").unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
    go.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), store.close()).await.expect("it never closed");
}

#[tokio::test]
async fn a_full_disk_fails_calls_and_spares_what_was_written() {
    let store = Fixture::new().open();
    store.save(&row("before")).await.unwrap();
    let limit_pages = |pages: i64| {
        store.shared("limit the file", move |db, _| {
            db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        })
    };
    limit_pages(1).await.unwrap();
    let mut kept = 1;
    let error = loop {
        match store.save(&row(&format!("s{kept}"))).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10_000, "the file never filled");
    };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(store.sessions().await.unwrap().len(), kept);
    limit_pages(1_000_000).await.unwrap();
    store.save(&row("after")).await.unwrap();
    assert_eq!(store.sessions().await.unwrap().len(), kept + 1);
}
