//! Applying documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{Change, Expected, Named, NotChanged, RecordKind};
use egress_core::wireguard::{ConflictKey, key};
use serde_json::json;

use super::*;

async fn every_field_of_every_record_survives_a_restart<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    let report = store.apply(document(full()), false, false).await.unwrap().report;
    assert_eq!(report.created.len(), 11, "{report:?}");
    let before = store.catalog();
    store.close().await;

    let store = fixture.open();
    assert_eq!(store.catalog().records(), before.records());
    let again = store.apply(document(full()), false, false).await.unwrap().report;
    assert_eq!((again.unchanged, again.created.len(), again.updated.len()), (11, 0, 0));
    let Named::One(gateway) = before.gateway_named("wg/se-1") else { panic!("no gateway") };
    assert!(gateway.config.contains(&STANDARD.encode(PRESHARED_CANARY)));
}

async fn a_document_with_one_fault_changes_nothing<G: Ground>() {
    let store = G::new().open();
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

async fn a_dry_run_says_what_would_change_and_changes_nothing<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    let report = store.apply(document(full()), false, true).await.unwrap().report;
    assert!(report.dry_run);
    assert_eq!(report.created.len(), 11);
    assert!(store.catalog().records().providers.is_empty());
    store.close().await;
    assert!(fixture.open().catalog().records().providers.is_empty());
}

async fn prune_removes_only_what_the_same_source_made<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    store.apply(workspaces("a.toml", &["a1", "a2"]), false, false).await.unwrap();
    store.apply(workspaces("b.toml", &["b1", "b2"]), false, false).await.unwrap();
    store.close().await;

    let store = fixture.open();
    let report = store.apply(workspaces("a.toml", &["a2"]), true, false).await.unwrap().report;
    assert_eq!(report.removed, ["workspace a1"]);
    let left: Vec<_> =
        store.catalog().records().workspaces.iter().map(|it| it.name.clone()).collect();
    assert_eq!(left, ["a2", "b1", "b2"]);
}

async fn a_record_belongs_to_the_source_that_named_it_last<G: Ground>() {
    let store = G::new().open();
    store.apply(workspaces("a.toml", &["moved"]), false, false).await.unwrap();
    store.apply(workspaces("b.toml", &["moved"]), false, false).await.unwrap();
    let report = store.apply(workspaces("a.toml", &[]), true, false).await.unwrap().report;
    assert!(report.removed.is_empty(), "{report:?}");
    let report = store.apply(workspaces("b.toml", &[]), true, false).await.unwrap().report;
    assert_eq!(report.removed, ["workspace moved"]);
}

async fn one_record_is_made_changed_and_removed<G: Ground>() {
    let fixture = G::new();
    let store = fixture.open();
    let fields = |value: serde_json::Value| value.as_object().unwrap().clone();
    let kind = RecordKind::Credential;
    store.apply(document(full()), false, false).await.unwrap();
    let made = json!({"provider": "own", "name": "new", "user": "ann", "custom": "x"});
    let change = Change::Create { kind, fields: fields(made) };
    let record = store.change(change).await.unwrap().record;
    let patch = fields(json!({"custom": "y", "enabled": false}));
    let expected = Expected::Versions([1].into());
    let change = Change::Update { record: record.clone(), patch, expected };
    store.change(change.clone()).await.unwrap();
    let error = store.change(change).await.unwrap_err();
    assert!(matches!(error, ChangeError::Refused(NotChanged::OtherVersion(2))), "{error:?}");
    store.close().await;

    let store = fixture.open();
    let credential = store.catalog().credential(record.credential().unwrap()).unwrap().clone();
    assert_eq!((credential.version, credential.secret_version), (2, 2));
    assert!(!credential.enabled);
    let change = Change::Remove { record: record.clone(), cascade: false, expected: Expected::Any };
    assert_eq!(store.change(change).await.unwrap().removed, ["credential own/new"]);
    // What an apply made is still only that apply's to prune.
    let pruned = store.apply(workspaces("full", &[]), true, false).await.unwrap().report;
    assert_eq!(pruned.removed.len(), 11);
    store.close().await;
    assert_eq!(fixture.open().catalog().records(), egress_core::catalog::Records::default());
}

async fn two_records_may_swap_their_names<G: Ground>() {
    let fixture = G::new();
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

async fn a_session_outlives_its_records<G: Ground>() {
    let store = G::new().open();
    store.apply(document(full()), false, false).await.unwrap();
    let used = store.catalog().records().credentials[0].id;
    let candidate = Candidate { credential: used, ..candidate(0, Some(3)) };
    store.claim(session("a"), vec![candidate]).await.unwrap();
    let held = |store: &dyn Store| {
        let view =
            store.connections().connections.into_iter().find(|view| view.credential_id == used);
        view.expect("a credential in use is listed")
    };
    assert_eq!((held(&*store).name.as_str(), held(&*store).limit), ("ann", Some(3)));
    store.apply(document(json!({"source": "full"})), true, false).await.unwrap();
    assert!(store.catalog().credential(used).is_none());
    assert_eq!((held(&*store).in_use, held(&*store).sessions), (1, vec![session("a")]));
}

async fn connections_are_counted_per_account_and_per_key_too<G: Ground>() {
    let store = G::new().open();
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

async fn who_watches_sees_each_new_catalog<G: Ground>() {
    let store = G::new().open();
    let mut catalogs = store.subscribe();
    store.apply(workspaces("a", &["a1"]), false, false).await.unwrap();
    assert!(catalogs.has_changed().unwrap());
    assert_eq!(catalogs.borrow_and_update().records().workspaces.len(), 1);
}

on_every_engine! {
    one_record_is_made_changed_and_removed
    every_field_of_every_record_survives_a_restart
    a_document_with_one_fault_changes_nothing
    a_dry_run_says_what_would_change_and_changes_nothing
    prune_removes_only_what_the_same_source_made
    a_record_belongs_to_the_source_that_named_it_last
    two_records_may_swap_their_names
    a_session_outlives_its_records
    connections_are_counted_per_account_and_per_key_too
    who_watches_sees_each_new_catalog
}
