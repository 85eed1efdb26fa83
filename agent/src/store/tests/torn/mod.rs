//! Loss of power at any moment: what was acknowledged of the catalog is there, sessions and leases
//! are as they once were, and all of it reconciles.

mod disk;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use self::disk::{Disk, Files};
use super::*;

const CUTS: usize = 200;
/// Connections that the one credential allows.
const LIMIT: u32 = 5;
/// Steps between two starts of the store.
const LIFE: usize = 40;

/// What a store should hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Held {
    rows: BTreeSet<String>,
    leases: BTreeSet<String>,
    workspaces: usize,
}

/// Everything a store has been asked, and how much of it may no longer be lost.
#[derive(Default)]
struct History {
    /// What it held, or was to hold, after each step.
    held: Vec<Held>,
    /// The step that must not be lost any more.
    kept: usize,
    cuts: Vec<Cut>,
}

struct Cut {
    files: Files,
    kept: usize,
    begun: usize,
}

/// Runs a store on such a disk until power has failed often enough.
fn history(seed: u64, lies: bool) -> (Fixture, History) {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new();
    let history = Arc::new(Mutex::new(History::default()));
    history.lock().unwrap().held.push(Held::default());
    let on_cut = {
        let history = Arc::clone(&history);
        move |files| {
            let mut history = history.lock().unwrap();
            let (kept, begun) = (history.kept, history.held.len() - 1);
            history.cuts.push(Cut { files, kept, begun });
        }
    };
    let disk = Disk::mount(dir.path(), seed, lies, Box::new(on_cut));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(use_store(&dir.path().join("store.db"), &fixture.key, &history, seed));
    drop(disk);
    // The disk's thread may still be about to end, and hold its share of it.
    let history = std::mem::take(&mut *history.lock().unwrap());
    (fixture, history)
}

async fn use_store(path: &Path, key: &MasterKey, history: &Mutex<History>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while history.lock().unwrap().cuts.len() < CUTS {
        let store = SqliteStore::open(path, key.clone()).unwrap();
        // Else the log is rarely carried over into the file.
        let often = |db: &rusqlite::Connection| db.pragma_update(None, "wal_autocheckpoint", 20);
        store.shared("carry over often", move |db, _| often(db)).await.unwrap();
        for _ in 0..LIFE {
            step(&store, history, &mut random).await;
        }
        store.close().await;
    }
}

async fn step(store: &dyn Store, history: &Mutex<History>, random: &mut fastrand::Rng) {
    let mut next = history.lock().unwrap().held.last().unwrap().clone();
    let name = format!("s{}", random.u8(0..12));
    let begin = |next: &Held| history.lock().unwrap().held.push(next.clone());
    match random.u8(0..5) {
        0 => {
            next.rows.insert(name.clone());
            begin(&next);
            store.save(&row(&name)).await.unwrap();
        }
        1 => {
            if next.leases.len() < LIMIT as usize {
                next.leases.insert(name.clone());
            }
            begin(&next);
            store.claim(session(&name), vec![candidate(1, Some(LIMIT))]).await.unwrap();
        }
        2 => {
            next.leases.remove(&name);
            begin(&next);
            store.release(&session(&name), Duration::ZERO).await.unwrap();
        }
        3 => {
            next.rows.remove(&name);
            begin(&next);
            store.forget(&session(&name)).await.unwrap();
        }
        _ => {
            let number = next.workspaces;
            next.workspaces += 1;
            begin(&next);
            let names = [format!("a{number}"), format!("b{number}")];
            let records = names.map(|name| json!({"name": name}));
            let document = document(json!({"workspace": records}));
            store.apply(document, false, false).await.unwrap();
            let mut history = history.lock().unwrap();
            history.kept = history.held.len() - 1;
        }
    }
}

/// Opens what power left, and says what is wrong with it.
async fn check(cut: &Cut, key: &MasterKey, held: &[Held]) -> Result<(), String> {
    let fixture = Fixture { key: key.clone(), ..Fixture::new() };
    for (name, bytes) in &cut.files {
        fixture.put_beside(name, bytes);
    }
    let store = SqliteStore::open(&fixture.path(), key.clone());
    let store = store.map_err(|error| format!("it does not open: {error}"))?;
    let found = found(&store).await;
    if !held[cut.kept..=cut.begun].contains(&found) {
        let (least, most) = (&held[cut.kept], &held[cut.begun]);
        return Err(format!("{found:?}\nis nothing between\n{least:?}\nand\n{most:?}"));
    }
    let orphans = store.release_orphans().await.unwrap();
    if !orphans.iter().all(|session| !found.rows.contains(session.as_str())) {
        return Err(format!("{orphans:?} are no orphans"));
    }
    for name in &found.rows {
        store.release(&session(name), Duration::ZERO).await.unwrap();
        store.forget(&session(name)).await.unwrap();
    }
    for nth in 0..LIMIT {
        let offer = vec![candidate(1, Some(LIMIT))];
        let claim = store.claim(session(&format!("new{nth}")), offer).await.unwrap();
        if !matches!(claim, Claim::Taken { .. }) {
            return Err(format!("slot {nth} of {LIMIT} is lost: {claim:?}"));
        }
    }
    Ok(())
}

async fn found(store: &SqliteStore) -> Held {
    let rows = store.sessions().await.unwrap();
    let leases = store.leases().await.unwrap();
    let catalog = store.catalog();
    let workspaces = &catalog.records().workspaces;
    let whole = |number: usize| {
        let has = |name: String| workspaces.iter().any(|it| it.name == name);
        has(format!("a{number}")) && has(format!("b{number}"))
    };
    let pairs = workspaces.len() / 2;
    assert!(
        (0..pairs).all(whole) && workspaces.len().is_multiple_of(2),
        "half an apply: {workspaces:?}"
    );
    Held {
        rows: rows.iter().map(|row| row.id().to_string()).collect(),
        leases: leases.iter().map(|lease| lease.session().to_string()).collect(),
        workspaces: pairs,
    }
}

/// Does it in a mount namespace of its own, which takes the disk along when it ends.
fn in_own_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let alone = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("have mounts of its own: is this root?");
        let (private, nothing) = (MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>);
        mount(nothing, "/", nothing, private, nothing).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(alone).join()).unwrap()
}

/// How many cuts left something that is wrong, and the first of them.
fn wrong(seed: u64, lies: bool) -> (usize, Option<String>) {
    in_own_mounts(|| {
        let (fixture, history) = history(seed, lies);
        assert!(history.cuts.len() >= CUTS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let checks = history.cuts.iter().enumerate();
        let wrong: Vec<_> = checks
            .filter_map(|(nth, cut)| {
                let checked = runtime.block_on(check(cut, &fixture.key, &history.held));
                checked.err().map(|error| format!("seed {seed}, cut {nth}: {error}"))
            })
            .collect();
        (wrong.len(), wrong.into_iter().next())
    })
}

#[test]
fn power_may_fail_at_any_moment() {
    let (_, first) = wrong(fastrand::u64(..), false);
    assert_eq!(first, None);
}

#[test]
fn a_disk_that_lies_about_syncing_is_noticed_by_this_test() {
    let (count, _) = wrong(1, true);
    assert!(count > CUTS / 4, "{count} of {CUTS} losses were noticed");
}
