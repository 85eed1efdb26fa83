//! What is too large, too slow or too many.

use std::time::Duration;

use egress_core::api::{AttachRequest, BODY_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Lab, Reply, SLOW_GATEWAY, attach_body, attach_request, refused_with};
use crate::control::client::{Client, Error};
use crate::control::unix::CONNECTIONS_MAX;

/// Connections that one caller gets.
const MOST: usize = CONNECTIONS_MAX / 2;
const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_body_over_the_bound_is_refused_whether_or_not_its_length_is_told() {
    let lab = Lab::start();
    let told = format!(
        "POST /v1/sessions HTTP/1.1\r\nhost: x\r\n{JSON}content-length: {}\r\n\r\n",
        BODY_MAX + 1
    );
    let mut stream = lab.connect().await;
    stream.write_all(told.as_bytes()).await.unwrap();
    let body = vec![b' '; BODY_MAX + 1];
    let _ = stream.write_all(&body).await;
    let problem = Reply::read(stream).await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (413, "body_too_large"));

    let mut stream = lab.connect().await;
    let untold = format!(
        "POST /v1/sessions HTTP/1.1\r\nhost: x\r\n{JSON}transfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(untold.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    for _ in 0..=BODY_MAX / 0x1_0000 {
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let problem = Reply::read(stream).await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (413, "body_too_large"));
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_of_just_the_bound_is_read() {
    let lab = Lab::start();
    let mut body = attach_body().to_string();
    body.push_str(&" ".repeat(BODY_MAX - body.len()));
    assert_eq!(lab.post("/v1/sessions", &body).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let lab = Lab::start();
    let started = tokio::time::Instant::now();
    let head =
        format!("POST /v1/sessions HTTP/1.1\r\nhost: x\r\n{JSON}content-length: 100\r\n\r\n");
    let problem = lab.send(format!("{head}{{\"sess").as_bytes()).await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (408, "request_timeout"));
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_that_comes_after_its_request_was_refused_breaks_no_connection() {
    let lab = Lab::start();
    let mut stream = lab.connect().await;
    for wrong in ["POST /v1/sessions?no=query", "POST /v1/nowhere", "PUT /v1/sessions"] {
        let head = format!("{wrong} HTTP/1.1\r\nhost: x\r\n{JSON}content-length: 100000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(&vec![b' '; 100_000]).await.unwrap();
    }
    stream
        .write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    let statuses: Vec<_> =
        replies.split("HTTP/1.1 ").skip(1).map(|reply| reply[..3].to_owned()).collect();
    assert_eq!(statuses, ["400", "404", "405", "200"], "{replies}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let lab = Lab::start();
    for beginning in ["", "GET /v1/sess", "GET /v1/sessions HTTP/1.1\r\nhost: x\r\n"] {
        let started = tokio::time::Instant::now();
        let mut stream = lab.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(11), "{beginning:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_or_has_too_great_a_head_ends_the_connection() {
    let lab = Lab::start();
    let great = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(70 << 10));
    for (request, status) in [("\x16\x03\x01 hello\r\n\r\n", 400), (&great, 431)] {
        let mut stream = lab.connect().await;
        let _ = stream.write_all(request.as_bytes()).await;
        let reply = Reply::read(stream).await;
        assert_eq!(reply.status, status, "{}", reply.head);
    }
    assert_eq!(lab.get("/v1/sessions").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_answered_for() {
    let lab = Lab::start();
    let started = tokio::time::Instant::now();
    let problem = lab.get("/v1/sessions/never").await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (504, "deadline_exceeded"));
    assert!(started.elapsed() < Duration::from_secs(31), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_attach_that_overruns_its_deadline_is_answered_for() {
    let lab = Lab::start();
    let started = tokio::time::Instant::now();
    let mut request = attach_request();
    request.gateway = Some(SLOW_GATEWAY.parse().unwrap());
    request.deadline_ms = 2_000;
    let error = lab.client().attach(&request).await.unwrap_err();
    assert_eq!(refused_with(&error).as_str(), "deadline_exceeded");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_attach_goes_on_when_its_caller_hangs_up() {
    let lab = Lab::start();
    let mut request = attach_request();
    request.gateway = Some(SLOW_GATEWAY.parse().unwrap());
    let client = lab.client();
    let attaching = tokio::spawn(async move { client.attach(&request).await });
    while lab.agent.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    attaching.abort();
    assert!(attaching.await.unwrap_err().is_cancelled());
    lab.agent.let_one_through();
    let id = "c-41".parse().unwrap();
    let came = async {
        while lab.client().session(&id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), came).await.unwrap();
}

#[tokio::test]
async fn a_thousand_attaches_at_once_all_get_their_session() {
    let lab = Lab::start();
    let mut attaching = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let client = lab.client();
        let session_id = format!("c-{n}").parse().unwrap();
        let request = AttachRequest { session_id, ..attach_request() };
        attaching.spawn(async move { client.attach(&request).await });
    }
    while let Some(attached) = attaching.join_next().await {
        assert!(attached.unwrap().unwrap().created);
    }
    assert_eq!(lab.client().sessions().await.unwrap().sessions.len(), 1_000);
}

#[tokio::test]
async fn a_client_waits_for_room_in_the_listeners_queue() {
    let dir = tempfile::tempdir().unwrap();
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(dir.path().join("sock")).unwrap();
    let listener = socket.listen(0).unwrap();
    let first = tokio::net::UnixStream::connect(dir.path().join("sock")).await.unwrap();
    let client = Client::new(dir.path().join("sock"));
    let asking = tokio::spawn(async move { client.sessions().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!asking.is_finished());
    drop(listener.accept().await.unwrap());
    drop(listener.accept().await.unwrap());
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    drop(first);
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_finds_room_later() {
    // Both ends of every connection are this process's; many shells give it 1,024 files.
    let files = egress_linux::process::raise_nofile_limit().unwrap();
    assert!(files > 3 * MOST as u64, "this test opens more than {files} files");
    let lab = Lab::start();
    let mut open = Vec::new();
    for _ in 0..MOST {
        open.push(lab.connect().await);
    }
    // A client writes before it reads: each must find its reply whole.
    for _ in 0..100 {
        let refused = lab.client().sessions().await.unwrap_err();
        assert_eq!(refused_with(&refused).as_str(), "too_many_connections");
        let problem = lab.post("/v1/sessions", &attach_body().to_string()).await.problem();
        assert_eq!((problem.status, problem.code.as_str()), (503, "too_many_connections"));
    }
    drop(open);
    let room = async {
        while lab.get("/v1/sessions").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), room).await.unwrap();
}

#[tokio::test]
async fn stopping_lets_the_calls_under_way_end_and_takes_no_others() {
    let mut lab = Lab::start();
    let mut request = attach_request();
    request.gateway = Some(SLOW_GATEWAY.parse().unwrap());
    let client = lab.client();
    let attaching = tokio::spawn(async move { client.attach(&request).await });
    while lab.agent.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let idle = lab.connect().await;
    lab.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!lab.served.is_finished());
    let refused = lab.client().sessions().await.unwrap_err();
    assert!(matches!(refused, Error::NoDaemon { .. }), "{refused:?}");
    lab.agent.let_one_through();
    assert!(attaching.await.unwrap().unwrap().created);
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut lab.served).await;
    ended.unwrap().unwrap().unwrap();
    drop(idle);
}
