//! Examples of bodies and replies.

use serde_json::{Value, json};

use super::super::calls::Call;

const GATEWAY: &str = "018f0000-0000-7000-8000-000000000001";
const PROVIDER: &str = "018f0000-0000-7000-8000-000000000002";
const CREDENTIAL: &str = "018f0000-0000-7000-8000-000000000003";

/// What a call may be sent.
pub fn body(call: Call) -> Option<Value> {
    match call {
        Call::Attach => Some(json!({
            "session_id": "c-41",
            "netns": {"path": "/run/netns/x"},
            "subject": {
                "user": "ann@example.org", "groups": ["All Users"], "workspace": "firefox"
            },
            "gateway": GATEWAY,
        })),
        Call::Apply => Some(json!({
            "provider": [{"name": "nordic", "type": "wireguard"}],
            "mapping": [{"provider": "nordic", "group": "All Users", "gateways": "all"}],
        })),
        Call::Push => Some(json!({
            "version": 42,
            "gateways": [{
                "external_id": "se-sto-001", "name": "se-1", "country": "Sweden",
                "city": "Stockholm", "config": "[Peer]\nPublicKey = …\nEndpoint = …",
            }],
        })),
        Call::Sessions
        | Call::Session
        | Call::Detach
        | Call::Offers
        | Call::Status
        | Call::Connections
        | Call::Traffic
        | Call::Events
        | Call::ResolveGateway
        | Call::Providers
        | Call::Gateways
        | Call::Mappings
        | Call::Credentials
        | Call::Workspaces
        | Call::BackupStore
        | Call::RotateKey
        | Call::Create(_)
        | Call::Record(_)
        | Call::Update(_)
        | Call::Delete(_)
        | Call::Openapi => None,
    }
}

/// What a call may be answered.
pub fn reply(call: Call) -> Option<Value> {
    match call {
        Call::Attach | Call::Session | Call::Detach => Some(session()),
        Call::Sessions => Some(json!({"sessions": [session()]})),
        Call::Offers => Some(json!({"offers": [offer()]})),
        Call::ResolveGateway => Some(json!({"id": GATEWAY})),
        Call::Status => Some(json!({
            "version": "0.1.0",
            "started_at": 1_796_000_000,
            "ready": true,
            "parts": [
                {"name": "data plane", "ok": true, "detail": "running"},
                {"name": "openvpn", "ok": true, "detail": "2.6.14"},
            ],
            "sessions": {"connected": 12, "blocked": 1},
            "catalog": {"provider": 2, "gateway": 87, "mapping": 3, "credential": 5},
        })),
        Call::Traffic => Some(json!({"traffic": [{
            "session_id": "c-41", "handshake_age_s": 12.5, "received_bytes": 73_220,
            "sent_bytes": 9_113, "dropped_packets": 0,
        }]})),
        Call::Connections
        | Call::Events
        | Call::Apply
        | Call::Push
        | Call::Providers
        | Call::Gateways
        | Call::Mappings
        | Call::Credentials
        | Call::Workspaces
        | Call::BackupStore
        | Call::RotateKey
        | Call::Create(_)
        | Call::Record(_)
        | Call::Update(_)
        | Call::Delete(_)
        | Call::Openapi => None,
    }
}

fn session() -> Value {
    json!({
        "session_id": "c-41",
        "state": "connected",
        "subject": {"user": "ann@example.org", "groups": ["All Users"], "workspace": "firefox"},
        "profile": "sealed",
        "gateway": gateway(),
        "credential_id": CREDENTIAL,
        "credential_name": "ann",
        "stale_credential": false,
        "interface": "eg0",
        "addresses": ["10.64.0.2/32"],
        "dns": ["10.64.0.1"],
        "mtu": 1_420,
        "environment": {
            "KASM_EGRESS_PROVIDER_NAME": "nordic",
            "KASM_EGRESS_GATEWAY_NAME": "se-1",
            "KASM_EGRESS_GATEWAY_COUNTRY": "Sweden",
            "KASM_EGRESS_GATEWAY_CITY": "Stockholm",
        },
        "timings_ms": {
            "seal": 1.6, "select": 0.4, "tunnel": 2.1, "handshake": 31.0, "open": 0.7, "total": 35.2
        },
        "created_at": 1_796_000_000,
    })
}

fn offer() -> Value {
    let mut offer = gateway();
    offer["health"] = "up".into();
    offer
}

fn gateway() -> Value {
    json!({
        "id": GATEWAY, "name": "se-1", "provider_id": PROVIDER, "provider": "nordic",
        "country": "Sweden", "city": "Stockholm",
    })
}
