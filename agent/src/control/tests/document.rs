//! The API's description against what the server does.

use std::collections::BTreeSet;

use egress_core::api::{Code, Event, Health, Reason, SessionState, TimedEvent};
use egress_core::catalog::RecordKind;
use serde_json::{Value, json};

use super::agent::sample;
use super::{Lab, attach_body};
use crate::control::calls::Call;
use crate::control::records::in_path;

/// The schema of each kind of record.
const RECORDS: [&str; 5] =
    ["ProviderRecord", "GatewayRecord", "MappingRecord", "CredentialRecord", "WorkspaceRecord"];

const PUSH: &str = "/v1/providers/018f0000-0000-7000-8000-000000000009/managed-gateways";

fn snapshot() -> Value {
    json!({
        "version": 3,
        "gateways": [{"external_id": "x-1", "name": "se-1", "country": "SE", "city": "Borås",
            "config": "[Interface]"}],
        "credentials": [{"external_id": "k-1", "name": "k", "group": "all", "private_key": "x",
            "gateways": ["x-1"], "active_connection_limit": 5}],
    })
}

/// A validator for one schema of the document that takes no property that is not documented.
struct Schemas(Value);

impl Schemas {
    async fn of(lab: &Lab) -> Self {
        let mut document = lab.get("/v1/openapi.json").await.json();
        let schemas = document["components"]["schemas"].as_object_mut().unwrap();
        Self(Value::Object(std::mem::take(schemas)))
    }

    fn check(&self, name: &str, instance: &Value) {
        let validator = self.validator(name);
        let errors: Vec<_> =
            validator.iter_errors(instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{instance:#}");
    }

    fn takes(&self, name: &str, instance: &Value) -> bool {
        self.validator(name).is_valid(instance)
    }

    fn validator(&self, name: &str) -> jsonschema::Validator {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{name}"),
            "unevaluatedProperties": false,
            "components": {"schemas": self.0},
        });
        jsonschema::validator_for(&schema).unwrap()
    }
}

#[tokio::test]
async fn every_call_and_nothing_else_is_in_the_document() {
    let lab = Lab::start();
    let document = lab.get("/v1/openapi.json").await.json();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let calls: BTreeSet<_> =
        Call::ALL.iter().map(|call| format!("{} {}", call.method(), call.path())).collect();
    assert_eq!(documented, calls);
}

#[tokio::test]
async fn every_refusal_of_a_call_is_in_the_document_and_no_range_of_them() {
    let lab = Lab::start();
    let document = lab.get("/v1/openapi.json").await.json();
    for call in Call::ALL {
        let method = call.method().as_str().to_lowercase();
        let responses = &document["paths"][call.path()][method]["responses"];
        let statuses: BTreeSet<_> = responses.as_object().unwrap().keys().cloned().collect();
        let refused = call.refusals().map(|code| code.status().to_string());
        let answered = ["200", "201"].map(str::to_owned).into_iter();
        let known: BTreeSet<_> = refused.chain(answered).collect();
        assert!(statuses.is_subset(&known), "{}: {statuses:?}", call.name());
        for code in call.refusals() {
            let schema = format!("/{}/content/application~1problem+json/schema", code.status());
            let words = responses.pointer(&format!("{schema}/allOf/1/properties/code/enum"));
            let said = words.and_then(Value::as_array).is_some_and(|it| it.contains(&json!(code)));
            assert!(said, "{} does not say {}", call.name(), code.as_str());
        }
    }
}

#[tokio::test]
async fn every_example_is_what_the_document_describes_and_every_call_has_a_tag_that_is_there() {
    let lab = Lab::start();
    let document = lab.get("/v1/openapi.json").await.json();
    let schemas = Schemas::of(&lab).await;
    let tags: Vec<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut examples = 0;
    for call in Call::ALL {
        let method = call.method().as_str().to_lowercase();
        let operation = &document["paths"][call.path()][method];
        assert!(tags.contains(&&operation["tags"][0]), "{}", call.name());
        let bodies = ["/requestBody/content", "/responses/200/content", "/responses/201/content"];
        for content in bodies.iter().filter_map(|place| operation.pointer(place)) {
            for part in content.as_object().unwrap().values() {
                let Some(example) = part.get("example") else { continue };
                let reference = part["schema"]["$ref"].as_str().unwrap();
                schemas.check(reference.rsplit('/').next().unwrap(), example);
                examples += 1;
            }
        }
    }
    assert!(examples > 8, "{examples}");
    assert_eq!(document["components"]["securitySchemes"]["certificate"]["type"], "mutualTLS");
    assert_eq!(document["servers"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let lab = Lab::start();
    let document = lab.get("/v1/openapi.json").await.json();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.clone());
            }
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn every_reply_is_as_the_document_says() {
    let lab = Lab::start();
    let schemas = Schemas::of(&lab).await;
    let attached = lab.post("/v1/sessions", &attach_body().to_string()).await;
    assert_eq!(attached.status, 201);
    schemas.check("SessionView", &attached.json());
    let lists = [
        ("SessionList", "/v1/sessions"),
        ("SessionView", "/v1/sessions/c-41"),
        ("OfferList", "/v1/offers?user=ann&explain=1"),
        ("ConnectionList", "/v1/connections"),
        ("TrafficList", "/v1/traffic"),
        ("GatewayRef", "/v1/gateways:resolve?name=se-1"),
        ("ProviderList", "/v1/providers"),
        ("GatewayList", "/v1/gateways"),
        ("MappingList", "/v1/mappings"),
        ("CredentialList", "/v1/credentials"),
        ("WorkspaceList", "/v1/workspaces"),
    ];
    for (schema, target) in lists {
        let reply = lab.get(target).await;
        assert_eq!(reply.status, 200, "{target}");
        schemas.check(schema, &reply.json());
    }
    schemas.check("ApplyReport", &lab.post("/v1/catalog:apply?dry_run=1", "{}").await.json());
    let pushed = lab.put(PUSH, &snapshot().to_string()).await;
    assert_eq!(pushed.status, 200);
    schemas.check("PushReport", &pushed.json());
    schemas.check("Problem", &lab.put(PUSH, r#"{"gateways": [{}]}"#).await.json());
    for (kind, name) in RecordKind::ALL.into_iter().zip(RECORDS) {
        let path = format!("{}/{}", Call::Create(kind).path(), in_path(&sample(kind)));
        schemas.check(name, &lab.get(&path).await.json());
        let made = lab.post(Call::Create(kind).path(), "{}").await;
        schemas.check(&format!("Written_{name}"), &made.json());
        let headers = "content-type: application/merge-patch+json\r\nif-match: *\r\n";
        let changed = lab.ask("PATCH", &path, headers, "{}").await;
        schemas.check(&format!("Written_{name}"), &changed.json());
        schemas.check("Removed", &lab.ask("DELETE", &path, "if-match: *\r\n", "").await.json());
    }
    schemas.check("SessionView", &lab.ask("DELETE", "/v1/sessions/c-41", "", "").await.json());
    schemas.check("KeyRotation", &lab.ask("POST", "/v1/store:rotate-key", "", "").await.json());
    schemas.check("Problem", &lab.post("/v1/sessions", "{").await.json());
}

#[tokio::test]
async fn every_kind_of_event_is_as_the_document_says() {
    let lab = Lab::start();
    let schemas = Schemas::of(&lab).await;
    let reason = Reason { code: Code::TunnelDown, detail: "no answer".into() };
    let events = [
        Event::Session {
            session_id: "c".parse().unwrap(),
            state: SessionState::Blocked,
            user: Some("ann@example.org".into()),
            gateway: Some("nordic/se-1".into()),
            credential: Some("ann".into()),
            reason: Some(reason),
        },
        Event::Connections {
            credential_id: egress_core::id::CredentialId::from_bytes([1; 16]),
            in_use: 1,
            limit: Some(2),
        },
        Event::Gateway {
            gateway_id: egress_core::id::GatewayId::from_bytes([1; 16]),
            health: Health::Down,
        },
        Event::Catalog { changed: 3 },
        Event::Reset,
    ];
    for event in events {
        let timed = TimedEvent { at_ms: 1_796_000_000_000, event };
        schemas.check("TimedEvent", &serde_json::to_value(timed).unwrap());
    }
}

#[tokio::test]
async fn the_documented_requests_are_those_that_are_taken() {
    let lab = Lab::start();
    let schemas = Schemas::of(&lab).await;
    schemas.check("AttachRequest", &attach_body());
    schemas.check("Snapshot", &snapshot());
    schemas.check(
        "CatalogDocument",
        &json!({
            "provider": [{"name": "nordic", "type": "wireguard"}],
            "gateway": [{"provider": "nordic", "name": "se-1", "config": "[Interface]"}],
            "mapping": [{"provider": "nordic", "user": "ann"}],
            "credential": [{"provider": "nordic", "name": "k", "group": "all", "private_key": "x"}],
            "workspace": [{"name": "firefox", "egress": "optional"}],
        }),
    );
}

#[tokio::test]
async fn what_the_document_forbids_is_refused() {
    let lab = Lab::start();
    let schemas = Schemas::of(&lab).await;
    let bad = [
        ("AttachRequest", "/v1/sessions", "deadline_ms", json!(0)),
        ("AttachRequest", "/v1/sessions", "colour", json!("red")),
        ("CatalogDocument", "/v1/catalog:apply", "colour", json!("red")),
        ("CatalogDocument", "/v1/catalog:apply", "workspace", json!([{"name": "w", "x": 1}])),
    ];
    for (schema, target, field, value) in bad {
        let is_attach = schema == "AttachRequest";
        let mut body = if is_attach { attach_body() } else { json!({}) };
        body[field] = value;
        assert!(!schemas.takes(schema, &body), "{body}");
        assert_eq!(lab.post(target, &body.to_string()).await.status, 400, "{body}");
    }
    for (field, value) in
        [("version", json!(0)), ("colour", json!("red")), ("gateways", json!([{}]))]
    {
        let mut body = snapshot();
        body[field] = value;
        assert!(!schemas.takes("Snapshot", &body), "{body}");
        assert_eq!(lab.put(PUSH, &body.to_string()).await.status, 400, "{body}");
    }
}

#[tokio::test]
#[should_panic(expected = "undocumented")]
async fn a_field_that_is_not_documented_would_be_seen() {
    let lab = Lab::start();
    let schemas = Schemas::of(&lab).await;
    schemas.check("GatewayRef", &json!({"id": super::GATEWAY, "undocumented": 1}));
}
