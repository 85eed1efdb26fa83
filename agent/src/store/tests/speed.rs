//! What a hundred attaches at once ask of the store.

use std::time::Instant;

use super::*;

async fn at_once<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    one: impl Fn(usize) -> F,
) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..count).map(|nth| tokio::spawn(one(nth))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed().as_secs_f64() * 1e3
}

#[tokio::test]
async fn a_hundred_attaches_at_once_wait_for_the_store_for_less_than_a_second() {
    let store = Fixture::new().open();
    let took = at_once(100, |nth| {
        let store = store.clone();
        async move {
            let id = format!("s{nth}");
            store.claim(session(&id), vec![candidate(1, Some(1000))]).await.unwrap();
            store.save(&row(&id)).await.unwrap();
            store.commit(&session(&id)).await.unwrap();
        }
    })
    .await;
    println!("100 x (claim, save, commit) at once: {took:.1} ms");
    assert!(took < 1000.0, "{took} ms");
}
