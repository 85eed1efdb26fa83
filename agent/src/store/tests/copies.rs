//! Copies of a store that is in use.

use std::io::Read as _;

use super::*;

async fn copy(store: &SqliteStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_store_of_one_moment_while_attaches_go_on() {
    let fixture = Fixture::new();
    let store = fixture.open();
    (&store as &dyn Store).apply(document(full()), false, false).await.unwrap();
    let attaches = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for nth in 0..100 {
                let id = session(&format!("s{task}-{nth}"));
                store.save(&row(id.as_str())).await.unwrap();
                store.claim(id, vec![candidate(1, None)]).await.unwrap();
            }
        })
    });
    let attaches: Vec<_> = attaches.collect();
    let mut copies = Vec::new();
    while attaches.iter().any(|task| !task.is_finished()) && copies.len() < 20 {
        let done = store.sessions().await.unwrap();
        copies.push((done, copy(&store).await));
    }
    for task in attaches {
        task.await.unwrap();
    }
    copies.push((store.sessions().await.unwrap(), copy(&store).await));
    assert!(copies.len() > 1);
    for (done, copy) in copies {
        let restored = Fixture { key: fixture.key.clone(), ..Fixture::new() };
        restored.put(&copy);
        let restored = Ground::open(&restored);
        let rows = restored.sessions().await.unwrap();
        assert!(done.iter().all(|row| rows.contains(row)), "what was answered before is in it");
        let leases = restored.leases().await.unwrap();
        let has_row = |lease: &Lease| rows.iter().any(|row| row.id() == lease.session());
        assert!(leases.iter().all(has_row), "each session wrote its row first");
        assert_eq!(restored.catalog().records(), store.catalog().records());
        assert!(restored.starts() > store.starts(), "numbers could be given out again");
    }
    assert_eq!(store.sessions().await.unwrap().len(), 800);
}

#[tokio::test]
async fn a_copy_leaves_nothing_behind_and_what_a_killed_one_left_is_removed() {
    let fixture = Fixture::new();
    let store = fixture.open();
    copy(&store).await;
    let dir = fixture.path().parent().unwrap().to_owned();
    let names = || {
        let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name());
        files.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert!(names().iter().all(|name| name.starts_with("store.db")), "{:?}", names());
    store.close().await;
    fs::write(dir.join(".store-copy-x7"), "half").unwrap();
    fixture.open();
    assert!(names().iter().all(|name| name.starts_with("store.db")), "{:?}", names());
}
