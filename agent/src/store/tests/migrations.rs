//! Files of every version there was, and files on their way from one to the next.

use std::path::Path;

use egress_core::catalog::{Document, InUse as _};
use egress_core::secret::Secret;
use egress_core::wireguard::ConflictKey;
use rusqlite::Connection;
use serde_json::Value;

use super::*;
use crate::store::copy;
use crate::store::schema::{MIGRATIONS, VERSION, migrate, version};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/agent/src/store/tests/data");
const KEY: [u8; 32] = *b"the key of the files kept beside";
const PAIR: ConflictKey = ConflictKey([9; 32]);

/// The file that was kept of a version, and the document that its catalog was made of.
fn kept(version: i32) -> (PathBuf, PathBuf) {
    let file = |ending| Path::new(DATA).join(format!("schema_{version}.{ending}"));
    (file("sqlite"), file("json"))
}

fn fixture() -> Fixture {
    Fixture { key: MasterKey::new(Secret::new(KEY)), ..Fixture::new() }
}

/// Makes the file to keep of this version.
async fn make(document: &Value) -> Vec<u8> {
    let fixture = fixture();
    let store = Ground::open(&fixture);
    store.apply(self::document(document.clone()), false, false).await.unwrap();
    let catalog = store.catalog();
    let ann = &catalog.records().credentials[0];
    let account = Some((ann.provider_id, String::from("acme")));
    let offer =
        Candidate { credential: ann.id, limit: Some(3), account, conflict_keys: vec![PAIR] };
    store.claim(session("a"), vec![offer]).await.unwrap();
    store.commit(&session("a")).await.unwrap();
    store.save(&row("a")).await.unwrap();
    store.note_wall_clock([1; 32], 1_700_000_000).await.unwrap();
    store.close().await;
    fs::read(fixture.path()).unwrap()
}

#[tokio::test]
async fn a_store_of_every_schema_there_was_opens_with_all_it_had() {
    let (newest, beside) = kept(VERSION);
    if !newest.exists() {
        fs::write(&newest, make(&full()).await).unwrap();
        fs::write(&beside, serde_json::to_vec_pretty(&full()).unwrap()).unwrap();
        panic!("there was no store of schema {VERSION}: commit {}", newest.display());
    }
    for version in 1..=VERSION {
        let (store, document) = kept(version);
        let fixture = fixture();
        fixture.put(&fs::read(store).unwrap());
        let store = Ground::open(&fixture);
        let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
        has_all_it_had(&*store, self::document(document)).await;
        let copy = copy::path_before(&fixture.path(), version);
        assert_eq!(copy.exists(), version < VERSION, "{}", copy.display());
    }
}

async fn has_all_it_had(store: &dyn Store, document: Document) {
    assert_eq!(store.starts(), 2);
    let report = store.apply(document, false, true).await.unwrap().report;
    assert_eq!((report.unchanged, report.created.len(), report.updated.len()), (11, 0, 0));
    let ann = store.catalog().records().credentials[0].id;
    let leases = store.leases().await.unwrap();
    let [lease] = &leases[..] else { panic!("{leases:?}") };
    assert_eq!((lease.session(), lease.credential()), (&session("a"), ann));
    assert!(lease.committed());
    assert!(store.in_use().key_taken(&PAIR));
    let rows = store.sessions().await.unwrap();
    let [kept] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((kept.id(), kept.generation, kept.mtu), (&session("a"), 3, Some(1420)));
    assert_eq!(kept.addresses, row("a").addresses);
    assert_eq!(store.note_wall_clock([1; 32], 0).await.unwrap(), 1_700_000_000);
}

/// A database as the first version left it.
fn first() -> (Fixture, Connection) {
    let fixture = fixture();
    fixture.put(&fs::read(kept(1).0).unwrap());
    let db = Connection::open(fixture.path()).unwrap();
    (fixture, db)
}

const ADD: &str = "ALTER TABLE session ADD COLUMN note TEXT NOT NULL DEFAULT 'none'; \
                   UPDATE session SET note = 'moved' WHERE mtu = 1420";

#[test]
fn a_migration_changes_tables_and_what_is_in_them() {
    let (_fixture, mut db) = first();
    migrate(&mut db, &[MIGRATIONS[0], ADD]).unwrap();
    let note: String = db.query_row("SELECT note FROM session", [], |row| row.get(0)).unwrap();
    assert_eq!((version(&db).unwrap(), note.as_str()), (2, "moved"));
    migrate(&mut db, &[MIGRATIONS[0], ADD]).unwrap();
    assert_eq!(version(&db).unwrap(), 2, "a second time it has nothing to do");
}

#[test]
fn a_migration_that_fails_leaves_the_version_before_it_whole() {
    for broken in [
        "UPDATE session SET note = 'half'; SELECT nonsense",
        "UPDATE session SET note = 'half'; DELETE FROM provider",
    ] {
        let (fixture, mut db) = first();
        migrate(&mut db, &[MIGRATIONS[0], ADD, broken]).unwrap_err();
        drop(db);
        let db = Connection::open(fixture.path()).unwrap();
        let note: String = db.query_row("SELECT note FROM session", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&db).unwrap(), note.as_str()), (2, "moved"), "{broken}");
    }
}

#[tokio::test]
async fn before_a_migration_the_store_is_copied_and_the_copy_opens() {
    let (fixture, db) = first();
    copy::before_migration(&db, &fixture.path(), 1).unwrap();
    drop(db);
    let copy = copy::path_before(&fixture.path(), 1);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let restored = self::fixture();
    restored.put(&fs::read(copy).unwrap());
    let store = Ground::open(&restored);
    assert_eq!(store.sessions().await.unwrap().len(), 1);
    assert!(store.starts() > 1 << 16, "numbers made of it could be given out again");
}
