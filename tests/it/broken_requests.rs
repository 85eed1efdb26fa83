//! Broken requests: each gets its code and names the field, and nothing changes.

use std::time::Duration;

use egress_core::api::{BODY_MAX, Code, Problem};
use serde_json::{Value, json};

use crate::harness::container::Container;
use crate::harness::http;
use crate::harness::lab::in_lab;
use crate::harness::world::{World, gateway_id, request};

/// A good attach of container `c-1`.
fn good() -> Value {
    json!({
        "session_id": "s",
        "netns": { "path": "/run/netns/c-1" },
        "subject": { "groups": ["All Users"] },
        "gateway": gateway_id(0),
    })
}

/// A good attach with one field set, or taken away by `null`.
fn with(field: &str, value: Value) -> Value {
    let mut request = good();
    request[field] = value;
    request
}

fn without(field: &str) -> Value {
    let mut request = good();
    request.as_object_mut().expect("it is one").remove(field);
    request
}

/// Bodies of attaches, what they must be refused with, and a word that the answer must hold.
fn broken_attaches() -> Vec<(String, Code, &'static str)> {
    use Code::InvalidRequest as Invalid;
    let documents = [
        (without("session_id"), Invalid, "session_id"),
        (without("netns"), Invalid, "netns"),
        (without("subject"), Invalid, "subject"),
        (without("gateway"), Invalid, "gateway"),
        (with("session_id", json!("")), Invalid, "session_id"),
        (with("session_id", json!("../x")), Invalid, "session_id"),
        (with("session_id", json!("x".repeat(129))), Invalid, "session_id"),
        (with("session_id", json!(7)), Invalid, "session_id"),
        (with("netns", json!("/run/netns/c-1")), Invalid, "netns"),
        (with("netns", json!({})), Invalid, "netns"),
        (with("netns", json!({ "path": "/run/netns/c-1", "pid": 1 })), Invalid, "netns"),
        (with("netns", json!({ "pid": "1" })), Invalid, "netns"),
        (with("netns", json!({ "pid": 1_u64 << 40 })), Invalid, "netns"),
        (with("netns", json!({ "inode": 1 })), Invalid, "netns"),
        (with("subject", json!("ann")), Invalid, "subject"),
        (with("subject", json!({ "groups": "All Users" })), Invalid, "groups"),
        (with("subject", json!({ "user": 1 })), Invalid, "user"),
        (with("subject", json!({ "user": "" })), Invalid, "user"),
        (with("subject", json!({ "name": "ann" })), Invalid, "name"),
        (with("gateway", json!("not a UUID")), Invalid, "gateway"),
        (with("gateway", json!(1)), Invalid, "gateway"),
        (with("gateway", json!(gateway_id(9))), Code::NoSuchGateway, "gateway"),
        (with("gateway", Value::Null), Code::GatewayRequired, "gateway"),
        (with("profile", json!("open")), Invalid, "profile"),
        (with("profile", json!("gateway")), Invalid, "profile"),
        (with("deadline_ms", json!(0)), Invalid, "deadline_ms"),
        (with("deadline_ms", json!(300_001)), Invalid, "deadline_ms"),
        (with("deadline_ms", json!(-1)), Invalid, "deadline_ms"),
        (with("deadline_ms", json!("10s")), Invalid, "deadline_ms"),
        (with("deadline_ms", json!(1.5)), Invalid, "deadline_ms"),
        (with("colour", json!("red")), Invalid, "colour"),
        (json!([]), Invalid, ""),
        (json!("attach"), Invalid, ""),
        (Value::Null, Invalid, ""),
    ];
    let mut all: Vec<_> =
        documents.into_iter().map(|(body, code, word)| (body.to_string(), code, word)).collect();
    let texts = [
        ("{", Invalid),
        ("{\"session_id\":\"s\"", Invalid),
        ("\u{feff}{}", Invalid),
        ("not JSON", Invalid),
        ("{\"session_id\":\"s\",\"session_id\":\"t\"}", Invalid),
    ];
    all.extend(texts.map(|(text, code)| (text.to_owned(), code, "")));
    all.push((format!("{}1{}", "[".repeat(5000), "]".repeat(5000)), Invalid, ""));
    all
}

#[test]
fn every_broken_attach_gets_its_code_and_names_the_field() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        let mut wrong = Vec::new();
        for (body, code, word) in broken_attaches() {
            let shown = body.chars().take(120).collect::<String>();
            let reply = world.agent.ask("POST", "/v1/sessions", &body);
            if reply.status < 400 {
                wrong.push(format!("{shown}: taken"));
                continue;
            }
            let problem: Problem = reply.json();
            let faults = problem.faults.iter();
            let fields = faults.filter_map(|fault| fault.field.as_deref()).collect::<String>();
            let told = format!("{} {fields}", problem.detail);
            if problem.code != code || reply.status != code.status() || !told.contains(word) {
                wrong.push(format!("{shown}: wanted {code:?} and {word:?}, got {problem:?}"));
            }
            if !reply.head.to_lowercase().contains("application/problem+json") {
                wrong.push(format!("{shown}: not a problem document"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        world.agent.wait_until_idle();
        assert_eq!(container.devices(), ["lo"]);
        world.agent.attach(&request("s", container.by_path(), 0)).unwrap();
    });
}

#[test]
fn unknown_calls_and_methods_are_told_apart() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        for (method, path, code) in [
            ("GET", "/", Code::NotFound),
            ("GET", "/v1", Code::NotFound),
            ("GET", "/v2/sessions", Code::NotFound),
            ("GET", "/v1/sessions/", Code::NotFound),
            ("GET", "/v1/../etc/passwd", Code::NotFound),
            ("GET", "/v1/sessions/none", Code::NoSuchSession),
            ("DELETE", "/v1/sessions/none", Code::NoSuchSession),
            ("PUT", "/v1/sessions", Code::MethodNotAllowed),
            ("DELETE", "/v1/sessions", Code::MethodNotAllowed),
            ("POST", "/v1/offers", Code::MethodNotAllowed),
            ("GET", "/v1/sessions/a%2fb", Code::InvalidRequest),
            ("DELETE", "/v1/sessions/none?release=perhaps", Code::InvalidRequest),
            ("GET", "/v1/offers?colour=red", Code::InvalidRequest),
        ] {
            let reply = world.agent.ask(method, path, "");
            let problem: Problem = reply.json();
            assert_eq!(problem.code, code, "{method} {path}: {}", reply.body);
            assert_eq!(reply.status, code.status(), "{method} {path}");
        }
    });
}

#[test]
fn oversize_and_malformed_messages_are_refused_and_the_agent_lives() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let socket = world.agent.socket();
        let body = format!("{{\"session_id\":\"{}\"}}", "x".repeat(BODY_MAX));
        let reply = http::ask(socket, "POST", "/v1/sessions", &body).unwrap();
        assert_eq!((reply.status, reply.json::<Problem>().code), (413, Code::BodyTooLarge));
        let announced = "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                         Content-Length: 99999999999\r\n\r\n";
        let reply = http::send(socket, announced.as_bytes()).unwrap();
        assert_eq!(reply.status, 413);
        let long_header =
            format!("GET /v1/sessions HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
        for bytes in [
            long_header.as_bytes(),
            b"\0\0\0\0\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /v1/sessions HTTP/9.9\r\n\r\n",
        ] {
            // An answer of the 400s, or a closed connection.
            if let Ok(reply) = http::send(socket, bytes) {
                assert!((400..500).contains(&reply.status), "{}", reply.head);
            }
        }
        assert_eq!(world.agent.ask("GET", "/v1/sessions", "").status, 200);
    });
}

#[test]
fn a_caller_that_says_nothing_holds_nobody_up() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let silent: Vec<_> = (0..50)
            .map(|_| std::os::unix::net::UnixStream::connect(world.agent.socket()).unwrap())
            .collect();
        let start = std::time::Instant::now();
        assert_eq!(world.agent.ask("GET", "/v1/sessions", "").status, 200);
        assert!(start.elapsed() < Duration::from_secs(2));
        drop(silent);
    });
}
