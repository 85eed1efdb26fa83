//! What of secrets is on disk, and which key opens it.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::Document;
use serde_json::json;

use super::*;

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn canaries() -> Vec<Vec<u8>> {
    let keys = [KEY_CANARY, PRESHARED_CANARY];
    let raw = keys.iter().map(|key| key.to_vec());
    let encoded = keys.iter().map(|key| STANDARD.encode(key).into_bytes());
    let texts = [PASSWORD_CANARY, CUSTOM_CANARY].map(|text| text.as_bytes().to_vec());
    raw.chain(encoded).chain(texts).collect()
}

fn assert_no_canary(fixture: &Fixture, when: &str) {
    no_canary_in(&fixture.on_disk(), when);
}

fn no_canary_in(disk: &[u8], when: &str) {
    assert!(contains(disk, b"least-used"), "the search itself finds nothing {when}");
    for canary in canaries() {
        let text = String::from_utf8_lossy(&canary).into_owned();
        assert!(!contains(disk, &canary), "{text} is on disk {when}");
    }
}

async fn apply(store: &dyn Store, document: Document, prune: bool) {
    store.apply(document, prune, false).await.unwrap();
}

#[tokio::test]
async fn no_secret_is_on_disk_in_clear_whatever_is_done() {
    let fixture = Fixture::new();
    let store = fixture.open();
    apply(&store, document(full()), false).await;
    assert_no_canary(&fixture, "after an apply");
    let mut copy = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut copy).unwrap();
    no_canary_in(&copy, "in a copy");
    let mut changed = full();
    changed["credential"][0]["mtu"] = json!(1300);
    changed["gateway"][0]["city"] = json!("Lund");
    apply(&store, document(changed), false).await;
    store.rotate_key(&fixture.key_path()).await.unwrap();
    assert_no_canary(&fixture, "after a rotation");
    let mut fewer = full();
    fewer["credential"] = json!([]);
    apply(&store, document(fewer), true).await;
    assert_no_canary(&fixture, "after a removal");
    store.close().await;
    assert_no_canary(&fixture, "after the store was closed");
}

#[tokio::test]
async fn after_a_rotation_the_new_key_opens_everything_and_the_old_one_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    apply(&store, document(full()), false).await;
    let before = store.catalog();
    store.rotate_key(&fixture.key_path()).await.unwrap();
    let log = fs::metadata(fixture.path().with_extension("db-wal")).unwrap().len();
    assert_eq!(log, 0, "the log keeps keys that the former master key opens");
    apply(&store, workspaces("more", &["w"]), false).await;
    store.close().await;
    let error = SqliteStore::open(&fixture.path(), fixture.key.clone()).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    let next = MasterKey::load_or_create(&fixture.key_path()).unwrap();
    let after = SqliteStore::open(&fixture.path(), next).unwrap().catalog();
    assert_eq!(after.records().credentials, before.records().credentials);
    assert_eq!(after.records().gateways, before.records().gateways);
}

#[tokio::test]
async fn a_rotation_that_cannot_keep_its_key_changes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    apply(&store, document(full()), false).await;
    let nowhere = fixture.key_path().join("not/a/directory");
    let error = store.rotate_key(&nowhere).await.unwrap_err();
    assert!(matches!(error, RotateError::Key(_)), "{error:?}");
    store.close().await;
    fixture.open();
}
