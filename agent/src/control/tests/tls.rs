//! The door for callers elsewhere, and who does not get through it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use egress_core::api::DEADLINE_MAX_MS;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{HandshakeKind, version};

use super::authority::{Authority, Usage};
use super::elsewhere::Visitor;
use super::{Door, Lab, Reply, SLOW_GATEWAY, attach_body, attach_request};
use crate::control::client::{Client, Error};
use crate::control::endpoint::{Elsewhere, Endpoint};
use crate::control::tls::{CONNECTIONS_MAX, HANDSHAKES_MAX};

/// Generous: the machine may be busy with other tests.
const SOON: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);
const GET: &[u8] = b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Whatever comes until the other side ends it.
async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await;
    // A reset is an end too.
    let _ = read.expect("the connection ends");
    bytes
}

impl Lab {
    /// Says GET over TLS, and gives what comes back: nothing where there is no connection.
    async fn visit(&self, visitor: Visitor) -> Vec<u8> {
        let Ok(mut stream) = visitor.connect(self.address).await else { return Vec::new() };
        let _ = stream.write_all(GET).await;
        rest(stream).await
    }

    async fn wait_for_strangers(&self, reason: &str, count: u64) {
        let counter = self.metrics.tls_refused.with_label_values(&[reason]);
        let enough = async {
            while counter.get() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(SOON, enough).await;
        assert!(in_time.is_ok(), "{} of {count} were refused with {reason}", counter.get());
        assert_eq!(counter.get(), count, "{reason}");
    }
}

#[tokio::test]
async fn nobody_gets_through_without_a_good_certificate() {
    let lab = Lab::start();
    let (ours, now) = (&lab.authority, SystemTime::now());
    let other = Authority::new();
    let expired = ours.issue_for(Usage::Client, "caller", now - 2 * HOUR, now - HOUR);
    let early = ours.issue_for(Usage::Client, "caller", now + HOUR, now + 2 * HOUR);
    let (foreign, server) = (other.issue(Usage::Client, "caller"), lab.certificate.clone());
    let aimless = lab.authority.issue(Usage::Nothing, "caller");
    for (reason, certificate, count) in [
        ("no_certificate", None, 1),
        ("expired", Some(&expired), 1),
        ("expired", Some(&early), 2),
        ("bad_certificate", Some(&foreign), 1),
        ("bad_certificate", Some(&server), 2),
        ("bad_certificate", Some(&aimless), 3),
    ] {
        let reply = lab.visit(Visitor::new(ours, certificate)).await;
        assert!(reply.is_empty(), "{reason}: {}", String::from_utf8_lossy(&reply));
        lab.wait_for_strangers(reason, count).await;
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
    assert_eq!(lab.ask_at(Door::Tls, "GET", "/v1/sessions", "", "").await.status, 200);
}

#[tokio::test]
async fn what_is_not_tls_of_today_ends_at_once() {
    let lab = Lab::start();
    for (nth, bytes) in [GET, b"\x00\xff\x01garbage", b"\x16\x03\x01\xff\xff"].iter().enumerate() {
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let answer = rest(stream).await;
        assert!(answer.len() < 16, "{answer:?}");
        lab.wait_for_strangers("not_tls", nth as u64 + 1).await;
    }
    let old = Visitor::speaking(&version::TLS12, &lab.authority, Some(&lab.caller));
    assert!(lab.visit(old).await.is_empty());
    lab.wait_for_strangers("incompatible", 1).await;
    drop(TcpStream::connect(lab.address).await.unwrap());
    lab.wait_for_strangers("hung_up", 1).await;
    assert_eq!(lab.ask_at(Door::Tls, "GET", "/v1/sessions", "", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let lab = Lab::start();
    for (count, beginning) in [(1, &b""[..]), (2, b"\x16\x03\x01")] {
        let started = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        assert!(rest(stream).await.is_empty());
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        lab.wait_for_strangers("too_slow", count).await;
    }
}

#[tokio::test]
async fn a_callers_head_that_does_not_come_ends_the_connection() {
    let lab = Lab::start();
    let mut stream = lab.visitor().connect(lab.address).await.unwrap();
    stream.write_all(b"GET /v1/sess").await.unwrap();
    stream.flush().await.unwrap();
    assert!(rest(stream).await.is_empty());
}

#[tokio::test]
async fn those_who_only_shake_hands_are_bounded_and_leave_the_socket_alone() {
    let lab = Lab::start();
    let mut open = Vec::new();
    for _ in 0..HANDSHAKES_MAX {
        open.push(TcpStream::connect(lab.address).await.unwrap());
    }
    assert!(rest(TcpStream::connect(lab.address).await.unwrap()).await.is_empty());
    lab.wait_for_strangers("too_many", 1).await;
    assert_eq!(lab.get("/v1/sessions").await.status, 200);
    drop(open);
    lab.wait_for_strangers("hung_up", HANDSHAKES_MAX as u64).await;
    assert_eq!(lab.ask_at(Door::Tls, "GET", "/v1/sessions", "", "").await.status, 200);
}

#[tokio::test]
async fn a_caller_too_many_is_told_so_and_leaves_the_socket_alone() {
    let lab = Lab::start();
    let mut open = Vec::new();
    // Calls that do not end by themselves, as many as one caller may make.
    for n in 0..CONNECTIONS_MAX / 2 {
        let mut body = attach_body();
        body["session_id"] = format!("c-{n}").into();
        body["gateway"] = SLOW_GATEWAY.into();
        body["deadline_ms"] = DEADLINE_MAX_MS.into();
        let (body, length) = (body.to_string(), body.to_string().len());
        let head = format!("POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n");
        let mut stream = lab.visitor().connect(lab.address).await.unwrap();
        let request = format!("{head}content-type: application/json\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        open.push(stream);
    }
    let asked = async {
        let mut asked = 0;
        while asked < open.len() {
            asked += lab.agent.asked().len();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.unwrap();
    let reply = Reply::parse(&lab.visit(lab.visitor()).await).problem();
    assert_eq!((reply.status, reply.code.as_str()), (503, "too_many_connections"));
    assert_eq!(lab.get("/v1/sessions").await.status, 200);
    drop(open);
    let room = async {
        while Reply::parse(&lab.visit(lab.visitor()).await).status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, room).await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let lab = Lab::start();
    let end = SystemTime::now() + Duration::from_secs(3);
    let brief = lab.authority.issue_for(Usage::Client, "caller", SystemTime::now() - HOUR, end);
    let visitor = Visitor::new(&lab.authority, Some(&brief));
    let mut stream = visitor.connect(lab.address).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let reply = rest(stream).await;
    assert!(reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply));
    assert!(SystemTime::now() + Duration::from_secs(1) >= end);
    lab.visit(visitor).await;
    lab.wait_for_strangers("expired", 1).await;
}

#[tokio::test]
async fn a_certificate_is_looked_at_in_every_handshake() {
    let lab = Lab::start();
    let visitor = lab.visitor();
    for _ in 0..3 {
        let mut stream = visitor.connect(lab.address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn the_client_calls_over_tcp_and_says_who_does_not_trust_whom() {
    let lab = Lab::start();
    let dir = lab.dir.path();
    lab.caller.write(dir, "caller");
    let other = Authority::new();
    other.issue(Usage::Client, "caller").write(dir, "foreign");
    std::fs::write(dir.join("ca.pem"), lab.authority.certificate()).unwrap();
    std::fs::write(dir.join("other.pem"), other.certificate()).unwrap();
    let url = format!("https://{}", lab.address);
    let client = |name: &str, ca: &str| {
        let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        let there = Elsewhere::new(&url, &cert, &key, &dir.join(ca)).unwrap();
        Client::of(Endpoint::Elsewhere(Arc::new(there)))
    };
    assert!(client("caller", "ca.pem").attach(&attach_request()).await.unwrap().created);
    assert_eq!(client("caller", "ca.pem").sessions().await.unwrap().sessions.len(), 1);
    for (name, ca) in [("caller", "other.pem"), ("foreign", "ca.pem")] {
        let error = client(name, ca).sessions().await.unwrap_err();
        assert!(matches!(error, Error::Distrust { .. }), "{name} {ca}: {error:?}");
    }
    lab.stop.cancel();
    let gone = async {
        while !matches!(client("caller", "ca.pem").sessions().await, Err(Error::NoDaemon { .. })) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
}
