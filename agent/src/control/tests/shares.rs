//! One caller who takes all that it can get, beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egress_core::api::BODY_MAX;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Door, Lab, Reply, attach_body};
use crate::control::budget::STREAMS;
use crate::control::roles::Role;

const JSON: &str = "content-type: application/json\r\n";
const PUSH: &str = "PUT /v1/providers/018f0000-0000-7000-8000-000000000003/managed-gateways";

/// Longer than anything here takes that is not held up.
const LONG: Duration = Duration::from_secs(20);

/// Somebody elsewhere is `roles`; the user who runs the tests is admin.
fn lab(roles: &[Role]) -> Lab {
    Lab::start_as(&[Role::Admin], roles)
}

/// Announces a body and sends a part of it.
async fn begin<S: AsyncWrite + Unpin>(stream: &mut S, call: &str, length: usize, sent: usize) {
    let head = format!("{call} HTTP/1.1\r\nhost: x\r\n{JSON}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; sent]).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn large_bodies_that_come_slowly_keep_no_admin_waiting() {
    let lab = lab(&[Role::Plugin]);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = lab.visitor().connect(lab.address).await.unwrap();
        begin(&mut stream, PUSH, 1 << 20, 1 << 10).await;
        slow.push(stream);
    }
    // Whatever of them is to be held is held by now.
    sleep(Duration::from_millis(100)).await;
    let apply = lab.post("/v1/catalog:apply", "{}");
    assert_eq!(timeout(LONG, apply).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_trickles_is_not_waited_for() {
    let lab = Lab::start();
    let started = tokio::time::Instant::now();
    let mut stream = lab.connect().await;
    begin(&mut stream, "POST /v1/catalog:apply", 1 << 20, 0).await;
    let (reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(&[b' '; 1_000]).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let problem = Reply::read(reading).await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (408, "request_timeout"));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    trickle.abort();
}

#[tokio::test]
async fn bodies_of_one_caller_are_read_as_memory_for_them_is_free() {
    let lab = lab(&[Role::Launcher]);
    let taken = Arc::new(AtomicUsize::new(0));
    let mut sending = JoinSet::new();
    for _ in 0..12 {
        let mut stream = lab.connect().await;
        let taken = Arc::clone(&taken);
        sending.spawn(async move {
            begin(&mut stream, "POST /v1/sessions", BODY_MAX, BODY_MAX - 1).await;
            taken.fetch_add(1, Ordering::Relaxed);
            stream
        });
    }
    // Those that are read hold their connection one byte before the end.
    let mut held = Vec::new();
    while held.len() < 4 {
        held.push(timeout(LONG, sending.join_next()).await.unwrap().unwrap().unwrap());
    }
    sleep(Duration::from_millis(200)).await;
    assert_eq!(taken.load(Ordering::Relaxed), 4);
    // Another caller's are read.
    let body = format!("{}{}", " ".repeat(BODY_MAX / 2), attach_body());
    let attach = lab.ask_at(Door::Tls, "POST", "/v1/sessions", JSON, &body);
    assert_eq!(timeout(LONG, attach).await.unwrap().status, 201);
    // Each that goes makes room for the next.
    drop(held);
    while let Some(stream) = timeout(LONG, sending.join_next()).await.unwrap() {
        drop(stream.unwrap());
    }
}

#[tokio::test]
async fn calls_of_one_caller_wait_for_each_other_and_not_for_anybody_else() {
    let lab = lab(&[Role::Launcher]);
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let mut stream = lab.visitor().connect(lab.address).await.unwrap();
        stream.write_all(b"GET /v1/sessions/never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        waiting.push(stream);
    }
    let asked = async {
        let mut asked = 0;
        while asked < 16 {
            asked += lab.agent.asked().len();
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, asked).await.unwrap();
    let mut one_more = lab.visitor().connect(lab.address).await.unwrap();
    let head = "GET /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    one_more.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(timeout(LONG, lab.get("/v1/sessions")).await.unwrap().status, 200);
    // One that hangs up makes room for the next.
    drop(waiting.pop());
    assert_eq!(timeout(LONG, Reply::read(one_more)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_caller_follows_only_so_many_event_streams() {
    let lab = lab(&[Role::Ops, Role::Launcher]);
    let mut streams = Vec::new();
    let follow = b"GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for _ in 0..STREAMS {
        let mut stream = lab.visitor().connect(lab.address).await.unwrap();
        stream.write_all(follow).await.unwrap();
        // The head of its reply.
        timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
        streams.push(stream);
    }
    let mut one_more = lab.visitor().connect(lab.address).await.unwrap();
    one_more.write_all(follow).await.unwrap();
    let problem = timeout(LONG, Reply::read(one_more)).await.unwrap().problem();
    assert_eq!((problem.status, problem.code.as_str()), (503, "too_many_connections"));
    assert_eq!(timeout(LONG, lab.get("/v1/sessions")).await.unwrap().status, 200);
}
