//! One record created, changed, removed; and what that means to sessions that run.

use std::collections::BTreeSet;

use egress_core::catalog::{
    Catalog, Change, Changed, CredentialSecret, Expected, GatewayScope, NotChanged, Owner,
    RecordId, RecordKind, Records, Running, Subject,
};
use egress_core::fault::Severity;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::lab::*;

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("{value} is no object") };
    fields
}

/// A provider, two gateways, a mapping and a credential of ann's.
fn records() -> Records {
    Records {
        providers: vec![provider(1)],
        gateways: vec![gateway(1, 1), gateway(2, 1)],
        mappings: vec![mapping(1, 1, "user:ann")],
        credentials: vec![credential(1, 1, "user:ann")],
        workspaces: vec![workspace("firefox")],
    }
}

fn catalog() -> Catalog {
    Catalog::new(records()).unwrap().0
}

fn carry_out(catalog: &Catalog, change: Change) -> Result<Changed, NotChanged> {
    change.against(catalog, || Uuid::from_u128(77))
}

fn create(catalog: &Catalog, kind: RecordKind, value: Value) -> Result<Changed, NotChanged> {
    carry_out(catalog, Change::Create { kind, fields: fields(value) })
}

fn update(catalog: &Catalog, record: RecordId, patch: Value) -> Result<Changed, NotChanged> {
    let change = Change::Update { record, patch: fields(patch), expected: Expected::Any };
    carry_out(catalog, change)
}

fn remove(catalog: &Catalog, record: RecordId, cascade: bool) -> Result<Changed, NotChanged> {
    carry_out(catalog, Change::Remove { record, cascade, expected: Expected::Any })
}

fn credential_1() -> RecordId {
    RecordId::Credential(credential_id(1))
}

/// The fields of the faults of a change that is not sound.
fn faulty_fields(result: Result<Changed, NotChanged>) -> Vec<Option<String>> {
    let Err(NotChanged::Faulty(faults)) = result else { panic!("{result:?}") };
    faults.0.into_iter().map(|fault| fault.field).collect()
}

#[test]
fn a_record_of_each_kind_is_made_of_an_entrys_fields() {
    let made = [
        (RecordKind::Provider, json!({"name": "new", "type": "custom"})),
        (RecordKind::Gateway, json!({"provider": "p1", "name": "new", "config": config(9)})),
        (RecordKind::Mapping, json!({"provider": "p1", "group": "new"})),
        (
            RecordKind::Credential,
            json!({"provider": "p1", "name": "new", "group": "g", "private_key": private_key_text(9)}),
        ),
        (RecordKind::Workspace, json!({"name": "new"})),
    ];
    for (kind, value) in made {
        let changed = create(&catalog(), kind, value).unwrap();
        assert_eq!(changed.record.kind(), kind);
        assert_eq!(changed.plan.catalog.version(&changed.record), Some(1), "{kind:?}");
        assert_eq!(changed.plan.created.len(), 1);
    }
}

#[test]
fn a_record_that_is_there_is_not_made_again() {
    let named = json!({"name": "p1", "type": "wireguard"});
    let exists = NotChanged::Exists(RecordId::Provider(provider_id(1)));
    assert_eq!(create(&catalog(), RecordKind::Provider, named).unwrap_err(), exists);
    let same_id = json!({"id": provider_id(1).to_string(), "name": "x", "type": "custom"});
    assert_eq!(create(&catalog(), RecordKind::Provider, same_id).unwrap_err(), exists);
    let workspace = create(&catalog(), RecordKind::Workspace, json!({"name": "firefox"}));
    assert_eq!(
        workspace.unwrap_err(),
        NotChanged::Exists(RecordId::Workspace("firefox".to_owned()))
    );
}

#[test]
fn all_faults_of_a_new_record_come_at_once_with_their_fields_and_lines() {
    let broken = config(9).replace("198.51.100.1:51820", "nowhere");
    let value = json!({"provider": "p2", "name": "", "config": broken, "colour": "red"});
    assert_eq!(
        faulty_fields(create(&catalog(), RecordKind::Gateway, value)),
        [Some("colour".to_owned())]
    );
    let value = json!({"provider": "p1", "name": "", "config": broken});
    let Err(NotChanged::Faulty(faults)) = create(&catalog(), RecordKind::Gateway, value) else {
        panic!("it was made")
    };
    let found: Vec<_> =
        faults.0.iter().map(|fault| (fault.field.as_deref().unwrap(), fault.line)).collect();
    assert!(found.contains(&("name", None)), "{found:?}");
    assert!(found.contains(&("config.Peer.Endpoint", Some(5))), "{found:?}");
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let catalog = catalog();
    let gateway = RecordId::Gateway(gateway_id(1));
    let changed = update(&catalog, gateway, json!({"enabled": false, "city": null})).unwrap();
    let (before, after) = (catalog.gateway(gateway_id(1)).unwrap(), changed.plan.catalog);
    let after = after.gateway(gateway_id(1)).unwrap();
    let mut wanted = before.clone();
    wanted.enabled = false;
    wanted.city = String::new();
    wanted.version = 2;
    assert_eq!(*after, wanted);
    assert_eq!(after.config, before.config);
}

#[test]
fn a_patch_of_what_is_there_already_changes_nothing() {
    let changed = update(&catalog(), credential_1(), json!({"name": "c1"})).unwrap();
    assert_eq!(changed.plan.unchanged, 1);
    assert_eq!(changed.plan.catalog.records(), catalog().records());
}

#[test]
fn secrets_stay_unless_they_are_replaced_and_cannot_be_removed() {
    let catalog = catalog();
    let versions = |changed: &Changed| {
        let credential = changed.plan.catalog.credential(credential_id(1)).unwrap().clone();
        (credential.version, credential.secret_version, credential.secret)
    };
    let renamed = update(&catalog, credential_1(), json!({"name": "new"})).unwrap();
    assert_eq!(versions(&renamed), (2, 1, CredentialSecret::PrivateKey(private_key(1))));
    let rotated =
        update(&catalog, credential_1(), json!({"private_key": private_key_text(9)})).unwrap();
    assert_eq!(versions(&rotated), (2, 2, CredentialSecret::PrivateKey(private_key(9))));
    let other_address = update(&catalog, credential_1(), json!({"address": "10.9.9.9"})).unwrap();
    assert_eq!(versions(&other_address).1, 2);
    let removed = update(&catalog, credential_1(), json!({"private_key": null}));
    assert_eq!(faulty_fields(removed), [Some("private_key".to_owned())]);
}

#[test]
fn a_preshared_key_is_removed_with_null() {
    let catalog = catalog();
    let key = json!({"preshared_key": private_key_text(5)});
    let with = update(&catalog, credential_1(), key).unwrap().plan.catalog;
    let has = |catalog: &Catalog| {
        catalog.credential(credential_id(1)).unwrap().overrides.preshared_key.is_some()
    };
    assert!(has(&with));
    let kept = update(&with, credential_1(), json!({"mtu": 1400})).unwrap().plan.catalog;
    assert!(has(&kept));
    let without = update(&kept, credential_1(), json!({"preshared_key": null})).unwrap();
    assert!(!has(&without.plan.catalog));
}

#[test]
fn a_new_owner_takes_the_place_of_the_old_one() {
    let changed = update(&catalog(), credential_1(), json!({"group": "staff"})).unwrap();
    let credential = changed.plan.catalog.credential(credential_id(1)).unwrap();
    assert_eq!(credential.owner, Owner::Group("staff".to_owned()));
    let nobody = update(&catalog(), credential_1(), json!({"user": null}));
    assert_eq!(faulty_fields(nobody), [None]);
    let two = update(&catalog(), credential_1(), json!({"user": "a", "group": "b"}));
    assert_eq!(faulty_fields(two), [None]);
}

#[test]
fn a_limit_is_raised_lowered_and_taken_off_but_is_never_zero() {
    let limit = |patch: Value| {
        let changed = update(&catalog(), credential_1(), patch).ok()?;
        Some(changed.plan.catalog.credential(credential_id(1))?.limit.map(u32::from))
    };
    assert_eq!(limit(json!({"active_connection_limit": 5})), Some(Some(5)));
    assert_eq!(limit(json!({"limit_active_connections": false})), Some(None));
    assert_eq!(limit(json!({"active_connection_limit": null})), Some(None));
    for wrong in [json!(0), json!(-1), json!(1.5), json!("5")] {
        assert_eq!(limit(json!({ "active_connection_limit": wrong })), None);
    }
    assert_eq!(limit(json!({"limit_active_connections": true})), None);
}

#[test]
fn a_record_keeps_its_key() {
    let other = Uuid::from_u128(5).to_string();
    assert_eq!(
        faulty_fields(update(&catalog(), credential_1(), json!({ "id": other }))),
        [Some("id".to_owned())]
    );
    let workspace = RecordId::Workspace("firefox".to_owned());
    assert_eq!(
        faulty_fields(update(&catalog(), workspace.clone(), json!({"name": "chrome"}))),
        [Some("name".to_owned())]
    );
    update(&catalog(), workspace, json!({"name": "firefox", "egress": "optional"})).unwrap();
}

#[test]
fn a_change_for_another_version_is_not_made() {
    let expecting = |versions: &[u64]| {
        let expected = Expected::Versions(versions.iter().copied().collect());
        let (record, patch) = (credential_1(), fields(json!({"name": "new"})));
        carry_out(&catalog(), Change::Update { record, patch, expected })
    };
    expecting(&[1]).unwrap();
    expecting(&[7, 1]).unwrap();
    assert_eq!(expecting(&[2]).unwrap_err(), NotChanged::OtherVersion(1));
    assert_eq!(expecting(&[]).unwrap_err(), NotChanged::OtherVersion(1));
    let gone = RecordId::Mapping(mapping(9, 1, "user:x").id);
    assert_eq!(update(&catalog(), gone, json!({})).unwrap_err(), NotChanged::NoSuchRecord);
}

#[test]
fn a_change_that_would_make_another_record_unsound_is_not_made() {
    let mut records = records();
    records.providers[0].split = true;
    records.gateways[0].config = config(1).replace("0.0.0.0/0", "10.0.0.0/8");
    let catalog = Catalog::new(records).unwrap().0;
    let provider = RecordId::Provider(provider_id(1));
    let fields = faulty_fields(update(&catalog, provider, json!({"split": false})));
    assert!(fields[0].as_ref().unwrap().starts_with("gateways[p1/g1].config"), "{fields:?}");
}

#[test]
fn what_others_need_is_removed_with_them_or_not_at_all() {
    let provider = RecordId::Provider(provider_id(1));
    let Err(NotChanged::Needed(needed)) = remove(&catalog(), provider.clone(), false) else {
        panic!("it was removed")
    };
    let needed: Vec<_> = needed.into_iter().map(|finding| finding.message).collect();
    let wanted = [
        "gateway p1/g1 belongs to it",
        "gateway p1/g2 belongs to it",
        "mapping p1 user:ann belongs to it",
        "credential p1/c1 belongs to it",
    ];
    assert_eq!(needed, wanted);
    let changed = remove(&catalog(), provider, true).unwrap();
    assert_eq!(changed.plan.removed.len(), 5);
    let left = changed.plan.catalog;
    assert_eq!(left.records().workspaces.len(), 1);
    assert!(left.records().providers.is_empty() && left.records().gateways.is_empty());
}

#[test]
fn a_list_that_loses_its_last_gateway_allows_none() {
    let mut records = records();
    records.mappings[0].gateways = selected(&[1]);
    records.credentials[0].gateways = selected(&[1, 2]);
    let catalog = Catalog::new(records).unwrap().0;
    let gateway = RecordId::Gateway(gateway_id(1));
    let refused = remove(&catalog, gateway.clone(), false);
    assert!(matches!(refused, Err(NotChanged::Needed(needed)) if needed.len() == 2));
    let changed = remove(&catalog, gateway, true).unwrap();
    let Records { mappings, credentials, .. } = changed.plan.catalog.records();
    assert_eq!(mappings[0].gateways, GatewayScope::Selected(BTreeSet::new()));
    assert_eq!(credentials[0].gateways, selected(&[2]));
    assert_eq!((mappings[0].version, credentials[0].version), (2, 2));
    assert_eq!(changed.findings.len(), 1, "{:?}", changed.findings);
    assert_eq!(changed.findings[0].severity, Severity::Warning);
}

/// Ann's session through g1 with c1.
fn is_outdated(former: &Catalog, change: Change) -> bool {
    let changed = carry_out(former, change).unwrap();
    let subject = Subject { user: Some("ann".to_owned()), ..Subject::default() };
    let (gateway, credential) = (gateway_id(1), credential_id(1));
    let running = Running { subject: &subject, gateway, credential, secret_version: Some(1) };
    running.outdated_by(former, &changed.plan.catalog, &changed.named).is_some()
}

fn patch(record: RecordId, patch: Value) -> Change {
    Change::Update { record, patch: fields(patch), expected: Expected::Any }
}

#[test]
fn a_session_is_outdated_by_what_it_could_not_come_up_with_again() {
    let mut records = records();
    records.credentials.push(credential(2, 1, "user:ann"));
    let catalog = Catalog::new(records).unwrap().0;
    let off = || json!({"enabled": false});
    let gone = |record| Change::Remove { record, cascade: true, expected: Expected::Any };
    let mapping_1 = RecordId::Mapping(mapping(1, 1, "user:ann").id);
    for outdating in [
        patch(RecordId::Provider(provider_id(1)), off()),
        patch(RecordId::Gateway(gateway_id(1)), off()),
        patch(RecordId::Gateway(gateway_id(1)), json!({ "config": config(9) })),
        patch(mapping_1.clone(), off()),
        patch(mapping_1.clone(), json!({"gateways": ["g2"]})),
        patch(mapping_1.clone(), json!({"user": "bob"})),
        patch(credential_1(), off()),
        patch(credential_1(), json!({ "private_key": private_key_text(9) })),
        patch(credential_1(), json!({"gateways": ["g2"]})),
        gone(RecordId::Provider(provider_id(1))),
        gone(RecordId::Gateway(gateway_id(1))),
        gone(mapping_1),
        gone(credential_1()),
    ] {
        assert!(is_outdated(&catalog, outdating.clone()), "{outdating:?}");
    }
}

#[test]
fn a_session_is_not_outdated_by_what_it_does_not_need() {
    let mut records = records();
    records.credentials.push(credential(2, 1, "user:ann"));
    let catalog = Catalog::new(records).unwrap().0;
    for harmless in [
        patch(RecordId::Provider(provider_id(1)), json!({"name": "new"})),
        patch(RecordId::Gateway(gateway_id(1)), json!({"city": "Malmö"})),
        patch(RecordId::Gateway(gateway_id(2)), json!({"enabled": false})),
        patch(credential_1(), json!({"active_connection_limit": 1, "name": "new"})),
        patch(RecordId::Credential(credential_id(2)), json!({"enabled": false})),
        patch(RecordId::Workspace("firefox".to_owned()), json!({"override_egress_gateways": true})),
    ] {
        assert!(!is_outdated(&catalog, harmless.clone()), "{harmless:?}");
    }
}

#[test]
fn what_was_disabled_before_outdates_a_session_when_it_is_named_again() {
    let mut records = records();
    records.gateways[0].enabled = false;
    let catalog = Catalog::new(records).unwrap().0;
    let again = patch(RecordId::Gateway(gateway_id(1)), json!({"enabled": false}));
    assert!(is_outdated(&catalog, again));
    let other = patch(RecordId::Workspace("firefox".to_owned()), json!({"egress": "optional"}));
    assert!(!is_outdated(&catalog, other));
}
