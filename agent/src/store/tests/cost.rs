//! What a change costs, counted: the rows that are written anew for it.

use std::collections::BTreeMap;

use egress_core::catalog::{Change, Expected, RecordId, Snapshot};
use rusqlite::Connection;
use serde_json::json;

use super::*;

const OTHERS: usize = 500;
/// The tables whose rows have keys of their own, made whenever a row is written.
const TABLES: [&str; 3] = ["gateway", "credential", "snapshot"];

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn rows(fixture: &Fixture) -> Rows {
    // The store's own connection keeps others out.
    let copy = fixture.crashed();
    let db = Connection::open(copy.path()).unwrap();
    let mut rows = Rows::new();
    for table in TABLES {
        let mut all = db.prepare(&format!("SELECT id, record_key FROM {table}")).unwrap();
        let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.extend(all.map(|row| row.unwrap()).map(|(id, key)| ((table, id), key)));
    }
    rows
}

/// How many rows of each table were written, or taken away, since.
fn written(fixture: &Fixture, before: &Rows) -> [usize; 3] {
    let now = rows(fixture);
    TABLES.map(|table| {
        let of_table = |((it, _), _): &(&(&str, Vec<u8>), &Vec<u8>)| *it == table;
        let new = now.iter().filter(of_table).filter(|(row, key)| before.get(*row) != Some(*key));
        let gone = before.iter().filter(of_table).filter(|(row, _)| !now.contains_key(*row));
        new.count() + gone.count()
    })
}

fn snapshot(version: u64, city: &str) -> Snapshot {
    let gateway = |n: usize| {
        let city = if n == 0 { city } else { "Malmö" };
        json!({"external_id": n.to_string(), "name": format!("g{n}"), "city": city, "config": "x"})
    };
    let gateways: Vec<_> = (0..OTHERS).map(gateway).collect();
    let json = json!({"version": version, "gateways": gateways}).to_string();
    Snapshot::from_json(json.as_bytes()).unwrap().0
}

#[tokio::test]
async fn beside_many_gateways_a_change_writes_its_own_rows_alone() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let dynamic: &dyn Store = &store;
    let provider = json!({"name": "pushed", "type": "custom", "managed": true});
    dynamic.apply(document(json!({"provider": [provider]})), false, false).await.unwrap();
    let provider = store.catalog().provider_named("pushed").unwrap().id;
    let empty = rows(&fixture);
    dynamic.push(provider, snapshot(1, "Malmö"), false).await.unwrap();
    assert_eq!(written(&fixture, &empty), [OTHERS, 0, 1], "the search itself finds nothing");

    let before = rows(&fixture);
    let own = json!({
        "provider": [{"name": "own", "type": "custom"}],
        "gateway": [{"provider": "own", "name": "own", "config": "x"}],
        "credential": [{"provider": "own", "name": "ann", "user": "ann", "custom": "x"}],
    });
    dynamic.apply(document(own), false, false).await.unwrap();
    assert_eq!(written(&fixture, &before), [1, 1, 0], "by an import");

    let before = rows(&fixture);
    let first = store.catalog().gateways_of(provider).next().unwrap().id;
    let record = RecordId::Gateway(first);
    let serde_json::Value::Object(patch) = json!({"enabled": true}) else { panic!("an object") };
    let switch = Change::Update { record: record.clone(), patch, expected: Expected::Any };
    dynamic.change(switch).await.unwrap();
    assert_eq!(written(&fixture, &before), [1, 0, 0], "by a switch");

    let before = rows(&fixture);
    dynamic.push(provider, snapshot(2, "Lund"), false).await.unwrap();
    assert_eq!(written(&fixture, &before), [1, 0, 1], "by a push");

    let before = rows(&fixture);
    let remove = Change::Remove { record, cascade: false, expected: Expected::Any };
    dynamic.change(remove).await.unwrap();
    assert_eq!(written(&fixture, &before), [1, 0, 0], "by a delete");
}
