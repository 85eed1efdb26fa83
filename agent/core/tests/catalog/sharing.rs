//! What a change costs, counted: records that are not shared with the catalog before it, and texts
//! that are read again.

use egress_core::catalog::{
    Catalog, Change, Changed, Document, Expected, OnHooks, Provider, RecordId, Records, Snapshot,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{self, catalog, config, gateway_id, private_key_text, provider_id};

const OTHERS: u128 = 500;

/// What a catalog does not share with another one.
#[derive(Debug, PartialEq, Eq)]
struct Anew {
    /// Gateways whose records were copied.
    records: usize,
    /// Gateways whose texts were read.
    read: usize,
    /// Credentials whose records were copied.
    credentials: usize,
}

fn anew(now: &Catalog, former: &Catalog) -> Anew {
    let same = |one: Option<*const _>, another: Option<*const _>| one == another;
    let gateways = || now.gateways().map(|gateway| gateway.id);
    let read = |catalog: &Catalog, id| catalog.wireguard(id).map(std::ptr::from_ref);
    let record = |catalog: &Catalog, id| catalog.gateway(id).map(std::ptr::from_ref);
    let credential = |catalog: &Catalog, id| catalog.credential(id).map(std::ptr::from_ref);
    let credentials = now.credentials().map(|it| it.id);
    Anew {
        records: gateways().filter(|id| record(now, *id) != record(former, *id)).count(),
        read: gateways().filter(|id| !same(read(now, *id), read(former, *id))).count(),
        credentials: credentials
            .filter(|id| credential(now, *id) != credential(former, *id))
            .count(),
    }
}

fn many() -> Catalog {
    catalog(Records {
        providers: vec![Provider { managed: true, ..lab::provider(1) }],
        gateways: (1..=OTHERS).map(|n| lab::gateway(n, 1)).collect(),
        credentials: (1..=OTHERS).map(|n| lab::credential(n, 1, "user:ann")).collect(),
        ..Records::default()
    })
}

fn changed(former: &Catalog, change: Change) -> Catalog {
    let Changed { plan, .. } = change.against(former, || Uuid::from_u128(9_999)).unwrap();
    plan.catalog
}

fn patched(former: &Catalog, record: RecordId, patch: Value) -> Catalog {
    let Value::Object(patch) = patch else { panic!("a patch is an object") };
    changed(former, Change::Update { record, patch, expected: Expected::Any })
}

#[test]
fn a_catalog_that_is_made_anew_shares_nothing() {
    let former = many();
    let all = OTHERS as usize;
    let found = anew(&catalog(former.records()), &former);
    assert_eq!(found, Anew { records: all, read: all, credentials: all });
}

#[test]
fn a_switched_gateway_is_copied_alone_and_no_text_is_read() {
    let former = many();
    let now = patched(&former, RecordId::Gateway(gateway_id(7)), json!({"enabled": false}));
    assert!(!now.gateway(gateway_id(7)).unwrap().enabled);
    assert_eq!(anew(&now, &former), Anew { records: 1, read: 0, credentials: 0 });
}

#[test]
fn of_an_import_its_own_text_is_read_alone() {
    let former = many();
    let document = json!({
        "provider": [{"name": "own", "type": "wireguard"}],
        "gateway": [{"provider": "own", "name": "own", "config": config(7_000)}],
        "credential": [{"provider": "own", "name": "ann", "user": "ann",
            "private_key": private_key_text(7_000)}],
    });
    let (document, _) = Document::from_value(document).unwrap();
    let (plan, _) = document.against(&former, Uuid::now_v7).unwrap();
    assert_eq!(anew(&plan.catalog, &former), Anew { records: 1, read: 1, credentials: 1 });
}

#[test]
fn a_deleted_gateway_leaves_all_others_as_they_are() {
    let former = many();
    let record = RecordId::Gateway(gateway_id(7));
    let remove = Change::Remove { record, cascade: false, expected: Expected::Any };
    let now = changed(&former, remove);
    assert_eq!(now.gateways().count(), OTHERS as usize - 1);
    assert_eq!(anew(&now, &former), Anew { records: 0, read: 0, credentials: 0 });
}

#[test]
fn of_a_push_the_text_that_has_changed_is_read_alone() {
    let pushed = |former: &Catalog, version: u64, city: &str, peer: u128| {
        let gateway = |n: u128| {
            let config = if n == 7 { config(peer) } else { config(1_000 + n) };
            let city = if n == 8 { city } else { "Malmö" };
            json!({"external_id": n.to_string(), "name": format!("pushed {n}"), "city": city,
                "config": config})
        };
        let gateways: Vec<_> = (1..=OTHERS).map(gateway).collect();
        let json = json!({"version": version, "gateways": gateways}).to_string();
        let (snapshot, _) = Snapshot::from_json(json.as_bytes()).unwrap();
        snapshot.against(former, provider_id(1), Uuid::now_v7).unwrap().catalog.unwrap()
    };
    let former = pushed(&many(), 1, "Malmö", 7_000);
    let now = pushed(&former, 2, "Lund", 7_001);
    assert_eq!(anew(&now, &former), Anew { records: 2, read: 1, credentials: 0 });
}

#[test]
fn texts_are_read_again_where_their_provider_has_them_read_otherwise() {
    let former = many();
    let of_provider = RecordId::Provider(provider_id(1));
    let renamed = patched(&former, of_provider.clone(), json!({"name": "other"}));
    assert_eq!(anew(&renamed, &former), Anew { records: 0, read: 0, credentials: 0 });
    let hooks = patched(&former, of_provider, json!({"on_hooks": OnHooks::Drop}));
    assert_eq!(anew(&hooks, &former), Anew { records: 0, read: OTHERS as usize, credentials: 0 });
}
