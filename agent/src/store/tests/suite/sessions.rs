//! Rows of sessions, and what else outlives the process.

use egress_core::catalog::InUse;

use super::*;

async fn a_reopened_store_has_every_lease_and_row_it_had<G: Ground>() {
    let fixture = G::new();
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

async fn leases_of_sessions_without_a_row_or_blocked_are_released_at_once<G: Ground>() {
    let store = G::new().open();
    store.claim(session("a"), vec![candidate(1, None)]).await.unwrap();
    store.claim(session("b"), vec![candidate(1, None)]).await.unwrap();
    store.save(&row("b")).await.unwrap();
    assert_eq!(store.release_orphans().await.unwrap(), [session("a")]);
    assert_eq!(store.in_use().credential(credential(1)), 1);
    let blocked = SessionRow { state: SessionState::Blocked, ..row("b") };
    store.save(&blocked).await.unwrap();
    assert_eq!(store.release_orphans().await.unwrap(), [session("b")]);
    assert_eq!(*store.in_use(), InUseSnapshot::default());
    store.claim(session("b"), vec![candidate(1, None)]).await.unwrap();
    store.forget(&session("b")).await.unwrap();
    store.forget(&session("b")).await.unwrap();
    assert_eq!(store.release_orphans().await.unwrap(), [session("b")]);
    assert_eq!(*store.in_use(), InUseSnapshot::default());
}

async fn tunnel_numbers_are_not_used_again_after_a_restart<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    let before = [store.next_tunnel_id(), store.clone().next_tunnel_id()];
    store.close().await;
    let after = fixture.open().next_tunnel_id();
    assert!(before[0] < before[1] && before[1] < after, "{before:?} {after}");
}

async fn the_newest_wall_time_of_a_key_is_kept<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    assert_eq!(store.note_wall_clock([1; 32], 100).await.unwrap(), 100);
    assert_eq!(store.note_wall_clock([1; 32], 90).await.unwrap(), 100);
    store.close().await;
    let store = fixture.open();
    assert_eq!(store.note_wall_clock([1; 32], 95).await.unwrap(), 100);
    assert_eq!(store.note_wall_clock([2; 32], 95).await.unwrap(), 95);
}

async fn a_closed_store_says_that_it_is_unavailable<G: Ground>() {
    let store = G::new().open();
    let other = store.clone();
    store.close().await;
    let error = other.sessions().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

on_every_engine! {
    a_reopened_store_has_every_lease_and_row_it_had
    leases_of_sessions_without_a_row_or_blocked_are_released_at_once
    tunnel_numbers_are_not_used_again_after_a_restart
    the_newest_wall_time_of_a_key_is_kept
    a_closed_store_says_that_it_is_unavailable
}
