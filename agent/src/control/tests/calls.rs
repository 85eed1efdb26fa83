//! Each call through the client, as it is meant.

use futures_util::StreamExt as _;
use serde_json::json;

use super::agent::COPY;
use super::{GATEWAY, Lab, attach_request, refused_with};
use crate::control::agent::ApplyMode;
use crate::control::client::{Client, Error};
use egress_core::api::{CATALOG_BODY_MAX, Code, OnSessions, SessionState};
use egress_core::catalog::Subject;

#[tokio::test]
async fn the_same_attach_again_finds_the_running_session() {
    let lab = Lab::start();
    let first = lab.client().attach(&attach_request()).await.unwrap();
    assert!(first.created);
    let again = lab.client().attach(&attach_request()).await.unwrap();
    assert!(!again.created);
    assert_eq!(first.session, again.session);
}

#[tokio::test]
async fn a_session_is_listed_shown_and_detached() {
    let lab = Lab::start();
    let client = lab.client();
    let attached = client.attach(&attach_request()).await.unwrap().session;
    assert_eq!(client.sessions().await.unwrap().sessions, std::slice::from_ref(&attached));
    assert_eq!(client.session(&attached.session_id).await.unwrap(), attached);
    lab.agent.asked();
    let detached = client.detach(&attached.session_id, true).await.unwrap();
    assert_eq!(detached.state, SessionState::Closed);
    assert_eq!(lab.agent.asked(), ["detach c-41 release=true"]);
    let error = client.session(&attached.session_id).await.unwrap_err();
    assert_eq!(refused_with(&error), Code::NoSuchSession);
}

#[tokio::test]
async fn a_detach_keeps_the_seal_unless_told_otherwise() {
    let lab = Lab::start();
    for (query, release) in
        [("", false), ("?release=0", false), ("?release=false", false), ("?release=1", true)]
    {
        lab.ask("DELETE", &format!("/v1/sessions/c-41{query}"), "", "").await;
        assert_eq!(lab.agent.asked(), [format!("detach c-41 release={release}")]);
    }
}

#[tokio::test]
async fn groups_may_be_repeated_or_separated_by_commas() {
    let lab = Lab::start();
    let subject = Subject {
        user: Some("ann&bob=c".into()),
        groups: vec!["All Users".into(), "b+c".into(), "ü".into()],
        workspace: Some("fire fox".into()),
    };
    lab.client().offers(&subject, true).await.unwrap();
    assert_eq!(lab.agent.asked(), [format!("offers {subject:?} explain=true")]);
    lab.get("/v1/offers?user=ann%26bob%3Dc&groups=All+Users,b%2Bc&groups=%C3%BC&workspace=fire%20fox&explain=1")
        .await;
    assert_eq!(lab.agent.asked(), [format!("offers {subject:?} explain=true")]);
}

#[tokio::test]
async fn hidden_gateways_are_shown_to_those_who_ask() {
    let client = Lab::start();
    let plain = client.client().offers(&Subject::default(), false).await.unwrap();
    assert_eq!((plain.offers.len(), plain.hidden), (1, None));
    let explained = client.client().offers(&Subject::default(), true).await.unwrap();
    assert_eq!(explained.hidden.unwrap()[0].reasons[0].code, "gateway_disabled");
}

#[tokio::test]
async fn a_gateway_is_found_by_its_name() {
    let lab = Lab::start();
    let client = lab.client();
    let id = GATEWAY.parse().unwrap();
    assert_eq!(client.gateway_by_name("nordic/se-1").await.unwrap(), id);
    let ambiguous = client.gateway_by_name("twice").await.unwrap_err();
    assert_eq!(refused_with(&ambiguous), Code::AmbiguousGateway);
    let missing = client.gateway_by_name("a&b").await.unwrap_err();
    assert_eq!(refused_with(&missing), Code::NoSuchGateway);
    assert!(missing.to_string().contains("a&b"), "{missing}");
}

#[tokio::test]
async fn an_apply_says_how_it_is_meant() {
    let lab = Lab::start();
    let mode = ApplyMode { dry_run: true, prune: false, on_sessions: OnSessions::Cut };
    let report = lab.client().apply(&json!({}), mode).await.unwrap();
    assert!(report.dry_run);
    assert_eq!(lab.agent.asked(), [format!("apply {mode:?}")]);
}

#[tokio::test]
async fn the_catalog_is_listed() {
    let lab = Lab::start();
    let client = lab.client();
    assert_eq!(client.providers().await.unwrap().providers[0].name, "nordic");
    assert_eq!(client.gateways().await.unwrap().gateways[0].name, "se-1");
    assert_eq!(client.mappings().await.unwrap().mappings[0].version, 1);
    assert_eq!(client.credentials().await.unwrap().credentials[0].active_connection_limit, Some(5));
    assert_eq!(client.workspaces().await.unwrap().workspaces[0].name, "firefox");
    assert_eq!(client.connections().await.unwrap().connections[0].in_use, 1);
    assert_eq!(client.traffic().await.unwrap().traffic[0].received_bytes, 4_000);
}

#[tokio::test]
async fn without_an_agent_the_client_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nobody");
    let error = Client::new(&socket).sessions().await.unwrap_err();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error:?}");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = Client::new(&socket).sessions().await.unwrap_err();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_a_protocol_error() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(dir.path().join("sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            stream.try_write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        }
    });
    let error = Client::new(dir.path().join("sock")).sessions().await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_over_the_bound_is_not_sent() {
    let lab = Lab::start();
    let document = json!({"gateway": "x".repeat(CATALOG_BODY_MAX)});
    let error = lab.client().apply(&document, ApplyMode::default()).await.unwrap_err();
    let most = CATALOG_BODY_MAX;
    assert!(
        matches!(error, Error::TooLarge { bytes, most: bound } if bound == most && bytes > most),
        "{error:?}"
    );
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_push_may_be_as_large_as_ten_thousand_gateways_and_no_larger() {
    let lab = Lab::start();
    let provider = "018f0000-0000-7000-8000-000000000009".parse().unwrap();
    let snapshot = |padding| {
        let mut snapshot = br#"{"version": 3, "gateways": []}"#.to_vec();
        snapshot.resize(padding, b' ');
        snapshot
    };
    let report = lab.client().push(provider, snapshot(CATALOG_BODY_MAX), true).await.unwrap();
    assert_eq!((report.dry_run, report.version), (true, 3));
    let asked = format!("push {provider} {CATALOG_BODY_MAX} bytes dry_run=true");
    assert_eq!(lab.agent.asked(), [asked]);
    let error =
        lab.client().push(provider, snapshot(CATALOG_BODY_MAX + 1), true).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    let path = format!("/v1/providers/{provider}/managed-gateways");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        CATALOG_BODY_MAX + 1
    );
    let problem = lab.send(head.as_bytes()).await.problem();
    assert_eq!((problem.status, problem.code), (413, Code::BodyTooLarge));
    let problem = lab.put("/v1/providers/nordic/managed-gateways", "{}").await.problem();
    assert_eq!((problem.status, problem.code), (400, Code::InvalidRequest));
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_of_the_store_comes_whole_and_a_rotation_says_which_key_it_made() {
    let lab = Lab::start();
    let pieces = lab.client().backup().await.unwrap();
    let copy: Vec<_> = pieces.map(|piece| piece.unwrap()).collect().await;
    assert_eq!(copy.concat(), COPY);
    let reply = lab.ask("POST", "/v1/store:backup", "", "").await;
    assert!(reply.head.contains("content-type: application/vnd.sqlite3"), "{}", reply.head);
    assert!(reply.head.contains(&format!("content-length: {}", COPY.len())), "{}", reply.head);
    assert_eq!(lab.client().rotate_key().await.unwrap().key_id, "0123456789abcdef");
    assert_eq!(lab.agent.asked(), ["rotate key"]);
}
