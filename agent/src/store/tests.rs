//! What every store keeps, whatever happens to its process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use egress_core::api::{AttachRequest, ContainmentProfile, NetnsRef, SessionState};
use egress_core::catalog::{Candidate, InUse, Subject};
use egress_core::id::{CredentialId, ProviderId, SessionId};
use egress_core::wireguard::ConflictKey;
use tempfile::TempDir;

use super::*;

/// A store in a directory of its own, and the key that opens it.
pub(super) struct Fixture {
    dir: TempDir,
    pub(super) key: MasterKey,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: MasterKey::generate() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("state/store.db")
    }

    pub(super) fn open(&self) -> Store {
        Store::open(&self.path(), self.key.clone()).unwrap()
    }

    /// Everything that the store has put on disk.
    pub(super) fn on_disk(&self) -> Vec<u8> {
        let files = fs::read_dir(self.path().parent().unwrap()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

pub(super) fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

pub(super) fn credential(number: u8) -> CredentialId {
    CredentialId::from_bytes([number; 16])
}

pub(super) fn candidate(number: u8, limit: Option<u32>) -> Candidate {
    Candidate { credential: credential(number), limit, account: None, conflict_keys: Vec::new() }
}

fn row(name: &str) -> SessionRow {
    SessionRow {
        request: AttachRequest {
            session_id: session(name),
            netns: NetnsRef::Path(PathBuf::from("/run/netns/x")),
            subject: Subject { user: Some(String::from("ann")), ..Subject::default() },
            gateway: None,
            profile: ContainmentProfile::Sealed,
            deadline_ms: 10_000,
        },
        gateway: None,
        credential: Some(credential(7)),
        netns: NetnsIdentity { boot_id: String::from("b"), cookie: u64::MAX },
        found_by: NetnsRef::Pid(4711),
        interface: Some(String::from("eg0")),
        tunnel: Some(1 << 63),
        addresses: vec!["10.0.0.2/32".parse().unwrap(), "fd00::2/128".parse().unwrap()],
        dns: vec!["10.0.0.1".parse().unwrap()],
        search: vec![String::from("corp.example")],
        mtu: Some(1420),
        generation: 3,
        state: SessionState::Connecting,
        reason: None,
        endpoint: Some("[2001:db8::1]:51820".parse().unwrap()),
        created_at: 1_700_000_000,
    }
}

fn credential_of(claim: &Claim) -> CredentialId {
    match claim {
        Claim::Taken { credential, .. } => *credential,
        Claim::LimitReached | Claim::KeyInUse | Claim::HoldsAnother { .. } => {
            panic!("not taken: {claim:?}")
        }
    }
}

#[tokio::test]
async fn a_claim_takes_the_first_candidate_with_room() {
    let store = Fixture::new().open();
    let candidates = vec![candidate(1, Some(1)), candidate(2, Some(1))];
    let first = store.claim(session("a"), candidates.clone()).await.unwrap();
    let second = store.claim(session("b"), candidates.clone()).await.unwrap();
    let third = store.claim(session("c"), candidates).await.unwrap();
    assert_eq!((credential_of(&first), credential_of(&second)), (credential(1), credential(2)));
    assert_eq!(third, Claim::LimitReached);
}

#[tokio::test]
async fn the_same_session_gets_the_same_lease_and_counts_once() {
    let store = Fixture::new().open();
    let first = store.claim(session("a"), vec![candidate(1, Some(1))]).await.unwrap();
    let again = store.claim(session("a"), vec![candidate(1, Some(1))]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(store.in_use().credential(credential(1)), 1);
    let elsewhere = store.claim(session("a"), vec![candidate(2, None)]).await.unwrap();
    assert_eq!(elsewhere, Claim::HoldsAnother { credential: credential(1) });
}

#[tokio::test]
async fn sixty_four_claimants_on_a_limit_of_eight_make_exactly_eight() {
    let store = Fixture::new().open();
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

#[tokio::test]
async fn a_key_that_is_live_is_not_given_twice_and_the_next_candidate_is_tried() {
    let store = Fixture::new().open();
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

#[tokio::test]
async fn credentials_of_one_account_share_its_limit() {
    let store = Fixture::new().open();
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

#[tokio::test]
async fn a_lowered_limit_drains_and_a_raised_one_gives_room() {
    let store = Fixture::new().open();
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

#[tokio::test]
async fn a_cooling_slot_counts_until_its_time_is_over_also_after_a_restart() {
    let fixture = Fixture::new();
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
