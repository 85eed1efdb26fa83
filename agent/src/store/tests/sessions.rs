//! Rows of sessions, and what else outlives the process.

use std::time::Duration;

use egress_core::catalog::InUse;

use super::*;

#[tokio::test]
async fn a_reopened_store_has_every_lease_and_row_it_had() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.claim(session("a"), vec![candidate(1, Some(2))]).await.unwrap();
    store.claim(session("b"), vec![candidate(1, Some(2))]).await.unwrap();
    store.commit(&session("a")).await.unwrap();
    store.save(&row("a")).await.unwrap();
    let changed = SessionRow { state: SessionState::Connected, ..row("a") };
    store.save(&changed).await.unwrap();
    let (leases, in_use) = (store.leases().await.unwrap(), store.in_use());
    store.close().await;

    let store = fixture.open();
    assert_eq!(store.leases().await.unwrap(), leases);
    assert_eq!(leases.iter().map(Lease::committed).collect::<Vec<_>>(), [true, false]);
    assert_eq!(store.in_use(), in_use);
    assert_eq!(store.sessions().await.unwrap(), [changed]);
}

#[tokio::test]
async fn leases_of_sessions_without_a_row_are_released_at_once() {
    let store = Fixture::new().open();
    store.claim(session("a"), vec![candidate(1, None)]).await.unwrap();
    store.claim(session("b"), vec![candidate(1, None)]).await.unwrap();
    store.save(&row("b")).await.unwrap();
    assert_eq!(store.release_orphans().await.unwrap(), [session("a")]);
    assert_eq!(store.in_use().credential(credential(1)), 1);
    store.forget(&session("b")).await.unwrap();
    store.forget(&session("b")).await.unwrap();
    assert_eq!(store.release_orphans().await.unwrap(), [session("b")]);
    assert_eq!(*store.in_use(), InUseSnapshot::default());
}

#[tokio::test]
async fn tunnel_numbers_are_not_used_again_after_a_restart() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let before = [store.next_tunnel_id(), store.clone().next_tunnel_id()];
    store.close().await;
    let after = fixture.open().next_tunnel_id();
    assert!(before[0] < before[1] && before[1] < after, "{before:?} {after}");
}

#[tokio::test]
async fn the_newest_wall_time_of_a_key_is_kept() {
    let fixture = Fixture::new();
    let store = fixture.open();
    assert_eq!(store.note_wall_clock([1; 32], 100).await.unwrap(), 100);
    assert_eq!(store.note_wall_clock([1; 32], 90).await.unwrap(), 100);
    store.close().await;
    let store = fixture.open();
    assert_eq!(store.note_wall_clock([1; 32], 95).await.unwrap(), 100);
    assert_eq!(store.note_wall_clock([2; 32], 95).await.unwrap(), 95);
}

#[tokio::test]
async fn a_closed_store_says_that_it_is_unavailable() {
    let store = Fixture::new().open();
    let other = store.clone();
    store.close().await;
    let error = other.sessions().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
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
