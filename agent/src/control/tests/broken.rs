//! Requests that are wrong, each with the code and the field it must be refused with.

use serde_json::{Value, json};

use super::{Lab, NO_GATEWAY, Reply, attach_body};

/// A body with one thing changed.
fn attach_with(pointer: &str, value: Value) -> String {
    let mut body = attach_body();
    let (holder, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(holder).unwrap()[key] = value;
    body.to_string()
}

fn attach_without(key: &str) -> String {
    let mut body = attach_body();
    body.as_object_mut().unwrap().remove(key);
    body.to_string()
}

fn expect(reply: &Reply, case: &str, code: &str, field: Option<&str>) {
    let problem = reply.problem();
    assert_eq!(problem.code.as_str(), code, "{case}: {problem:?}");
    let fields: Vec<_> = problem.faults.iter().map(|fault| fault.field.as_deref()).collect();
    match field {
        Some(_) => assert!(fields.contains(&field), "{case}: {field:?} not in {fields:?}"),
        None => assert!(fields.iter().all(Option::is_none), "{case}: {fields:?}"),
    }
}

/// Sends every body to attach, and looks that the agent was never asked.
async fn expect_attaches_refused(cases: &[(&str, String, Option<&str>)]) {
    let lab = Lab::start();
    for (case, body, field) in cases {
        let reply = lab.post("/v1/sessions", body).await;
        expect(&reply, case, "invalid_request", *field);
        assert_eq!(reply.status, 400, "{case}");
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_its_line() {
    let cases = [
        ("empty", "", 1),
        ("not json", "hello", 1),
        ("cut off", "{\"session_id\": \"c\",\n", 2),
        ("trailing comma", "{\n\"session_id\": \"c\",\n}", 3),
        ("two documents", "{} {}", 1),
        ("not UTF-8 escaped", "{\"session_id\": \"\\ud800\"}", 1),
    ];
    let lab = Lab::start();
    for (case, body, line) in cases {
        let reply = lab.post("/v1/sessions", body).await;
        let problem = reply.problem();
        assert_eq!(problem.code.as_str(), "invalid_request", "{case}");
        assert_eq!(problem.faults[0].line, Some(line), "{case}: {problem:?}");
    }
}

#[tokio::test]
async fn something_after_the_document_is_refused() {
    let lab = Lab::start();
    let reply = lab.post("/v1/sessions", &format!("{} x", attach_body())).await;
    expect(&reply, "trailing text", "invalid_request", None);
}

#[tokio::test]
async fn a_missing_or_unknown_or_repeated_field_is_named() {
    let repeated = attach_body().to_string().replacen('{', r#"{"session_id":"d","#, 1);
    expect_attaches_refused(&[
        ("an array", "[]".into(), None),
        ("no session id", attach_without("session_id"), Some("session_id")),
        ("no netns", attach_without("netns"), Some("netns")),
        ("no subject", attach_without("subject"), Some("subject")),
        ("no gateway", attach_without("gateway"), Some("gateway")),
        ("unknown field", attach_with("/colour", json!("red")), Some("colour")),
        ("unknown in netns", attach_with("/netns", json!({"inode": 1})), Some("netns")),
        ("unknown in subject", attach_with("/subject/role", json!("x")), Some("subject.role")),
        ("repeated", repeated, Some("session_id")),
        ("not there yet", attach_with("/publish", json!([])), Some("publish")),
    ])
    .await;
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_named() {
    expect_attaches_refused(&[
        ("number as id", attach_with("/session_id", json!(41)), Some("session_id")),
        ("text as netns", attach_with("/netns", json!("/run/netns/x")), Some("netns")),
        ("number as path", attach_with("/netns", json!({"path": 7})), Some("netns.path")),
        ("text as pid", attach_with("/netns", json!({"pid": "7"})), Some("netns.pid")),
        ("fraction as pid", attach_with("/netns", json!({"pid": 7.5})), Some("netns.pid")),
        ("pid too great", attach_with("/netns", json!({"pid": 1_u64 << 32})), Some("netns.pid")),
        ("text as subject", attach_with("/subject", json!("ann")), Some("subject")),
        ("text as groups", attach_with("/subject/groups", json!("a")), Some("subject.groups")),
        (
            "number as group",
            attach_with("/subject/groups", json!(["a", 1])),
            Some("subject.groups[1]"),
        ),
        ("name as gateway", attach_with("/gateway", json!("se-1")), Some("gateway")),
        ("unknown profile", attach_with("/profile", json!("open")), Some("profile")),
        ("text as deadline", attach_with("/deadline_ms", json!("10s")), Some("deadline_ms")),
        ("negative deadline", attach_with("/deadline_ms", json!(-1)), Some("deadline_ms")),
    ])
    .await;
}

#[tokio::test]
async fn a_value_out_of_range_is_named() {
    let long = "x".repeat(257);
    expect_attaches_refused(&[
        ("empty id", attach_with("/session_id", json!("")), Some("session_id")),
        ("id with slash", attach_with("/session_id", json!("a/b")), Some("session_id")),
        ("long id", attach_with("/session_id", json!(long)), Some("session_id")),
        ("id with NUL", attach_with("/session_id", json!("a\0")), Some("session_id")),
        ("relative path", attach_with("/netns", json!({"path": "netns/x"})), Some("netns.path")),
        ("empty path", attach_with("/netns", json!({"path": ""})), Some("netns.path")),
        ("two ways", attach_with("/netns", json!({"path": "/x", "pid": 1})), Some("netns")),
        ("no way", attach_with("/netns", json!({})), Some("netns")),
        ("pid 0", attach_with("/netns", json!({"pid": 0})), Some("netns.pid")),
        ("pid below 0", attach_with("/netns", json!({"pid": -1})), Some("netns.pid")),
        ("no time", attach_with("/deadline_ms", json!(0)), Some("deadline_ms")),
        ("too much time", attach_with("/deadline_ms", json!(300_001)), Some("deadline_ms")),
        ("nameless user", attach_with("/subject/user", json!("")), Some("subject.user")),
        (
            "long workspace",
            attach_with("/subject/workspace", json!(long)),
            Some("subject.workspace"),
        ),
        (
            "nameless group",
            attach_with("/subject/groups", json!(["a", ""])),
            Some("subject.groups[1]"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_agent_comes_out_as_it_is() {
    let lab = Lab::start();
    let reply = lab.post("/v1/sessions", &attach_with("/gateway", json!(NO_GATEWAY))).await;
    assert_eq!(reply.status, 404);
    expect(&reply, "no gateway", "no_such_gateway", None);
    lab.post("/v1/sessions", &attach_body().to_string()).await;
    let other = attach_with("/netns", json!({"pid": 7}));
    let reply = lab.post("/v1/sessions", &other).await;
    assert_eq!(reply.status, 409);
    expect(&reply, "other request", "session_exists", None);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let lab = Lab::start();
    let body = attach_body().to_string();
    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let header = match media_type {
            "" => String::new(),
            given => format!("content-type: {given}\r\n"),
        };
        let reply = lab.ask("POST", "/v1/sessions", &header, &body).await;
        assert_eq!(reply.status, 415);
        expect(&reply, media_type, "unsupported_media_type", None);
    }
    let header = "Content-Type: Application/JSON; charset=utf-8\r\n";
    assert_eq!(lab.ask("POST", "/v1/sessions", header, &body).await.status, 201);
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let lab = Lab::start();
    let paths =
        ["/", "/v1", "/v2/sessions", "/v1/sessions/", "/v1/sessions/a/b", "/metrics", "/v1/Offers"];
    for path in paths {
        let reply = lab.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        expect(&reply, path, "not_found", None);
    }
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let lab = Lab::start();
    let cases = [
        ("PUT", "/v1/sessions", ["get", "post"].as_slice()),
        ("DELETE", "/v1/sessions", &["get", "post"]),
        ("POST", "/v1/sessions/c-41", &["get", "delete"]),
        ("PATCH", "/v1/sessions/c-41", &["get", "delete"]),
        ("POST", "/v1/offers", &["get"]),
        ("DELETE", "/v1/providers", &["get", "post"]),
        ("PUT", "/v1/gateways/x", &["get", "patch", "delete"]),
        ("POST", "/v1/workspaces/x", &["get", "patch", "delete"]),
        ("GET", "/v1/catalog:apply", &["post"]),
        ("POST", "/v1/openapi.json", &["get"]),
    ];
    for (method, path, allowed) in cases {
        let reply = lab.ask(method, path, "", "").await;
        assert_eq!(reply.status, 405, "{method} {path}");
        expect(&reply, path, "method_not_allowed", None);
        let allow = reply.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_named() {
    let lab = Lab::start();
    let long = "x".repeat(129);
    for id in ["-x", "a%2Fb", "a%00", "%C3%BC", "%FF", "a%20b", ".", &long] {
        for method in ["GET", "DELETE"] {
            let reply = lab.ask(method, &format!("/v1/sessions/{id}"), "", "").await;
            assert_eq!(reply.status, 400, "{id}");
            expect(&reply, id, "invalid_request", Some("id"));
        }
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_query_that_is_wrong_is_named() {
    let lab = Lab::start();
    let cases = [
        ("DELETE", "/v1/sessions/c-41?release=yes", Some("release")),
        ("DELETE", "/v1/sessions/c-41?release=", Some("release")),
        ("DELETE", "/v1/sessions/c-41?force=1", Some("force")),
        ("DELETE", "/v1/sessions/c-41?release=1&release=0", Some("release")),
        ("GET", "/v1/offers?user=ann&user=bob", Some("user")),
        ("GET", "/v1/offers?group=a", Some("group")),
        ("GET", "/v1/offers?explain=maybe", Some("explain")),
        ("GET", "/v1/gateways:resolve", Some("name")),
        ("GET", "/v1/gateways:resolve?id=x", Some("id")),
        ("POST", "/v1/catalog:apply?dryrun=1", Some("dryrun")),
        ("POST", "/v1/catalog:apply?dry_run=2", Some("dry_run")),
        ("POST", "/v1/catalog:apply?sessions=kill", Some("sessions")),
        ("POST", "/v1/providers?dry_run=1", None),
        ("GET", "/v1/workspaces/w?x=1", None),
        ("GET", "/v1/sessions?state=asleep", Some("state")),
        ("GET", "/v1/connections?x", None),
        ("POST", "/v1/sessions?dry_run=1", None),
    ];
    for (method, target, field) in cases {
        let reply = lab.ask(method, target, "content-type: application/json\r\n", "{}").await;
        assert_eq!(reply.status, 400, "{target}");
        expect(&reply, target, "invalid_request", field);
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_apply_document_that_is_no_object_is_refused() {
    let lab = Lab::start();
    for body in ["null", "[]", "1", "\"provider\""] {
        expect(&lab.post("/v1/catalog:apply", body).await, body, "invalid_request", None);
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_apply_document_shows_all_its_faults_with_their_fields() {
    let lab = Lab::start();
    let body = json!({
        "provider": [{"name": "a", "type": "ipsec"}],
        "credential": [{"provider": "a", "name": "k", "user": "ann", "private_key_file": "k"}],
        "colour": "red",
    });
    let reply = lab.post("/v1/catalog:apply", &body.to_string()).await;
    let problem = reply.problem();
    let fields: Vec<_> = problem.faults.iter().filter_map(|fault| fault.field.clone()).collect();
    for wanted in ["provider[0].type", "credential[0].private_key_file", "colour"] {
        assert!(fields.iter().any(|field| field == wanted), "{wanted} not in {fields:?}");
    }
}
