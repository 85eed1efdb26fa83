//! Limits, accounts, keys, cooling.

use std::time::Duration;

use egress_core::catalog::InUse;
use egress_core::id::ProviderId;
use egress_core::wireguard::ConflictKey;

use super::*;

async fn a_claim_takes_the_first_candidate_with_room<G: Ground>() {
    let store = G::new().open();
    let candidates = vec![candidate(1, Some(1)), candidate(2, Some(1))];
    let first = store.claim(session("a"), candidates.clone()).await.unwrap();
    let second = store.claim(session("b"), candidates.clone()).await.unwrap();
    let third = store.claim(session("c"), candidates).await.unwrap();
    assert_eq!((credential_of(&first), credential_of(&second)), (credential(1), credential(2)));
    assert_eq!(third, Claim::LimitReached);
}

async fn the_same_session_gets_the_same_lease_and_counts_once<G: Ground>() {
    let store = G::new().open();
    let first = store.claim(session("a"), vec![candidate(1, Some(1))]).await.unwrap();
    let again = store.claim(session("a"), vec![candidate(1, Some(1))]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(store.in_use().credential(credential(1)), 1);
    let elsewhere = store.claim(session("a"), vec![candidate(2, None)]).await.unwrap();
    assert_eq!(elsewhere, Claim::HoldsAnother { credential: credential(1) });
}

async fn sixty_four_claimants_on_a_limit_of_eight_make_exactly_eight<G: Ground>() {
    let store = G::new().open();
    let claims = (0..64).map(|nth| {
        let store = store.clone();
        tokio::spawn(async move {
            store.claim(session(&format!("s{nth}")), vec![candidate(1, Some(8))]).await.unwrap()
        })
    });
    let mut taken = 0;
    for claim in claims.collect::<Vec<_>>() {
        taken += u32::from(matches!(claim.await.unwrap(), Claim::Taken { .. }));
    }
    assert_eq!(taken, 8);
    assert_eq!(store.in_use().credential(credential(1)), 8);
}

async fn a_key_that_is_live_is_not_given_twice_and_the_next_candidate_is_tried<G: Ground>() {
    let store = G::new().open();
    let keyed = |number, key| Candidate {
        conflict_keys: vec![ConflictKey([key; 32])],
        ..candidate(number, None)
    };
    store.claim(session("a"), vec![keyed(1, 9)]).await.unwrap();
    assert!(store.in_use().key_taken(&ConflictKey([9; 32])));
    let taken = store.claim(session("b"), vec![keyed(2, 9)]).await.unwrap();
    assert_eq!(taken, Claim::KeyInUse);
    let other = store.claim(session("b"), vec![keyed(2, 9), keyed(3, 8)]).await.unwrap();
    assert_eq!(credential_of(&other), credential(3));
    store.release(&session("a"), Duration::ZERO).await.unwrap();
    let free = store.claim(session("c"), vec![keyed(2, 9)]).await.unwrap();
    assert_eq!(credential_of(&free), credential(2));
}

async fn credentials_of_one_account_share_its_limit<G: Ground>() {
    let store = G::new().open();
    let provider = ProviderId::from_bytes([1; 16]);
    let shared = |number| Candidate {
        account: Some((provider, String::from("acme"))),
        ..candidate(number, Some(2))
    };
    for name in ["a", "b", "c"] {
        store.claim(session(name), vec![shared(1), shared(2)]).await.unwrap();
    }
    assert_eq!(store.in_use().account(provider, "acme"), 2);
    let refused = store.claim(session("c"), vec![shared(2)]).await.unwrap();
    assert_eq!(refused, Claim::LimitReached);
    store.release(&session("a"), Duration::ZERO).await.unwrap();
    let taken = store.claim(session("c"), vec![shared(2)]).await.unwrap();
    assert_eq!(credential_of(&taken), credential(2));
}

async fn a_lowered_limit_drains_and_a_raised_one_gives_room<G: Ground>() {
    let store = G::new().open();
    for name in ["a", "b", "c"] {
        store.claim(session(name), vec![candidate(1, Some(3))]).await.unwrap();
    }
    store.release(&session("a"), Duration::ZERO).await.unwrap();
    let lowered = store.claim(session("d"), vec![candidate(1, Some(2))]).await.unwrap();
    assert_eq!(lowered, Claim::LimitReached, "two of two are in use");
    store.release(&session("b"), Duration::ZERO).await.unwrap();
    let drained = store.claim(session("d"), vec![candidate(1, Some(2))]).await.unwrap();
    assert_eq!(credential_of(&drained), credential(1));
    let raised = store.claim(session("e"), vec![candidate(1, Some(3))]).await.unwrap();
    assert_eq!(credential_of(&raised), credential(1));
}

async fn a_cooling_slot_counts_until_its_time_is_over_also_after_a_restart<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    store.claim(session("a"), vec![candidate(1, Some(1))]).await.unwrap();
    store.release(&session("a"), Duration::from_millis(700)).await.unwrap();
    store.release(&session("a"), Duration::ZERO).await.unwrap();
    assert_eq!(store.in_use().credential(credential(1)), 1);
    assert!(store.leases().await.unwrap().is_empty(), "nobody has it");
    let early = store.claim(session("b"), vec![candidate(1, Some(1))]).await.unwrap();
    assert_eq!(early, Claim::LimitReached);

    store.close().await;
    let store = fixture.open();
    let early = store.claim(session("b"), vec![candidate(1, Some(1))]).await.unwrap();
    assert_eq!(early, Claim::LimitReached);
    let mut in_use = store.watch_in_use();
    let free = in_use.wait_for(|in_use| in_use.credential(credential(1)) == 0);
    drop(tokio::time::timeout(Duration::from_secs(5), free).await.expect("it never cooled"));
    let late = store.claim(session("b"), vec![candidate(1, Some(1))]).await.unwrap();
    assert_eq!(credential_of(&late), credential(1));
}

on_every_engine! {
    a_claim_takes_the_first_candidate_with_room
    the_same_session_gets_the_same_lease_and_counts_once
    sixty_four_claimants_on_a_limit_of_eight_make_exactly_eight
    a_key_that_is_live_is_not_given_twice_and_the_next_candidate_is_tried
    credentials_of_one_account_share_its_limit
    a_lowered_limit_drains_and_a_raised_one_gives_room
    a_cooling_slot_counts_until_its_time_is_over_also_after_a_restart
}
