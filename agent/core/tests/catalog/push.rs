//! Snapshots of plugin services: each sentence of what a push does, and what one is refused for.

use egress_core::catalog::{
    Catalog, Document, ExpectedExit, Gateway, GatewayScope, Named, Push, PushError, Records,
    Snapshot,
};
use egress_core::fault::{Faults, Finding, Severity};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{
    Counts, ann, catalog, config, credential, gateway, mapping, offers, private_key_text, provider,
    provider_id,
};

/// Provider 1 with a plugin service, whose new gateways start enabled; a mapping and a credential
/// of user ann.
fn before() -> Records {
    let mut managed = provider(1);
    managed.managed = true;
    managed.enable_new_managed_gateways = true;
    Records {
        providers: vec![managed, provider(2)],
        mappings: vec![mapping(1, 1, "user:ann")],
        credentials: vec![credential(1, 1, "user:ann")],
        ..Records::default()
    }
}

fn entry(external_id: &str, peer: u128) -> Value {
    json!({
        "external_id": external_id,
        "name": format!("name of {external_id}"),
        "country": "SE",
        "city": "Borås",
        "config": config(peer),
    })
}

/// A snapshot of gateways `x-N` for each of these numbers.
fn snapshot(version: u64, numbers: &[u128]) -> Value {
    let gateways: Vec<_> = numbers.iter().map(|n| entry(&format!("x-{n}"), *n)).collect();
    json!({"version": version, "gateways": gateways})
}

fn read(snapshot: &Value) -> Snapshot {
    Snapshot::from_json(snapshot.to_string().as_bytes()).unwrap().0
}

fn push(existing: &Catalog, snapshot: &Value) -> Result<Push, PushError> {
    let mut next = 1_000 + existing.records().gateways.len() as u128;
    let new_id = || {
        next += 1;
        Uuid::from_u128(next)
    };
    read(snapshot).against(existing, provider_id(1), new_id)
}

#[track_caller]
fn pushed(existing: &Catalog, snapshot: &Value) -> Catalog {
    push(existing, snapshot).unwrap().catalog.expect("it changes something")
}

/// The faults of a snapshot, whether they are found when it is read or against what is there.
fn faults_of(existing: &Catalog, snapshot: &Value) -> Vec<Finding> {
    match Snapshot::from_json(snapshot.to_string().as_bytes()) {
        Err(Faults(findings)) => findings,
        Ok(_) => match push(existing, snapshot) {
            Err(PushError::Faults(Faults(findings))) => findings,
            other => panic!("it was taken, or refused for something else: {other:?}"),
        },
    }
}

fn known<'a>(catalog: &'a Catalog, external_id: &str) -> &'a Gateway {
    let known = |gateway: &&Gateway| gateway.external_id.as_deref() == Some(external_id);
    catalog.gateways_of(provider_id(1)).find(known).expect("there is such a gateway")
}

/// The catalog with a gateway switched by an admin, as an apply does it.
fn switched(existing: &Catalog, external_id: &str, enabled: bool) -> Catalog {
    let gateway = known(existing, external_id);
    let document = json!({"gateway": [{
        "id": gateway.id,
        "provider": "p1",
        "name": gateway.name,
        "country": gateway.country,
        "city": gateway.city,
        "config": gateway.config,
        "external_id": external_id,
        "enabled": enabled,
    }]});
    let (document, _) = Document::from_value(document).unwrap();
    let unknown = || unreachable!("the gateway has an id");
    document.against(existing, unknown).unwrap().0.catalog
}

fn first() -> Catalog {
    pushed(&catalog(before()), &snapshot(1, &[1, 2]))
}

#[test]
fn a_snapshot_makes_gateways_with_ids_in_its_order() {
    let push = push(&catalog(before()), &snapshot(1, &[2, 1])).unwrap();
    assert_eq!(push.gateways.created, ["x-2", "x-1"]);
    let catalog = push.catalog.unwrap();
    let made: Vec<_> = catalog.gateways_of(provider_id(1)).collect();
    assert_eq!(
        made.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["name of x-2", "name of x-1"]
    );
    assert_eq!((made[0].country.as_str(), made[0].city.as_str()), ("SE", "Borås"));
    assert_eq!((made[0].version, made[0].config.as_str()), (1, config(2).as_str()));
    assert_eq!(catalog.provider(provider_id(1)).unwrap().last_push.as_ref().unwrap().version, 1);
}

#[test]
fn a_gateway_is_found_by_its_external_id_and_keeps_its_own() {
    let before = first();
    let mut second = snapshot(2, &[1, 2]);
    second["gateways"][0]["name"] = json!("renamed");
    second["gateways"][0]["config"] = json!(config(9));
    let push = push(&before, &second).unwrap();
    assert_eq!((&push.gateways.updated[..], push.gateways.unchanged), (&["x-1".to_owned()][..], 1));
    let after = push.catalog.unwrap();
    let (old, new) = (known(&before, "x-1"), known(&after, "x-1"));
    assert_eq!((new.id, new.version, new.name.as_str()), (old.id, 2, "renamed"));
    assert_eq!(new.config, config(9));
    assert_eq!(known(&after, "x-2"), known(&before, "x-2"));
}

#[test]
fn the_version_must_grow_and_an_older_one_is_refused() {
    let before = pushed(&catalog(before()), &snapshot(7, &[1]));
    for version in [1, 6] {
        let error = push(&before, &snapshot(version, &[1])).unwrap_err();
        assert!(matches!(error, PushError::Outdated { pushed: 7 }), "{error:?}");
    }
    pushed(&before, &snapshot(8, &[1]));
    let far = pushed(&before, &snapshot(i64::MAX as u64, &[1]));
    assert_eq!(
        far.provider(provider_id(1)).unwrap().last_push.as_ref().unwrap().version,
        i64::MAX as u64
    );
}

#[test]
fn an_equal_version_with_the_same_content_changes_nothing_in_whichever_order() {
    let before = first();
    let same = push(&before, &snapshot(1, &[2, 1])).unwrap();
    assert!(same.catalog.is_none());
    assert_eq!(same.gateways.unchanged, 2);
    // Nor does it undo what an admin did since.
    let off = switched(&before, "x-1", false);
    assert!(push(&off, &snapshot(1, &[1, 2])).unwrap().catalog.is_none());
}

#[test]
fn an_equal_version_with_other_content_is_refused() {
    let before = first();
    let mut credentials = snapshot(1, &[1, 2]);
    credentials["credentials"] = json!([]);
    let mut moved = snapshot(1, &[1, 2]);
    moved["gateways"][0]["city"] = json!("Lund");
    for other in [snapshot(1, &[1]), snapshot(1, &[1, 2, 3]), moved, credentials] {
        let error = push(&before, &other).unwrap_err();
        assert!(matches!(error, PushError::Reused { pushed: 1 }), "{error:?}");
    }
}

#[test]
fn new_gateways_start_enabled_only_where_the_provider_says_so() {
    assert!(known(&first(), "x-1").enabled);
    let mut records = before();
    records.providers[0].enable_new_managed_gateways = false;
    let after = pushed(&catalog(records), &snapshot(1, &[1]));
    assert!(!known(&after, "x-1").enabled);
}

#[test]
fn what_an_admin_switches_later_survives_pushes() {
    let off = switched(&first(), "x-1", false);
    let mut second = snapshot(2, &[1, 2]);
    second["gateways"][0]["city"] = json!("Lund");
    let after = pushed(&off, &second);
    assert_eq!((known(&after, "x-1").enabled, known(&after, "x-1").city.as_str()), (false, "Lund"));
    let on = switched(&after, "x-1", true);
    assert!(known(&pushed(&on, &snapshot(3, &[1, 2])), "x-1").enabled);
}

#[test]
fn an_expected_exit_is_an_admins_and_survives_pushes() {
    let mut records = first().records();
    let exit = Some(ExpectedExit { country: Some("SE".to_owned()), ..ExpectedExit::default() });
    records.gateways[0].expected_exit.clone_from(&exit);
    let after = pushed(&catalog(records), &snapshot(2, &[1, 2]));
    assert_eq!(known(&after, "x-1").expected_exit, exit);
}

#[test]
fn a_gateway_missing_from_the_snapshot_is_disabled_and_not_deleted() {
    let before = first();
    assert_eq!(offers(&before, &Counts::default(), &ann()).len(), 2);
    let push = push(&before, &snapshot(2, &[2])).unwrap();
    assert_eq!(push.gateways.withdrawn, ["x-1"]);
    let after = push.catalog.unwrap();
    let gone = known(&after, "x-1");
    assert_eq!((gone.enabled, gone.id, gone.version), (false, known(&before, "x-1").id, 2));
    assert_eq!(offers(&after, &Counts::default(), &ann()), [known(&after, "x-2").id]);
}

#[test]
fn a_gateway_that_comes_back_is_as_it_was_when_it_went() {
    let off = switched(&first(), "x-2", false);
    let gone = pushed(&off, &snapshot(2, &[]));
    let back = push(&gone, &snapshot(3, &[1, 2])).unwrap();
    assert_eq!(back.gateways.returned, ["x-1", "x-2"]);
    let back = back.catalog.unwrap();
    assert_eq!((known(&back, "x-1").enabled, known(&back, "x-2").enabled), (true, false));
    assert_eq!(known(&back, "x-1").withdrawn, None);
}

#[test]
fn what_an_admin_switches_while_a_gateway_is_missing_survives_too() {
    let gone = pushed(&first(), &snapshot(2, &[]));
    let on = switched(&gone, "x-1", true);
    let still_gone = pushed(&on, &snapshot(3, &[]));
    assert!(known(&still_gone, "x-1").enabled, "a push switched off what an admin switched on");
    let off = switched(&still_gone, "x-1", false);
    let back = pushed(&off, &snapshot(4, &[1]));
    assert!(!known(&back, "x-1").enabled, "a push switched on what an admin switched off");
}

#[test]
fn a_missing_gateway_lets_another_have_its_name() {
    let before = first();
    let mut second = snapshot(2, &[2, 3]);
    second["gateways"][1]["name"] = json!("name of x-1");
    let after = pushed(&before, &second);
    assert_eq!(known(&after, "x-3").name, "name of x-1");
    assert_eq!(known(&after, "x-1").name, "name of x-1 (withdrawn)");
    let mut third = snapshot(3, &[2, 4]);
    third["gateways"][1]["name"] = json!("name of x-1");
    let after = pushed(&after, &third);
    assert_eq!(known(&after, "x-3").name, "name of x-1 (withdrawn 2)");
    let back = pushed(&after, &snapshot(4, &[1, 2, 3, 4]));
    assert_eq!(known(&back, "x-1").name, "name of x-1");
}

#[test]
fn gateways_may_swap_their_names() {
    let mut second = snapshot(2, &[1, 2]);
    second["gateways"][0]["name"] = json!("name of x-2");
    second["gateways"][1]["name"] = json!("name of x-1");
    let after = pushed(&first(), &second);
    assert_eq!(known(&after, "x-1").name, "name of x-2");
    assert!(
        matches!(after.gateway_named("p1/name of x-1"), Named::One(it) if it.id == known(&after, "x-2").id)
    );
}

#[test]
fn gateways_that_no_service_has_are_left_alone() {
    let mut records = before();
    records.gateways = vec![gateway(1, 1), gateway(2, 2)];
    records.gateways[1].external_id = Some("x-9".to_owned());
    let after = pushed(&catalog(records.clone()), &snapshot(1, &[1]));
    for own in &records.gateways {
        assert_eq!(after.gateway(own.id), Some(own));
    }
    let mut clash = snapshot(1, &[1]);
    clash["gateways"][0]["name"] = json!("g1");
    let faults = faults_of(&catalog(records), &clash);
    assert_eq!(faults[0].field.as_deref(), Some("gateways[0].name"), "{faults:?}");
}

#[test]
fn any_invalid_entry_rejects_the_whole_with_all_faults_and_their_places() {
    let mut snapshot = snapshot(2, &[1, 2, 3, 4]);
    snapshot["gateways"][0]["config"] = json!(config(1).replace(":51820", ":0"));
    snapshot["gateways"][2]["name"] = json!("");
    snapshot["gateways"][3]["config"] = json!("[Interface]\nPostUp = id\n");
    snapshot["credentials"] = json!([{"external_id": "k-1", "name": "k", "user": "ann",
        "private_key": "short", "gateways": ["x-1", "x-77"]}]);
    let faults = faults_of(&first(), &snapshot);
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    for wanted in [
        "line 5: gateways[0].config.Peer.Endpoint (x-1): ",
        "gateways[2].name (x-3): empty",
        "line 2: gateways[3].config.Interface.PostUp (x-4): ",
        "credentials[0].private_key (k-1): ",
        "credentials[0].gateways[1] (k-1): ",
    ] {
        assert!(told.iter().any(|fault| fault.starts_with(wanted)), "no {wanted} in {told:#?}");
    }
    assert!(!told.iter().any(|fault| fault.contains("x-2")), "{told:#?}");
}

#[test]
fn what_is_not_of_the_documented_form_is_told_entry_by_entry() {
    let existing = catalog(before());
    let snapshot = json!({
        "version": 0,
        "gateways": [
            {"name": "a", "config": config(1)},
            "no table",
            {"external_id": "x-3", "name": 7, "config": config(1), "colour": "red"},
            {"external_id": "x-4", "name": "d", "config_file": "/etc/passwd"},
        ],
        "credentials": [{"external_id": "k-1", "name": "k", "private_key": "x", "custom": "y"}],
    });
    let faults = faults_of(&existing, &snapshot);
    let fields: Vec<_> = faults.iter().filter_map(|fault| fault.field.as_deref()).collect();
    assert_eq!(
        fields,
        [
            "version",
            "gateways[0].external_id",
            "gateways[1]",
            "gateways[2].name",
            "gateways[2].colour",
            "gateways[3].config_file",
            "credentials[0]",
            "credentials[0]",
        ]
    );
    assert_eq!(faults[4].external_id.as_deref(), Some("x-3"));
}

#[test]
fn what_is_no_snapshot_at_all_is_refused() {
    let existing = catalog(before());
    for body in [
        "",
        "[]",
        "{",
        r#"{"version": 1}"#,
        r#"{"gateways": []}"#,
        r#"{"version": 1, "gateways": {}}"#,
        r#"{"version": 1.5, "gateways": []}"#,
        r#"{"version": -1, "gateways": []}"#,
        r#"{"version": 1, "gateways": [], "colour": 1}"#,
        r#"{"version": 1, "version": 2, "gateways": []}"#,
    ] {
        assert!(Snapshot::from_json(body.as_bytes()).is_err(), "{body} was taken");
    }
    pushed(&existing, &json!({"version": 1, "gateways": []}));
}

#[test]
fn a_snapshot_with_too_many_entries_or_too_large_a_one_is_refused_at_once() {
    let many = format!(r#"{{"version": 1, "gateways": [{}1]}}"#, "1,".repeat(100_000));
    let Faults(faults) = Snapshot::from_json(many.as_bytes()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].message, "100001 entries: at most 100000");
    let large = format!(r#"{{"version": 1, "gateways": [[{}1]]}}"#, "1,".repeat(1 << 20));
    let Faults(faults) = Snapshot::from_json(large.as_bytes()).unwrap_err();
    assert_eq!(faults[0].field.as_deref(), Some("gateways[0]"));
    let all_bad = format!(r#"{{"version": 1, "gateways": [{}1]}}"#, "1,".repeat(50_000));
    let Faults(faults) = Snapshot::from_json(all_bad.as_bytes()).unwrap_err();
    assert_eq!(faults.len(), 10_001);
    assert_eq!(faults[10_000].message, "40001 more faults are not listed");
}

#[test]
fn an_external_id_stands_in_a_snapshot_once() {
    let existing = catalog(before());
    let mut twice = snapshot(1, &[1, 2, 1]);
    twice["gateways"][2]["name"] = json!("another");
    let faults = faults_of(&existing, &twice);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].field.as_deref(), Some("gateways[2].external_id"));
    assert!(faults[0].message.contains("gateways[0]"), "{faults:?}");
}

#[test]
fn only_managed_providers_take_snapshots() {
    let existing = catalog(before());
    let push = |id| read(&snapshot(1, &[1])).against(&existing, provider_id(id), Uuid::now_v7);
    assert!(matches!(push(2), Err(PushError::NotManaged(name)) if name == "p2"));
    assert!(matches!(push(3), Err(PushError::NoSuchProvider(id)) if id == provider_id(3)));
}

fn with_credentials(version: u64, credentials: Value) -> Value {
    let mut snapshot = snapshot(version, &[1, 2]);
    snapshot["credentials"] = credentials;
    snapshot
}

fn pushed_credential(name: &str, key: u128) -> Value {
    json!({"external_id": format!("k-{name}"), "name": name, "group": "staff",
        "private_key": private_key_text(key), "gateways": ["x-2"], "active_connection_limit": 5,
        "account": "team", "address": ["10.0.0.9/32"]})
}

#[test]
fn credentials_are_pushed_like_gateways() {
    let before = first();
    let credentials = json!([pushed_credential("a", 50), pushed_credential("b", 51)]);
    let push = push(&before, &with_credentials(2, credentials)).unwrap();
    assert_eq!(push.credentials.created, ["k-a", "k-b"]);
    let after = push.catalog.unwrap();
    let find = |catalog: &Catalog, name: &str| {
        let found = catalog.credentials().find(|it| it.name == name);
        found.expect("there is such a credential").clone()
    };
    let a = find(&after, "a");
    assert!(a.enabled);
    assert_eq!(a.gateways, GatewayScope::Selected([known(&after, "x-2").id].into()));
    assert_eq!((a.limit.map(u32::from), a.account.as_deref()), (Some(5), Some("team")));

    // A secret that is left out stays, a credential that is left out is disabled, and the admin's
    // own, which no service knows, is not touched.
    let mut again = pushed_credential("a", 0);
    again.as_object_mut().unwrap().remove("private_key");
    again["active_connection_limit"] = json!(6);
    let last = pushed(&after, &with_credentials(3, json!([again])));
    assert_eq!(find(&last, "a").secret, a.secret);
    assert_eq!((find(&last, "a").id, find(&last, "a").limit.map(u32::from)), (a.id, Some(6)));
    assert!(!find(&last, "b").enabled && find(&last, "b").withdrawn.is_some());
    assert_eq!(find(&last, "c1"), find(&before, "c1"));

    // A service that says nothing of credentials has none to withdraw.
    let silent = pushed(&last, &snapshot(4, &[1, 2]));
    assert!(find(&silent, "a").enabled);
}

#[test]
fn a_pushed_key_and_password_are_never_repeated() {
    let existing = catalog(before());
    let key = private_key_text(77);
    let credential = json!({"external_id": "k", "name": "k", "user": "ann", "private_key": key,
        "password": "hunter2", "preshared_key": "hunter2", "mtu": 1});
    let mut bad = with_credentials(1, json!([credential]));
    bad["gateways"][0]["config"] =
        json!(format!("[Interface]\nPrivateKey = {key}\nMTU = hunter2\n"));
    let told = format!("{:?}", faults_of(&existing, &bad));
    assert!(!told.contains(&key) && !told.contains("hunter2"), "{told}");
    let mut good = snapshot(1, &[1]);
    let text = config(1).replace("[Peer]", &format!("PrivateKey = {key}\n[Peer]"));
    good["gateways"][0]["config"] = json!(text);
    let push = push(&existing, &good).unwrap();
    assert_eq!(push.findings[0].severity, Severity::Warning);
    assert_eq!(push.findings[0].external_id.as_deref(), Some("x-1"));
    assert!(!known(&push.catalog.unwrap(), "x-1").config.contains(&key));
    let login = json!([{"external_id": "k", "name": "k", "user": "ann", "username": "ann",
        "password": "hunter2"}]);
    assert!(!format!("{:?}", read(&with_credentials(1, login))).contains("hunter2"));
}
