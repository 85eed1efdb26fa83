//! One record created, read, changed and deleted over the API.

use egress_core::api::{Code, OnSessions, ProviderRecord, WorkspaceRecord};
use egress_core::catalog::{RecordId, RecordKind};
use serde_json::{Value, json};

use super::agent::sample;
use super::{Lab, Reply, refused_with};
use crate::control::agent::{DeleteMode, Fields};
use crate::control::calls::Call;
use crate::control::records::in_path;

fn fields(value: &Value) -> Fields {
    value.as_object().unwrap().clone()
}

fn path(kind: RecordKind) -> String {
    format!("{}/{}", Call::Create(kind).path(), in_path(&sample(kind)))
}

async fn send(lab: &Lab, method: &str, target: &str, if_match: &str, body: &str) -> Reply {
    let condition = match if_match {
        "" => String::new(),
        tag => format!("If-Match: {tag}\r\n"),
    };
    let headers = format!("content-type: application/json\r\n{condition}");
    lab.ask(method, target, &headers, body).await
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut lines = reply.head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn every_kind_of_record_is_made_shown_changed_and_deleted() {
    let lab = Lab::start();
    for kind in RecordKind::ALL {
        let (word, path) = (kind.as_str(), path(kind));
        let made = lab.post(Call::Create(kind).path(), r#"{"name": "x"}"#).await;
        assert_eq!(made.status, 201, "{word}");
        assert_eq!(header(&made, "location"), Some(path.as_str()), "{word}");
        let shown = lab.get(&path).await;
        assert_eq!(shown.status, 200, "{word}");
        let version = shown.json()["version"].as_u64().unwrap();
        let etag = format!("\"{version}\"");
        assert_eq!(header(&shown, "etag"), Some(etag.as_str()), "{word}");
        assert_eq!(header(&made, "etag"), Some(etag.as_str()), "{word}");
        assert_eq!(made.json()["record"], shown.json(), "{word}");
        let changed = send(&lab, "PATCH", &path, &etag, r#"{"enabled": null}"#).await;
        assert_eq!(
            (changed.status, header(&changed, "etag")),
            (200, Some(etag.as_str())),
            "{word}"
        );
        assert_eq!(changed.json()["sessions"]["draining"], json!(["c-41"]), "{word}");
        let gone = send(&lab, "DELETE", &format!("{path}?cascade=1&sessions=cut"), &etag, "").await;
        assert_eq!(gone.status, 200, "{word}");
        let id = sample(kind);
        assert_eq!(gone.json()["removed"], json!([format!("{word} {id}")]));
        assert_eq!(
            lab.agent.asked(),
            [
                format!(r#"create {word} {{"name":"x"}}"#),
                format!("update {id} {{\"enabled\":null}} Versions({{{version}}}) Drain"),
                format!(
                    "delete {id} Versions({{{version}}}) DeleteMode {{ cascade: true, \
                     on_sessions: Cut }}"
                ),
            ]
        );
    }
}

#[tokio::test]
async fn a_change_without_if_match_is_refused_and_one_for_another_version_too() {
    let lab = Lab::start();
    let path = path(RecordKind::Gateway);
    for method in ["PATCH", "DELETE"] {
        let reply = send(&lab, method, &path, "", "{}").await;
        assert_eq!((reply.status, reply.problem().code), (428, Code::PreconditionRequired));
        for unreadable in ["7", "\"7", "abc", "\"7\" \"8\"", "\"7\","] {
            let reply = send(&lab, method, &path, unreadable, "{}").await;
            assert_eq!(reply.status, 400, "{unreadable}");
            assert_eq!(reply.problem().faults[0].field.as_deref(), Some("If-Match"));
        }
    }
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
    for other in ["\"6\"", "\"+7\"", "\"07\"", "W/\"7\"", "\"seven\"", "\"1\", \"2\""] {
        let reply = send(&lab, "PATCH", &path, other, "{}").await;
        assert_eq!(
            (reply.status, reply.problem().code),
            (412, Code::PreconditionFailed),
            "{other}"
        );
    }
    for good in ["*", "\"7\"", "\"1\", \"7\""] {
        assert_eq!(send(&lab, "PATCH", &path, good, "{}").await.status, 200, "{good}");
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_named_and_one_of_no_record_is_not_found() {
    let lab = Lab::start();
    for kind in ["providers", "gateways", "mappings", "credentials"] {
        for method in ["GET", "PATCH", "DELETE"] {
            let reply = send(&lab, method, &format!("/v1/{kind}/no-uuid"), "*", "{}").await;
            assert_eq!(reply.status, 400, "{method} {kind}");
            assert_eq!(reply.problem().faults[0].field.as_deref(), Some("id"));
            let nobody = format!("/v1/{kind}/{}", super::NO_GATEWAY);
            let reply = send(&lab, method, &nobody, "*", "{}").await;
            assert_eq!((reply.status, reply.problem().code), (404, Code::NoSuchRecord));
        }
    }
    let reply = lab.get("/v1/workspaces/a%2Fb%20%C3%BC").await;
    assert_eq!(reply.status, 404);
    assert!(reply.problem().detail.contains("a/b ü"), "{}", reply.problem().detail);
    assert_eq!(lab.get("/v1/workspaces/%FF").await.status, 400);
}

#[tokio::test]
async fn a_patch_may_say_that_it_is_one() {
    let lab = Lab::start();
    let path = path(RecordKind::Provider);
    let send = async |media_type: &str| {
        let headers = format!("content-type: {media_type}\r\nIf-Match: *\r\n");
        lab.ask("PATCH", &path, &headers, "{}").await.status
    };
    assert_eq!(send("application/merge-patch+json").await, 200);
    assert_eq!(send("application/json").await, 200);
    assert_eq!(send("application/json-patch+json").await, 415);
    let headers = "content-type: application/merge-patch+json\r\n";
    assert_eq!(lab.ask("POST", "/v1/providers", headers, "{}").await.status, 415);
}

#[tokio::test]
async fn what_is_no_object_and_what_is_asked_wrongly_is_refused() {
    let lab = Lab::start();
    let path = path(RecordKind::Mapping);
    for body in ["null", "[]", "1", "", "{"] {
        let made = lab.post("/v1/mappings", body).await;
        assert_eq!((made.status, made.problem().code), (400, Code::InvalidRequest), "{body}");
        assert_eq!(send(&lab, "PATCH", &path, "*", body).await.status, 400, "{body}");
    }
    for query in ["sessions=kill", "sessions=", "cascade=maybe", "force=1"] {
        let reply = send(&lab, "DELETE", &format!("{path}?{query}"), "*", "").await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.problem().faults[0].field.as_deref(), query.split('=').next());
    }
    assert_eq!(send(&lab, "PATCH", &format!("{path}?cascade=1"), "*", "{}").await.status, 400);
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn the_client_speaks_of_records() {
    let lab = Lab::start();
    let client = lab.client();
    let provider = sample(RecordKind::Provider);
    let shown: ProviderRecord = client.record(&provider).await.unwrap();
    assert_eq!(shown.name, "nordic");
    let written =
        client.create::<ProviderRecord>(RecordKind::Provider, &Fields::new()).await.unwrap();
    assert_eq!(written.record, shown);
    let workspace = RecordId::Workspace("fire fox/ü".to_owned());
    let gone = client.record::<WorkspaceRecord>(&workspace).await.unwrap_err();
    assert_eq!(refused_with(&gone), Code::NoSuchRecord);
    assert!(gone.to_string().contains("fire fox/ü"), "{gone}");
    let patch = fields(&json!({"enabled": false}));
    let other = client.update::<ProviderRecord>(&provider, &patch, Some(9), OnSessions::Cut).await;
    assert_eq!(refused_with(&other.unwrap_err()), Code::PreconditionFailed);
    client.update::<ProviderRecord>(&provider, &patch, None, OnSessions::Drain).await.unwrap();
    let mode = DeleteMode { cascade: true, on_sessions: OnSessions::Cut };
    let removed = client.delete(&provider, Some(1), mode).await.unwrap();
    assert_eq!(removed.removed.len(), 1);
}
