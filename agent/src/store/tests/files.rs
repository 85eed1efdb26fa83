//! Files that are refused, and what is not in a file that is taken.

use std::path::Path;

use rusqlite::Connection;

use super::wal::{self, Wal};
use super::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Why a file made by `make` is not opened. Nothing of it is changed.
fn refusal(fixture: &Fixture, make: impl FnOnce(&Path)) -> OpenError {
    let path = fixture.path();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    chmod(path.parent().unwrap(), 0o700);
    make(&path);
    if path.is_file() {
        chmod(&path, 0o600);
    }
    let before = path.is_file().then(|| fs::read(&path).unwrap());
    let error = SqliteStore::open(&path, fixture.key.clone()).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "it does not name the file: {error}"
    );
    let after = path.is_file().then(|| fs::read(&path).unwrap());
    assert!(before == after, "the file is another one: {error}");
    error
}

#[tokio::test]
async fn a_new_store_is_for_its_owner_only() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.save(&row("a")).await.unwrap();
    let path = fixture.path();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in fs::read_dir(path.parent().unwrap()).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_store_that_others_could_reach_is_refused_with_the_fix() {
    let fixture = Fixture::new();
    fixture.open().close().await;
    let path = fixture.path();
    for (what, mode, fix) in
        [(path.as_path(), 0o640, "600"), (path.parent().unwrap(), 0o750, "700")]
    {
        chmod(what, mode);
        let error = SqliteStore::open(&path, fixture.key.clone()).unwrap_err();
        assert!(matches!(error, OpenError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains(&format!("chmod {fix}")), "{error}");
        chmod(what, mode & 0o700);
    }
    fixture.open();
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    let link = refusal(&Fixture::new(), |path| {
        std::os::unix::fs::symlink("/dev/null", path).unwrap();
    });
    assert!(matches!(link, OpenError::NotAFile { .. }), "{link}");
    let dir = refusal(&Fixture::new(), |path| fs::create_dir(path).unwrap());
    assert!(matches!(dir, OpenError::NotAFile { .. }), "{dir}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let error = refusal(&fixture, |path| {
        let other = Connection::open(path).unwrap();
        other.execute_batch("CREATE TABLE notes (text)").unwrap();
    });
    assert!(matches!(error, OpenError::ForeignFile { .. }), "{error}");
    let tables: i64 = Connection::open(fixture.path())
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_store_of_a_newer_agent_is_refused() {
    let fixture = Fixture::new();
    fixture.open().close().await;
    let error = refusal(&fixture, |path| {
        let db = Connection::open(path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
    });
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("restore"), "{error}");
}

#[test]
fn text_is_not_a_store() {
    let error = refusal(&Fixture::new(), |path| fs::write(path, "hello\n".repeat(500)).unwrap());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_torn_store_is_refused_and_not_opened_with_a_part_of_its_rows() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for nth in 0..200 {
        store.save(&row(&format!("s{nth}"))).await.unwrap();
    }
    store.close().await;
    let whole = fs::read(fixture.path()).unwrap();
    for kept in [whole.len() / 3, whole.len() / 2, whole.len() - 4096] {
        let error = refusal(&fixture, |path| fs::write(path, &whole[..kept]).unwrap());
        assert!(matches!(error, OpenError::Damaged { .. }), "{kept}: {error}");
        assert!(error.to_string().contains("restore a copy"), "{error}");
    }
    fs::write(fixture.path(), &whole).unwrap();
    assert_eq!(fixture.open().sessions().await.unwrap().len(), 200);
}

/// A store whose last changes are in its log alone, as `kill -9` leaves it.
async fn killed(rows: usize) -> (Fixture, PathBuf, PathBuf) {
    let living = Fixture::new();
    let store = living.open();
    for nth in 0..rows {
        store.save(&row(&format!("s{nth}"))).await.unwrap();
    }
    let dead = living.crashed();
    let (path, wal) = (dead.path(), wal::path_of(&dead.path()));
    (dead, path, wal)
}

#[tokio::test]
async fn a_store_that_lost_its_contents_is_refused_and_its_log_stays() {
    let (fixture, path, wal) = killed(20).await;
    let (whole, log) = (fs::read(&path).unwrap(), fs::read(&wal).unwrap());
    assert!(log.len() > 4096);
    let error = refusal(&fixture, |path| fs::write(path, "").unwrap());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let error = refusal(&fixture, |path| fs::remove_file(path).unwrap());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(fs::read(&wal).unwrap() == log, "the log is another one");
    fs::write(&path, whole).unwrap();
    chmod(&path, 0o600);
    assert_eq!(fixture.open().sessions().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_store_whose_log_is_garbage_is_refused() {
    let (fixture, _, wal) = killed(20).await;
    let log = fs::read(&wal).unwrap();
    for garbage in [vec![b'x'; log.len()], [&[0; 16], &log[16..]].concat()] {
        fs::write(&wal, &garbage).unwrap();
        let error = refusal(&fixture, |_| {});
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(fs::read(&wal).unwrap() == garbage, "the log is another one");
    }
    fs::write(&wal, log).unwrap();
    assert_eq!(fixture.open().sessions().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_log_that_is_torn_is_read_as_far_as_it_goes_and_kept() {
    let (fixture, _, wal) = killed(20).await;
    assert_eq!(wal::look_at(&wal).unwrap(), Wal::Readable);
    let mut log = fs::read(&wal).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 1;
    fs::write(&wal, &log).unwrap();
    let sessions = fixture.open().sessions().await.unwrap().len();
    assert!((1..20).contains(&sessions), "{sessions}");
    let kept = wal.with_file_name("store.db-wal.torn");
    assert!(fs::read(kept).unwrap() == log, "another one was kept");
}

#[tokio::test]
async fn a_log_that_has_only_begun_loses_nothing() {
    for begun in [vec![], vec![0x37; 20], vec![0; 8192]] {
        let fixture = Fixture::new();
        fixture.open().close().await;
        fs::write(wal::path_of(&fixture.path()), begun).unwrap();
        fixture.open();
    }
}

#[tokio::test]
async fn another_master_key_is_refused_and_both_are_named() {
    let fixture = Fixture::new();
    fixture.open().close().await;
    let before = fs::read(fixture.path()).unwrap();
    let other = MasterKey::generate();
    let error = SqliteStore::open(&fixture.path(), other.clone()).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    for id in [other.id(), fixture.key.id()] {
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }
    assert!(fs::read(fixture.path()).unwrap() == before, "the file is another one");
}

#[tokio::test]
async fn a_store_without_its_master_key_is_refused_and_no_key_is_made() {
    let fixture = Fixture::new();
    let open = || SqliteStore::open_with_key_file(&fixture.path(), &fixture.key_path());
    open().unwrap().close().await;
    let kept = fixture.key_path().with_extension("kept");
    fs::rename(fixture.key_path(), &kept).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, OpenError::NoKey { .. }), "{error}");
    assert!(error.to_string().contains(fixture.key_path().to_str().unwrap()), "{error}");
    assert!(!fixture.key_path().exists(), "a key that opens nothing was made");
    fs::rename(&kept, fixture.key_path()).unwrap();
    open().unwrap();
}

#[tokio::test]
async fn a_rotation_that_was_cut_short_is_finished_at_the_next_start() {
    let fixture = Fixture::new();
    let open = || SqliteStore::open_with_key_file(&fixture.path(), &fixture.key_path());
    let store = open().unwrap();
    let former = fs::read(fixture.key_path()).unwrap();
    store.rotate_key(&fixture.key_path()).await.unwrap();
    store.close().await;
    // As if the agent had died before the new key's file was put in the place of the old one.
    let next = fixture.dir.path().join("store.key.next");
    fs::rename(fixture.key_path(), &next).unwrap();
    fs::write(fixture.key_path(), former).unwrap();
    chmod(&fixture.key_path(), 0o600);
    open().unwrap().close().await;
    assert!(!next.exists());
    open().unwrap();
}

#[tokio::test]
async fn one_agent_at_a_time_has_the_store() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let path = fixture.path();
    let key = fixture.key.clone();
    let second = tokio::task::spawn_blocking(move || SqliteStore::open(&path, key).unwrap_err());
    let error = second.await.unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    store.close().await;
    fixture.open();
}
