//! Applying documents, and what of them is on disk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{Document, Named};
use egress_core::wireguard::{ConflictKey, key};
use serde_json::{Value, json};

use super::*;

const KEY_CANARY: [u8; 32] = *b"canary-private-key-canary-32byte";
const PRESHARED_CANARY: [u8; 32] = *b"canary-preshared-key-canary-32by";
const PASSWORD_CANARY: &str = "canary-password-6f1d";
const CUSTOM_CANARY: &str = "canary-custom-secret-77ab";

fn config(preshared: &[u8; 32]) -> String {
    let (peer, preshared) = (STANDARD.encode([9; 32]), STANDARD.encode(preshared));
    format!(
        "[Interface]\nAddress = 10.2.0.2/32\n[Peer]\nPublicKey = {peer}\nPresharedKey = {preshared}\n\
         Endpoint = 192.0.2.1:51820\nAllowedIPs = 0.0.0.0/0\n"
    )
}

fn full() -> Value {
    let key = STANDARD.encode(KEY_CANARY);
    let preshared = STANDARD.encode(PRESHARED_CANARY);
    json!({
        "source": "full",
        "provider": [
            {"name": "wg", "type": "wireguard", "selection": "least-used", "release_delay_s": 5},
            {"name": "ovpn", "type": "openvpn"},
            {"name": "own", "type": "custom"},
        ],
        "gateway": [
            {"provider": "wg", "name": "se-1", "country": "Sweden", "city": "Malmö",
             "config": config(&PRESHARED_CANARY),
             "expected_exit": {"addresses": ["192.0.2.0/24"], "country": "SE"}},
            {"provider": "wg", "name": "se-2", "config": config(&[7; 32]), "enabled": false},
        ],
        "mapping": [
            {"provider": "wg", "user": "ann", "gateways": ["se-1"]},
            {"provider": "wg", "group": "all"},
        ],
        "credential": [
            {"provider": "wg", "name": "ann", "user": "ann", "private_key": key,
             "preshared_key": preshared, "address": ["10.2.0.3/32"], "dns": ["10.2.0.1"],
             "mtu": 1380, "active_connection_limit": 3, "account": "acme", "gateways": ["se-2"]},
            {"provider": "ovpn", "name": "bob", "group": "all", "username": "bob",
             "password": PASSWORD_CANARY},
            {"provider": "own", "name": "eve", "workspace": "firefox", "custom": CUSTOM_CANARY},
        ],
        "workspace": [{"name": "firefox", "egress": "optional", "override_egress_gateways": true}],
    })
}

fn document(value: Value) -> Document {
    Document::from_value(value).unwrap().0
}

fn workspaces(source: &str, names: &[&str]) -> Document {
    let records: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    document(json!({"source": source, "workspace": records}))
}

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
    let disk = fixture.on_disk();
    assert!(contains(&disk, b"least-used"), "the search itself finds nothing {when}");
    for canary in canaries() {
        let text = String::from_utf8_lossy(&canary).into_owned();
        assert!(!contains(&disk, &canary), "{text} is on disk {when}");
    }
}

#[tokio::test]
async fn every_field_of_every_record_survives_a_restart() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let report = store.apply(document(full()), false, false).await.unwrap();
    assert_eq!(report.created.len(), 11, "{report:?}");
    let before = store.catalog();
    store.close().await;

    let store = fixture.open();
    assert_eq!(store.catalog().records(), before.records());
    let again = store.apply(document(full()), false, false).await.unwrap();
    assert_eq!((again.unchanged, again.created.len(), again.updated.len()), (11, 0, 0));
    let Named::One(gateway) = before.gateway_named("wg/se-1") else { panic!("no gateway") };
    assert!(gateway.config.contains(&STANDARD.encode(PRESHARED_CANARY)));
}

#[tokio::test]
async fn no_secret_is_on_disk_in_clear_whatever_is_done() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.apply(document(full()), false, false).await.unwrap();
    assert_no_canary(&fixture, "after an apply");
    let mut changed = full();
    changed["credential"][0]["mtu"] = json!(1300);
    changed["gateway"][0]["city"] = json!("Lund");
    store.apply(document(changed), false, false).await.unwrap();
    store.rotate_key(&fixture.key_path()).await.unwrap();
    assert_no_canary(&fixture, "after a rotation");
    let mut fewer = full();
    fewer["credential"] = json!([]);
    store.apply(document(fewer), true, false).await.unwrap();
    assert_no_canary(&fixture, "after a removal");
    store.close().await;
    assert_no_canary(&fixture, "after the store was closed");
}

#[tokio::test]
async fn a_document_with_one_fault_changes_nothing() {
    let store = Fixture::new().open();
    store.apply(document(full()), false, false).await.unwrap();
    let before = store.catalog();
    let mut broken = full();
    broken["workspace"] = json!([{"name": "new"}]);
    broken["mapping"][0]["gateways"] = json!(["se-9"]);
    let error = store.apply(document(broken), false, false).await.unwrap_err();
    let ApplyError::Faults(faults) = error else { panic!("{error:?}") };
    assert!(faults.to_string().contains("mapping[0].gateways[0]"), "{faults}");
    assert_eq!(store.catalog().records(), before.records());
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let report = store.apply(document(full()), false, true).await.unwrap();
    assert!(report.dry_run);
    assert_eq!(report.created.len(), 11);
    assert!(store.catalog().records().providers.is_empty());
    store.close().await;
    assert!(fixture.open().catalog().records().providers.is_empty());
}

#[tokio::test]
async fn prune_removes_only_what_the_same_source_made() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.apply(workspaces("a.toml", &["a1", "a2"]), false, false).await.unwrap();
    store.apply(workspaces("b.toml", &["b1", "b2"]), false, false).await.unwrap();
    store.close().await;

    let store = fixture.open();
    let report = store.apply(workspaces("a.toml", &["a2"]), true, false).await.unwrap();
    assert_eq!(report.removed, ["workspace a1"]);
    let left: Vec<_> =
        store.catalog().records().workspaces.iter().map(|it| it.name.clone()).collect();
    assert_eq!(left, ["a2", "b1", "b2"]);
}

#[tokio::test]
async fn a_record_belongs_to_the_source_that_named_it_last() {
    let store = Fixture::new().open();
    store.apply(workspaces("a.toml", &["moved"]), false, false).await.unwrap();
    store.apply(workspaces("b.toml", &["moved"]), false, false).await.unwrap();
    let report = store.apply(workspaces("a.toml", &[]), true, false).await.unwrap();
    assert!(report.removed.is_empty(), "{report:?}");
    let report = store.apply(workspaces("b.toml", &[]), true, false).await.unwrap();
    assert_eq!(report.removed, ["workspace moved"]);
}

#[tokio::test]
async fn two_records_may_swap_their_names() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let provider = |id: u128, name: &str| json!({"id": uuid::Uuid::from_u128(id), "name": name, "type": "custom"});
    let named = |first, second| json!({"provider": [provider(1, first), provider(2, second)]});
    store.apply(document(named("a", "b")), false, false).await.unwrap();
    store.apply(document(named("b", "a")), false, false).await.unwrap();
    let before = store.catalog();
    store.close().await;
    assert_eq!(fixture.open().catalog().records(), before.records());
    assert_eq!(before.records().providers[0].name, "b");
}

#[tokio::test]
async fn a_session_outlives_its_records() {
    let store = Fixture::new().open();
    store.apply(document(full()), false, false).await.unwrap();
    let used = store.catalog().records().credentials[0].id;
    let candidate = Candidate { credential: used, ..candidate(0, Some(3)) };
    store.claim(session("a"), vec![candidate]).await.unwrap();
    let held = |store: &Store| {
        let view =
            store.connections().connections.into_iter().find(|view| view.credential_id == used);
        view.expect("a credential in use is listed")
    };
    assert_eq!((held(&store).name.as_str(), held(&store).limit), ("ann", Some(3)));
    store.apply(document(json!({"source": "full"})), true, false).await.unwrap();
    assert!(store.catalog().credential(used).is_none());
    assert_eq!((held(&store).in_use, held(&store).sessions), (1, vec![session("a")]));
}

#[tokio::test]
async fn connections_are_counted_per_account_and_per_key_too() {
    let store = Fixture::new().open();
    store.apply(document(full()), false, false).await.unwrap();
    let catalog = store.catalog();
    let ann = &catalog.records().credentials[0];
    let account = Some((ann.provider_id, String::from("acme")));
    let pair = ConflictKey([0xab; 32]);
    for (name, conflict_keys) in [("a", vec![pair]), ("b", Vec::new())] {
        let account = account.clone();
        let candidate = Candidate { credential: ann.id, limit: Some(3), account, conflict_keys };
        store.claim(session(name), vec![candidate]).await.unwrap();
    }
    let list = store.connections();
    let [account] = &list.accounts[..] else { panic!("{:?}", list.accounts) };
    assert_eq!((account.account.as_str(), account.provider.as_str()), ("acme", "wg"));
    assert_eq!((account.in_use, account.limit), (2, Some(3)));
    let public_key = key::encode_public(&catalog.public_key(ann.id).unwrap());
    let [key] = &list.keys[..] else { panic!("{:?}", list.keys) };
    assert_eq!(key.public_key.as_ref(), Some(&public_key));
    assert_eq!((key.in_use, &key.credential_ids), (2, &vec![ann.id]));
    assert_eq!(key.pairs, ["ab".repeat(32)]);

    let id = ann.id;
    store.apply(document(json!({"source": "full"})), true, false).await.unwrap();
    let list = store.connections();
    assert_eq!((list.accounts[0].in_use, list.accounts[0].limit), (2, None));
    let [key] = &list.keys[..] else { panic!("{:?}", list.keys) };
    assert_eq!((&key.public_key, &key.credential_ids, key.in_use), (&None, &vec![id], 1));
}

#[tokio::test]
async fn who_watches_sees_each_new_catalog() {
    let store = Fixture::new().open();
    let mut catalogs = store.subscribe();
    store.apply(workspaces("a", &["a1"]), false, false).await.unwrap();
    assert!(catalogs.has_changed().unwrap());
    assert_eq!(catalogs.borrow_and_update().records().workspaces.len(), 1);
}

#[tokio::test]
async fn after_a_rotation_the_new_key_opens_everything_and_the_old_one_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.apply(document(full()), false, false).await.unwrap();
    let before = store.catalog();
    store.rotate_key(&fixture.key_path()).await.unwrap();
    let log = fs::metadata(fixture.path().with_extension("db-wal")).unwrap().len();
    assert_eq!(log, 0, "the log keeps keys that the former master key opens");
    store.apply(workspaces("more", &["w"]), false, false).await.unwrap();
    store.close().await;
    let error = Store::open(&fixture.path(), fixture.key.clone()).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    let next = MasterKey::load_or_create(&fixture.key_path()).unwrap();
    let after = Store::open(&fixture.path(), next).unwrap().catalog();
    assert_eq!(after.records().credentials, before.records().credentials);
    assert_eq!(after.records().gateways, before.records().gateways);
}

#[tokio::test]
async fn a_rotation_that_cannot_keep_its_key_changes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.apply(document(full()), false, false).await.unwrap();
    let nowhere = fixture.key_path().join("not/a/directory");
    let error = store.rotate_key(&nowhere).await.unwrap_err();
    assert!(matches!(error, RotateError::Key(_)), "{error:?}");
    store.close().await;
    fixture.open();
}
